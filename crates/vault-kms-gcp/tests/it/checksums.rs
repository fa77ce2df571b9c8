//! CRC32C both ways: damage is met with another try, three times, and then said.

use vault_crypto_core::{ErrorKind, KmsProvider};
use vault_testkit::fakes::google::CrcFault;

use super::support::{Service, context, kind, scope};

const FAULTS: [CrcFault; 4] = [
    CrcFault::RequestDamaged,
    CrcFault::NotVerified,
    CrcFault::AnswerDamaged,
    CrcFault::AnswerWithout,
];

/// Decrypt's answer says nothing of what was verified: a mismatch there is an error already.
fn applies(fault: CrcFault, method: &str) -> bool {
    match fault {
        CrcFault::RequestDamaged => method != "GenerateRandomBytes",
        CrcFault::NotVerified => method == "Encrypt",
        _ => true,
    }
}

async fn call(service: &Service, method: &str, sealed: &[u8]) -> vault_crypto_core::Result<()> {
    let key = vault_crypto_core::KeyId::new("cards");
    match method {
        "Encrypt" => service.kms.encrypt(&key, b"payload", &scope()).await.map(drop),
        "Decrypt" => service.kms.decrypt(&key, sealed, &scope()).await.map(|opened| {
            assert_eq!(opened.as_slice(), b"payload");
        }),
        _ => service.kms.random_bytes(32).await.map(drop),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_survived_twice_and_said_the_third_time() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let sealed = service.kms.encrypt(&key, b"payload", &scope()).await.unwrap();
    for method in ["Encrypt", "Decrypt", "GenerateRandomBytes"] {
        for fault in FAULTS.into_iter().filter(|fault| applies(*fault, method)) {
            for (times, calls) in [(1, 2), (2, 3), (3, 3)] {
                service.fake.forget_calls();
                (0..times).for_each(|_| service.fake.corrupt_next_crc(fault));
                let outcome = call(&service, method, &sealed).await;
                assert_eq!(service.fake.count(method), calls, "{method} {fault:?} {times}");
                if times < 3 {
                    outcome.unwrap();
                } else {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{method} {fault:?}");
                    assert!(error.to_string().contains("checksums"), "{error}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_authentic_are_asked_once() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let data_key = service.kms.generate_data_key(&key, &context()).await.unwrap();
    for at in 0..data_key.wrapped().bytes.len() {
        let mut wrapped = data_key.wrapped().clone();
        wrapped.bytes[at] ^= 1;
        service.fake.forget_calls();
        let opened = service.kms.decrypt_data_key(&wrapped, &context()).await;
        assert_eq!(kind(opened), ErrorKind::AuthenticationFailed, "byte {at}");
        assert_eq!(service.fake.count("Decrypt"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_under_another_name_is_not_believed() {
    let service = Service::start().await;
    let (key, other) = (service.key("cards").await, service.key("cards2").await);
    for name in [
        format!("{other}/cryptoKeyVersions/1"),
        key.to_string(),
        format!("{key}/cryptoKeyVersions/0"),
        format!("{key}/cryptoKeyVersions/1/x"),
        String::new(),
    ] {
        service.fake.answer_next_name(&name);
        let error = service.kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("answered for another key"), "{name} {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_the_service_names_otherwise_is_told() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let numbered = key.as_str().replace("acme-prod", "123456789");
    service.fake.answer_next_name(&format!("{numbered}/cryptoKeyVersions/1"));
    let error = service.kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "asking again does not help");
    assert!(error.to_string().contains("an id and a number"), "{error}");
}
