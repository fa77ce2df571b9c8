//! The test vectors whose reader opens the key slots, too: those that a program wrote which shares no
//! line with this one (`stranger.json`), and those that this library wrote once (`slots.json`).

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use vault_crypto_core::derive::branch_name;
use vault_crypto_core::header::{Extension, parse};
use vault_crypto_core::storage::Expected;
use vault_crypto_core::{
    EncryptionContext, ErrorKind, MemoryStorage, Result, Scope, SecureBytes, SecureString,
    StorageBackend as _,
};
use vault_envelope::{
    AllowedKeys, BranchKeys, EnvelopeBuilder, Passphrase, PassphraseCost, PrivateKey,
};

use super::support::{block_on, builder};

fn vectors(file: &str) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn pairs(value: &Value, name: &str) -> Vec<(String, String)> {
    let object = value[name].as_object().unwrap().iter();
    object.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// A branch's key entry in the reader's store: its scope, its name, where it lies.
struct Entry {
    scope: Scope,
    name: String,
    place: String,
    bytes: Vec<u8>,
}

impl Entry {
    fn read(value: &Value) -> Self {
        let bytes = bytes(value);
        let header = parse(&bytes).unwrap().header;
        let stored = &header.extension(Extension::SCOPE).unwrap().bytes;
        let scope = Scope::from_canonical(stored).unwrap();
        let branch = &header.extension(Extension::BRANCH).unwrap().bytes;
        assert_eq!(branch[..16], branch_name(&scope));
        let version = u32::from_be_bytes(branch[16..].try_into().unwrap());
        let name = hex::encode(&branch[..16]);
        let place = format!("branch/{name}/{version:010}");
        Self { scope, name, place, bytes }
    }
}

fn reader(allowed: &AllowedKeys, storage: &Arc<MemoryStorage>) -> EnvelopeBuilder {
    builder().allow_only(allowed.clone()).branch_keys(BranchKeys::new(storage.clone()))
}

fn open(vector: &Value) -> Result<SecureBytes> {
    let storage = Arc::new(MemoryStorage::new());
    let entries = vector.get("entries").and_then(Value::as_array).into_iter().flatten();
    let entries: Vec<Entry> = entries.map(Entry::read).collect();
    for entry in &entries {
        block_on(storage.put(&entry.place, &entry.bytes, Expected::Absent)).unwrap();
    }
    let mut allowed = AllowedKeys::none();
    for key in vector["keys"].as_array().unwrap() {
        let (sort, value) = key.as_object().unwrap().iter().next().unwrap();
        allowed =
            match sort.as_str() {
                "passphrase" => allowed.passphrase(passphrase(value.as_str().unwrap())),
                "x25519" => allowed
                    .private_key(PrivateKey::x25519(&SecureBytes::new(bytes(value))).unwrap()),
                "rsa" => allowed
                    .private_key(PrivateKey::rsa_der(SecureBytes::new(bytes(value))).unwrap()),
                "branch" => {
                    let name = value.as_str().unwrap();
                    let scope = &entries.iter().find(|entry| entry.name == name).unwrap().scope;
                    let branch = reader(&allowed, &storage).scope(scope.pairs()).build().unwrap();
                    allowed.key(Arc::new(branch.branch_kms().unwrap()), name)
                }
                other => panic!("a key of another sort: {other}"),
            };
    }
    let envelope = reader(&allowed, &storage).scope(pairs(vector, "scope")).build().unwrap();
    let context = EncryptionContext::try_new(pairs(vector, "context")).unwrap();
    block_on(envelope.decrypt(&bytes(&vector["message"]), &context))
}

/// With no limit but the format's.
fn passphrase(text: &str) -> Passphrase {
    let passphrase = Passphrase::new(SecureString::new(text.to_owned())).unwrap();
    passphrase.with_limit(PassphraseCost::MAX)
}

fn check(file: &str, vector: &Value) {
    let name = format!("{file}: {}", text(vector, "name"));
    let class = match open(vector) {
        Ok(plaintext) => {
            assert!(plaintext == bytes(&vector["plaintext"]), "{name}: another plaintext");
            "ok"
        }
        Err(error) => match error.kind() {
            ErrorKind::Unavailable | ErrorKind::KeyNotFound => "key_unavailable",
            other => other.as_str(),
        },
    };
    assert_eq!(class, text(vector, "result"), "{name}");
}

#[test]
fn the_library_answers_what_another_program_wrote_as_it_says() {
    let all = vectors("stranger.json");
    all.iter().for_each(|vector| check("stranger.json", vector));
    let good = all.iter().filter(|vector| text(vector, "result") == "ok").count();
    assert!(good >= 15 && all.len() - good >= 30, "{good} good ones of {}", all.len());
}

#[test]
fn the_library_opens_what_it_wrote_once() {
    let all = vectors("slots.json");
    all.iter().for_each(|vector| check("slots.json", vector));
    assert!(all.len() >= 8, "{}", all.len());
}
