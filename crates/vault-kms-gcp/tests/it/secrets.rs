//! No secret in anything that prints.

use std::error::Error as _;

use vault_crypto_core::{
    CryptoError, KeyVersion, KmsProvider, RandomSource, Result, SecureBytes, WrappedKey,
};
use vault_kms_gcp::GcpKmsProvider;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};
use vault_testkit::redaction::SecretScan;

use super::support::{Service, Tokens, at, client, context, plain, scope};

const TOKEN: &str = "ya29.the-token-of-this-test";
const KEY: [u8; 32] = *b"these are the bytes of data keys";

/// Every data key is the same, so that it can be searched for.
#[derive(Debug)]
struct Marked;

impl RandomSource for Marked {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        // Other draws are shorter: how long a refused login rests.
        out.iter_mut().zip(KEY).for_each(|(byte, key)| *byte = key);
        Ok(())
    }
}

fn texts(error: &CryptoError) -> Vec<String> {
    let mut texts = vec![error.to_string(), format!("{error:?}"), format!("{error:#?}")];
    let mut next = error.source();
    while let Some(source) = next {
        texts.push(format!("{source} {source:?}"));
        next = source.source();
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_payloads_tokens_and_ciphertexts_stand_in_no_output() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let config = at(&proxy.url())
        .with_credentials(Tokens::new(TOKEN).credentials())
        .with_random(std::sync::Arc::new(Marked));
    let shown = format!("{config:?}");
    let kms = GcpKmsProvider::connect(config).await.unwrap();
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(data_key.plaintext(), &KEY);
    let payload = b"4111 1111 1111 1111";
    let sealed = kms.encrypt(&key, payload, &scope()).await.unwrap();
    let scans = [&KEY[..], payload, TOKEN.as_bytes(), &data_key.wrapped().bytes, &sealed];
    let scans: Vec<SecretScan> = scans.into_iter().map(SecretScan::new).collect();

    let mut all = vec![shown, format!("{kms:?}"), format!("{:?}", client(&service.kms))];
    let bytes = SecureBytes::new(KEY.to_vec());
    let wrapped = data_key.wrapped();
    let foreign = WrappedKey::new(sealed.clone(), wrapped.key_id.clone(), KeyVersion::unknown());
    for code in 1..=16 {
        let echo =
            vault_testkit::proxy::Answer::grpc(code, &format!("{TOKEN} 4111 1111 1111 1111"));
        proxy.on(Match::any()).always().fault(HttpFault::Answer(echo));
        let errors = [
            kms.generate_data_key(&key, &context()).await.unwrap_err(),
            kms.wrap_data_key(&key, &bytes, &context()).await.unwrap_err(),
            kms.decrypt_data_key(wrapped, &context()).await.unwrap_err(),
            kms.rewrap_data_key(wrapped, &key, &context()).await.unwrap_err(),
            kms.encrypt(&key, payload, &scope()).await.unwrap_err(),
            kms.decrypt(&key, &sealed, &scope()).await.unwrap_err(),
            kms.describe_key(&key).await.unwrap_err(),
            kms.random_bytes(32).await.unwrap_err(),
        ];
        proxy.clear();
        all.extend(errors.iter().flat_map(texts));
        all.push(kms.health_check().await.unwrap().message);
    }
    all.extend(texts(&kms.decrypt_data_key(&foreign, &context()).await.unwrap_err()));
    for text in &all {
        for scan in &scans {
            assert_eq!(scan.find(text), None, "{text}");
        }
    }
    assert!(all.len() > 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_no_header_can_hold_is_an_error_and_no_panic() {
    let service = Service::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    std::fs::write(&path, r#"{"type":"service_account","client_email":"a@b","private_key_id":"1","private_key":"no\nkey","project_id":"p"}"#).unwrap();
    let credentials = vault_kms_gcp::GcpCredentials::ServiceAccountKeyFile(path);
    let kms =
        GcpKmsProvider::connect(plain(&service.fake).with_credentials(credentials)).await.unwrap();
    let error = kms.random_bytes(32).await.unwrap_err();
    assert_eq!(error.kind(), vault_crypto_core::ErrorKind::PermissionDenied, "{error:?}");
}
