//! boto3 opens what we seal, and we open what it seals, with the `EncryptionContext` that docs/FORMAT.md
//! section 6.4 documents.

use std::process::Command;

use base64ct::{Base64, Encoding};
use vault_crypto_core::{
    ErrorKind, KeyId, KeyVersion, KmsAdmin, KmsProvider, RotateOptions, SecureBytes, WrapContext,
    WrapKind, WrappedKey,
};
use vault_testkit::servers::{LocalStack, python_clients};

use super::support::{context, local_stack, login, scope};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/aws.py");

/// As the specification writes it, not as the library does.
const OF_A_DATA_KEY: [&str; 3] = ["tenant=acme", "table=cards", "vaultkit:kind=data-key"];

fn boto3(
    command: &str,
    key: Option<&KeyId>,
    context: &[&str],
    input: Option<&[u8]>,
) -> Result<Vec<Vec<u8>>, String> {
    let (login, server) = (login(), LocalStack::shared());
    let mut python = Command::new(python_clients().unwrap());
    python.args([SCRIPT, command, "--endpoint", &server.url(), "--region", login.region]);
    python
        .env("AWS_ACCESS_KEY_ID", login.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", login.secret_access_key);
    if let Some(key) = key {
        python.args(["--key", key.as_str()]);
    }
    for pair in context {
        python.args(["--context", pair]);
    }
    python.args(input.map(Base64::encode_string));
    let said = python.output().unwrap();
    if !said.status.success() {
        return Err(String::from_utf8(said.stderr).unwrap());
    }
    let lines = String::from_utf8(said.stdout).unwrap();
    Ok(lines.lines().map(|line| Base64::decode_vec(line).unwrap()).collect())
}

#[tokio::test]
async fn boto3_opens_our_data_key_with_the_documented_context() {
    let (kms, key) = local_stack().await;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let wrapped = data_key.wrapped().bytes.as_slice();
    let opened = boto3("decrypt", Some(&key), &OF_A_DATA_KEY, Some(wrapped)).unwrap();
    assert_eq!(*data_key.plaintext(), opened[0]);
    for other in
        [&OF_A_DATA_KEY[..2], &["tenant=acme", "table=cards", "vaultkit:kind=payload"], &[]]
    {
        let refused = boto3("decrypt", Some(&key), other, Some(wrapped)).unwrap_err();
        assert!(refused.contains("InvalidCiphertextException"), "{refused}");
    }
}

#[tokio::test]
async fn every_role_has_its_documented_context() {
    let (kms, key) = local_stack().await;
    let bytes = SecureBytes::new(vec![7; 50]);
    for (kind, name) in [(WrapKind::Share, "share"), (WrapKind::BranchKey, "branch-key")] {
        let wrapped =
            kms.wrap_data_key(&key, &bytes, &WrapContext::new(kind, scope())).await.unwrap();
        let kind = format!("vaultkit:kind={name}");
        let context = ["tenant=acme", "table=cards", &kind];
        assert_eq!(
            boto3("decrypt", Some(&key), &context, Some(&wrapped.bytes)).unwrap()[0],
            vec![7; 50]
        );
    }
    let sealed = kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    let context = ["tenant=acme", "table=cards", "vaultkit:kind=payload"];
    assert_eq!(boto3("decrypt", Some(&key), &context, Some(&sealed)).unwrap()[0], b"payload");
}

#[tokio::test]
async fn we_open_a_data_key_that_boto3_made() {
    let (kms, key) = local_stack().await;
    let made = boto3("data-key", Some(&key), &OF_A_DATA_KEY, None).unwrap();
    let [plaintext, blob] = made.as_slice() else { panic!("two lines") };
    let wrapped = WrappedKey::new(blob.clone(), key.clone(), KeyVersion::unknown());
    assert_eq!(kms.decrypt_data_key(&wrapped, &context()).await.unwrap(), *plaintext);
    let encrypted = boto3("encrypt", Some(&key), &OF_A_DATA_KEY, Some(plaintext)).unwrap();
    let wrapped = WrappedKey::new(encrypted[0].clone(), key.clone(), KeyVersion::unknown());
    assert_eq!(kms.decrypt_data_key(&wrapped, &context()).await.unwrap(), *plaintext);
    // Without the pair that says what it is, it is nothing of ours.
    let bare = boto3("encrypt", Some(&key), &OF_A_DATA_KEY[..2], Some(plaintext)).unwrap();
    let wrapped = WrappedKey::new(bare[0].clone(), key, KeyVersion::unknown());
    let error = kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
}

#[tokio::test]
async fn boto3_opens_what_we_rewrapped_after_a_rotation() {
    let (kms, key) = local_stack().await;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let again = kms.rewrap_data_key(data_key.wrapped(), &key, &context()).await.unwrap();
    let opened = boto3("decrypt", Some(&key), &OF_A_DATA_KEY, Some(&again.bytes)).unwrap();
    assert_eq!(*data_key.plaintext(), opened[0]);
}
