//! The `vault` program and hvac open what we sealed, and we what they sealed, with the context that
//! docs/FORMAT.md documents.

use std::process::Command;

use base64ct::{Base64, Encoding as _};
use vault_crypto_core::{KeyId, KeyVersion, KmsProvider, WrapContext, WrapKind, WrappedKey};
use vault_testkit::servers::python_clients;

use super::support::{ask, context, fresh_key, provider, server};

/// What section 6.4 says: base64 of S.
fn documented(context: &WrapContext) -> String {
    let pairs = context.scope.canonical_pairs();
    let s = [b"vaultkit.v1/kms\0", &[context.kind.code()][..], pairs].concat();
    Base64::encode_string(&s)
}

fn hvac(args: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/vault.py");
    let python = python_clients().unwrap_or_else(|error| panic!("{error}"));
    let said = Command::new(python)
        .arg(script)
        .args(args)
        .env("VAULT_ADDR", server().url())
        .env("VAULT_TOKEN", server().root_token())
        .output()
        .unwrap();
    assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

fn wrapped(text: &str, key: &KeyId) -> WrappedKey {
    WrappedKey::new(text.as_bytes().to_vec(), key.clone(), KeyVersion::from(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vault_program_opens_ours_and_we_open_its() {
    let provider = provider().await;
    let key = fresh_key(&*provider, "interop-vault").await;
    for kind in [WrapKind::DataKey, WrapKind::Share, WrapKind::BranchKey] {
        let context = WrapContext::new(kind, context().scope);
        let documented = format!("context={}", documented(&context));
        let ours = provider.generate_data_key(&key, &context).await.unwrap();
        let text = String::from_utf8(ours.wrapped().bytes.clone()).unwrap();
        let decrypt = ["write", "-field=plaintext", "transit/decrypt/interop-vault"];
        let opened =
            ask(server(), &[&decrypt[..], &[&format!("ciphertext={text}"), &documented]].concat());
        assert_eq!(opened, Base64::encode_string(ours.plaintext().as_slice()));
        let encrypt = ["write", "-field=ciphertext", "transit/encrypt/interop-vault"];
        let theirs =
            ask(server(), &[&encrypt[..], &[&format!("plaintext={opened}"), &documented]].concat());
        let opened = provider.decrypt_data_key(&wrapped(&theirs, &key), &context).await.unwrap();
        assert_eq!(&opened, ours.plaintext());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hvac_opens_ours_and_we_open_its() {
    let provider = provider().await;
    let (context, name) = (context(), "interop-hvac");
    hvac(&["create-key", "--key", name]);
    let key = KeyId::new("hcvault:test/transit#interop-hvac");
    let documented = documented(&context);
    let with = ["--key", name, "--context", documented.as_str()];
    let ours = provider.generate_data_key(&key, &context).await.unwrap();
    let text = String::from_utf8(ours.wrapped().bytes.clone()).unwrap();
    let opened = hvac(&[&["decrypt"], &with[..], &[text.as_str()]].concat());
    assert_eq!(opened, Base64::encode_string(ours.plaintext().as_slice()));
    let theirs = hvac(&[&["data-key"], &with[..]].concat());
    let (plaintext, ciphertext) = theirs.split_once('\n').unwrap();
    let opened = provider.decrypt_data_key(&wrapped(ciphertext, &key), &context).await.unwrap();
    assert_eq!(Base64::encode_string(opened.as_slice()), plaintext);
}
