//! Answers of the real service, recorded by somebody else (tests/data/recorded).

use base64ct::{Base64, Encoding};
use serde_json::Value;
use vault_crypto_core::{ErrorKind, KeyId, KeyVersion, KmsProvider, SecureBytes, WrappedKey};
use vault_kms_aws::AwsKmsProvider;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault};
use vault_testkit::servers::LocalStack;

use super::support::{config, context, on, scope};

const ROUND_TRIP: &str = include_str!("../data/recorded/TestEncryptDecrypt.replay");
const MALFORMED: &str = include_str!("../data/recorded/TestDecryptMalformedError.replay");
const ARN: &str = "arn:aws:kms:us-east-2:456752665576:key/8198f536-26b1-4571-a415-01c0450e6c14";
const MATERIAL: &str = "913eabdf6b81c44fde779d6be899faecbdad954656cdcb1952a0ae5f0e8f1e9c";

/// The answers to one operation.
fn answers(recording: &str, operation: &str) -> Vec<Answer> {
    let recording: Value = serde_json::from_str(recording).unwrap();
    let entries = recording.get("Entries").unwrap().as_array().unwrap().iter();
    let target = format!("TrentService.{operation}");
    let of_it = entries.filter(|entry| text(entry, "/Request/Header/X-Amz-Target/0") == target);
    of_it.map(|entry| answer(entry.get("Response").unwrap())).collect()
}

fn answer(response: &Value) -> Answer {
    let body = Base64::decode_vec(text(response, "/Body")).unwrap();
    let status = response.get("StatusCode").unwrap().as_u64().unwrap();
    let mut answer = Answer::new(u16::try_from(status).unwrap()).with_body(body);
    for (name, values) in response.get("Header").unwrap().as_object().unwrap() {
        if name != "Content-Length" {
            answer = answer.with_header(name, text(values, "/0"));
        }
    }
    answer
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).unwrap().as_str().unwrap()
}

/// A provider that the recorded answers come to, in place of a server's.
async fn replayed(operation: &str, answers: Vec<Answer>) -> (AwsKmsProvider, FaultProxy) {
    let proxy = FaultProxy::start(LocalStack::shared().url().as_str()).unwrap();
    for answer in answers {
        proxy.on(on(operation)).fault(HttpFault::Answer(answer));
    }
    let kms = AwsKmsProvider::connect(config(&proxy.url()).with_region("us-east-2")).await.unwrap();
    (kms, proxy)
}

#[tokio::test]
async fn a_recorded_encryption_is_understood() {
    let (kms, _proxy) = replayed("Encrypt", answers(ROUND_TRIP, "Encrypt")).await;
    let bytes = SecureBytes::new(vec![7; 32]);
    let wrapped =
        kms.wrap_data_key(&"alias/test-secrets".into(), &bytes, &context()).await.unwrap();
    assert_eq!(wrapped.key_id, ARN.into());
    assert_eq!(wrapped.version, KeyVersion::unknown(), "the service does not tell it here");
    assert_eq!(&wrapped.bytes[..4], &[1, 2, 2, 0]);
}

#[tokio::test]
async fn a_recorded_decryption_is_understood_and_its_material_compared() {
    let once = answers(ROUND_TRIP, "Decrypt");
    let (kms, _proxy) =
        replayed("Decrypt", [once.clone(), once.clone(), once.clone(), once].concat()).await;
    let secret = b"I'm a secret message!";
    let opened = kms.decrypt(&"alias/test-secrets".into(), &[1; 100], &scope()).await.unwrap();
    assert_eq!(opened, secret);
    let wrapped = |version: &str| {
        WrappedKey::new(vec![1; 100], ARN.into(), KeyVersion::new(version).unwrap())
    };
    assert_eq!(kms.decrypt_data_key(&wrapped(MATERIAL), &context()).await.unwrap(), secret);
    let error = kms.decrypt_data_key(&wrapped("00"), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    let mut another = wrapped("");
    another.key_id = KeyId::new(ARN.replace("8198", "0000"));
    let error = kms.decrypt_data_key(&another, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
}

#[tokio::test]
async fn a_recorded_refusal_is_the_one_that_localstack_gives() {
    let refusals = answers(MALFORMED, "Decrypt");
    assert!(refusals.len() >= 3, "{refusals:?}");
    let count = refusals.len();
    let (kms, proxy) = replayed("Decrypt", refusals).await;
    for _ in 0..count {
        let error =
            kms.decrypt(&"alias/test-secrets".into(), &[1; 100], &scope()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        assert_eq!(error.detail(), None);
    }
    assert!(proxy.calls().iter().all(|call| !call.forwarded && call.status == Some(400)));
}
