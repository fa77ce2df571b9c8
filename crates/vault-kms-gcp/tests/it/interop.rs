//! Google's own Python client opens what we seal, and we open what it seals (docs/FORMAT.md section 6.4).

use std::process::Command;

use base64ct::{Base64, Encoding};
use vault_crypto_core::{KeyVersion, KmsProvider, WrappedKey};
use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::servers::python_clients;

use super::support::{Service, client, context};
use vault_kms_gcp::cloud_kms::EncryptedData;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/google.py");

fn google(fake: &FakeCloudKms, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(python_clients().unwrap());
    command.args([SCRIPT, "--endpoint", &fake.address()]).args(args);
    let said = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if said.status.success() { Ok(text(said.stdout)) } else { Err(text(said.stderr)) }
}

/// S as the specification writes it, not as the library does.
fn s_of_the_format() -> Vec<u8> {
    let mut s = b"vaultkit.v1/kms\0\x01".to_vec();
    s.extend(b"\x00\x02\x00\x05table\x00\x05cards\x00\x06tenant\x00\x04acme");
    s
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_own_client_opens_our_slot_with_the_documented_data() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let data_key = service.kms.generate_data_key(&key, &context()).await.unwrap();
    let ciphertext = Base64::encode_string(&data_key.wrapped().bytes);
    let aad = Base64::encode_string(&s_of_the_format());
    let args = ["decrypt", "--key", key.as_str(), "--aad", &aad, &ciphertext];
    let opened = Base64::decode_vec(&google(&service.fake, &args).unwrap()).unwrap();
    assert_eq!(data_key.plaintext(), &opened);
    let refused = google(&service.fake, &["decrypt", "--key", key.as_str(), &ciphertext]);
    assert!(refused.unwrap_err().contains("INVALID_ARGUMENT"));
}

#[tokio::test(flavor = "multi_thread")]
async fn we_open_what_googles_own_client_sealed_with_the_documented_data() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let plaintext = Base64::encode_string(&[0x5a; 32]);
    let aad = Base64::encode_string(&s_of_the_format());
    let said =
        google(&service.fake, &["encrypt", "--key", key.as_str(), "--aad", &aad, &plaintext]);
    let said = said.unwrap();
    let (version, ciphertext) = said.split_once(char::is_whitespace).unwrap();
    assert_eq!(version, format!("{key}/cryptoKeyVersions/1"));
    let bytes = Base64::decode_vec(ciphertext.trim()).unwrap();
    let wrapped = WrappedKey::new(bytes, key.clone(), KeyVersion::from(1));
    let opened = service.kms.decrypt_data_key(&wrapped, &context()).await.unwrap();
    assert_eq!(opened, [0x5a; 32]);

    let said = google(&service.fake, &["encrypt", "--key", key.as_str(), &plaintext]).unwrap();
    let (_, ciphertext) = said.split_once(char::is_whitespace).unwrap();
    let unbound = EncryptedData::from_ciphertext(Base64::decode_vec(ciphertext.trim()).unwrap());
    let opened = client(&service.kms).decrypt("prod", "cards", &unbound).await.unwrap();
    assert_eq!(opened, [0x5a; 32]);
}
