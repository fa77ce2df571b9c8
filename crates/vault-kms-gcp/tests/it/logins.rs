//! Tokens that expire, are refused or cannot be had, and the files that logins are made from.

use std::fs;
use std::sync::Arc;

use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KmsAdmin, KmsProvider, Operation, RotateOptions,
};
use vault_kms_gcp::{GcpCredentials, GcpKmsProvider};
use vault_testkit::VirtualClock;
use vault_testkit::fakes::google::FakeGoogleLogin;

use super::support::{Service, Tokens, at, context, kind, plain};

async fn as_holder(service: &Service, tokens: &Tokens) -> GcpKmsProvider {
    let config = plain(&service.fake).with_credentials(tokens.credentials());
    GcpKmsProvider::connect(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_service_refuses_is_replaced_within_the_call() {
    let (service, login) = (Service::start().await, FakeGoogleLogin::start());
    let key = service.key("cards").await;
    service.fake.expect_logins_of(&login);
    let folder = tempfile::tempdir().unwrap();
    let (subject, path) = (folder.path().join("subject"), folder.path().join("config.json"));
    fs::write(&subject, "right").unwrap();
    fs::write(&path, login.external_account(&subject, "right", None)).unwrap();
    let clock = VirtualClock::new();
    let config = plain(&service.fake)
        .with_credentials(GcpCredentials::WorkloadIdentityFederation(path))
        .with_clock(Arc::new(clock.clone()));
    let kms = Arc::new(GcpKmsProvider::connect(config).await.unwrap());
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(login.requests().len(), 1);

    login.revoke_all();
    service.fake.forget_calls();
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, data_key.plaintext());
    assert_eq!((login.requests().len(), service.fake.calls().len()), (2, 2));

    // Many at once are refused, and one login serves them all.
    login.revoke_all();
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (kms, key) = (Arc::clone(&kms), key.clone());
            tokio::spawn(async move { kms.generate_data_key(&key, &context()).await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(login.requests().len(), 3);

    // Whom the service never takes asks for no token after another.
    service.fake.revoke_tokens();
    for _ in 0..50 {
        let refused = kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("token"), "{refused}");
    }
    assert_eq!(login.requests().len(), 4);
    assert!(!kms.health_check().await.unwrap().healthy);
    service.fake.expect_logins_of(&login);
    kms.generate_data_key(&key, &context()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_refused_token_did_not_make_is_made_once() {
    let service = Service::start().await;
    let tokens = Tokens::new("first-token-of-the-test");
    let kms = as_holder(&service, &tokens).await;
    service.fake.expect_token(Some("first-token-of-the-test"));
    let key = kms.create_key(KeyConfig::new("cards")).await.unwrap().key_id;
    service.fake.expect_token(Some("second-token-of-the-test"));
    let refused = kms.rotate_key(&key, RotateOptions::now()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "the source has no other token");
    tokens.set("second-token-of-the-test");
    kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    assert_eq!(kms.describe_key(&key).await.unwrap().versions.len(), 2);
    service.fake.fail_next_of("CreateCryptoKeyVersion", 16.into());
    kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    assert_eq!(kms.describe_key(&key).await.unwrap().versions.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_fails_is_told_from_a_service_that_refuses() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let tokens = Tokens::new("a-token-of-the-test");
    let kms = as_holder(&service, &tokens).await;
    assert_eq!(kms.who_am_i().await.unwrap(), "the caller's own credentials");
    service.fake.forget_calls();
    for (transient, expected) in
        [(true, ErrorKind::Unavailable), (false, ErrorKind::PermissionDenied)]
    {
        tokens.fail(transient);
        let errors: [CryptoError; 2] = [
            kms.generate_data_key(&key, &context()).await.unwrap_err(),
            kms.who_am_i().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!((error.kind(), error.operation()), (expected, Operation::LogIn));
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
    assert_eq!(service.fake.calls(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_may_not_do_is_permission_denied() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let data_key = service.kms.generate_data_key(&key, &context()).await.unwrap();
    service.fake.deny("cloudkms.cryptoKeyVersions.useToDecrypt");
    let opened = service.kms.decrypt_data_key(data_key.wrapped(), &context()).await;
    assert_eq!(kind(opened), ErrorKind::PermissionDenied);
    service.kms.generate_data_key(&key, &context()).await.unwrap();
    // Who may only use keys may not read their ring: the service is healthy all the same.
    service.fake.deny("cloudkms.keyRings.get");
    let health = service.kms.health_check().await.unwrap();
    assert!(health.healthy && health.latency.is_some(), "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_signs_its_own_tokens() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    fs::write(&path, service_account()).unwrap();
    let credentials = GcpCredentials::ServiceAccountKeyFile(path);
    let config = plain(&service.fake).with_credentials(credentials);
    let kms = GcpKmsProvider::connect(config).await.unwrap();
    assert_eq!(kms.who_am_i().await.unwrap(), "app@acme-prod.iam.gserviceaccount.com");
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, data_key.plaintext());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_credentials_are_refused_without_their_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    let connect = async |credentials| {
        GcpKmsProvider::connect(at("http://127.0.0.1:9").with_credentials(credentials)).await
    };
    let missing = connect(GcpCredentials::ServiceAccountKeyFile(path.clone())).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
    let contents = [
        "canary, and no JSON",
        r#"{"type": "authorized_user", "refresh_token": "canary"}"#,
        r#"{"type": "service_account", "private_key": "canary"}"#,
        r#"{"type": "external_account", "client_secret": "canary"}"#,
    ];
    for content in contents {
        fs::write(&path, content).unwrap();
        for credentials in [
            GcpCredentials::ServiceAccountKeyFile(path.clone()),
            GcpCredentials::WorkloadIdentityFederation(path.clone()),
        ] {
            let error = connect(credentials).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{content}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_only_by_an_emulator() {
    let refused = GcpKmsProvider::connect(at("https://127.0.0.1:9")).await;
    assert_eq!(kind(refused), ErrorKind::InvalidInput);
    let refused = GcpKmsProvider::connect(at("http://cloudkms.googleapis.com")).await;
    assert_eq!(kind(refused), ErrorKind::InvalidInput);
}

/// A key file as Google writes it, with a key of its own.
fn service_account() -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    serde_json::json!({
        "type": "service_account",
        "project_id": "acme-prod",
        "private_key_id": "1",
        "private_key": key,
        "client_email": "app@acme-prod.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}
