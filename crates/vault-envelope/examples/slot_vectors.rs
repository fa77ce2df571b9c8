//! Writes docs/vectors/slots.json (docs/FORMAT.md section 14): messages whose key slots the reader opens.
//!
//! ```text
//! cargo run -p vault-envelope --features hpke,passphrase,rsa --example slot_vectors
//! ```
//!
//! Other bytes every time, because the library draws what is in slots from the system. So the committed
//! file was written once and stays: what is in it must open for ever.
#![allow(clippy::unwrap_used, reason = "a generator of test data, where a panic is the report")]

use pollster::block_on;
use serde_json::{Value, json};
use vault_crypto_core::{EncryptionContext, SecureBytes, SecureString};
use vault_envelope::{
    EnvelopeBuilder, EnvelopeEncryption, Passphrase, PassphraseCost, PrivateKey, Recipient,
    Recipients,
};

const PASSPHRASE: &str = "a passphrase of the vectors";
const PLAINTEXT: &[u8] = b"opened by the keys of people";

fn main() -> std::io::Result<()> {
    let mut all = alone();
    all.extend(several());
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors/slots.json");
    std::fs::write(path, serde_json::to_string_pretty(&all).unwrap() + "\n")
}

fn passphrase(cheap: bool) -> Passphrase {
    let passphrase = Passphrase::new(SecureString::new(PASSPHRASE.to_owned())).unwrap();
    let cost =
        if cheap { PassphraseCost::new(64, 2, 2).unwrap() } else { PassphraseCost::default() };
    passphrase.with_cost(cost)
}

fn x25519() -> PrivateKey {
    PrivateKey::x25519(&SecureBytes::new(vec![0x25; 32])).unwrap()
}

fn rsa_der() -> Vec<u8> {
    hex::decode(include_str!("vectors/rsa_private.hex").replace('\n', "")).unwrap()
}

fn rsa() -> PrivateKey {
    PrivateKey::rsa_der(SecureBytes::new(rsa_der())).unwrap()
}

fn keys() -> [Value; 3] {
    let rsa = hex::encode(rsa_der());
    [json!({"passphrase": PASSPHRASE}), json!({"x25519": "25".repeat(32)}), json!({ "rsa": rsa })]
}

fn people() -> [Recipient; 3] {
    [
        Recipient::passphrase(passphrase(true)),
        Recipient::public_key(x25519().public_key()),
        Recipient::public_key(rsa().public_key()),
    ]
}

fn vector(name: &str, builder: EnvelopeBuilder, keys: &[Value]) -> Value {
    let envelope = builder.scope([("tenant", "acme")]).build().unwrap();
    let context = EncryptionContext::from([("row", "42"), ("table", "cards")]);
    let message = block_on(envelope.encrypt(PLAINTEXT, &context)).unwrap();
    json!({
        "name": name,
        "comment": "Written once by the library.",
        "keys": keys,
        "scope": {"tenant": "acme"},
        "context": {"row": "42", "table": "cards"},
        "message": hex::encode(message.as_bytes()),
        "plaintext": hex::encode(PLAINTEXT),
        "result": "ok",
    })
}

fn alone() -> Vec<Value> {
    let names = ["a passphrase", "an X25519 key", "an RSA key"];
    let dear = Recipients::all([Recipient::passphrase(passphrase(false))]);
    let dear = EnvelopeEncryption::to(dear);
    let mut all = vec![vector("a passphrase at the default cost", dear, &keys()[..1])];
    all.extend(names.into_iter().zip(people()).zip(keys()).map(|((name, who), key)| {
        vector(name, EnvelopeEncryption::to(Recipients::all([who])), &[key])
    }));
    all
}

fn several() -> Vec<Value> {
    let [passphrase, x25519, rsa] = keys();
    let two_of_three = || EnvelopeEncryption::to(Recipients::threshold(2, people()));
    vec![
        vector(
            "everybody",
            EnvelopeEncryption::to(Recipients::all(people())),
            std::slice::from_ref(&rsa),
        ),
        vector(
            "two of three, passphrase and X25519",
            two_of_three(),
            &[passphrase, x25519.clone()],
        ),
        vector("two of three, RSA and X25519", two_of_three(), &[rsa, x25519]),
        vector(
            "three of three",
            EnvelopeEncryption::to(Recipients::threshold(3, people())),
            &keys(),
        ),
    ]
}
