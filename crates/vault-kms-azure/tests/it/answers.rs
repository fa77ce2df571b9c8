//! Answers that no Key Vault gives: of another key, cut short, with a challenge of somebody else's.

use vault_crypto_core::ErrorKind::{
    AuthenticationFailed, InvalidInput, PermissionDenied, Unavailable,
};
use vault_crypto_core::{ErrorKind, KmsProvider as _, SecureBytes};
use vault_kms_azure::AzureKmsProvider;
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::proxy::{Answer, HttpFault, Match};

use super::support::{Through, World, config, context, proxy, scope};

/// Every mention of the key `app` becomes one of `other`.
fn of_another_key() -> HttpFault {
    HttpFault::edit(|body| {
        let text = String::from_utf8(body.clone()).unwrap();
        *body = text.replace("/keys/app/", "/keys/other/").into_bytes();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn another_keys_answer_opens_nothing_and_is_stored_nowhere() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let kms = &world.kms;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let sealed = kms.encrypt(&key, b"4111", &scope()).await.unwrap();
    let broken = || world.proxy.on(Match::path("/keys/app")).fault(of_another_key());
    let elsewhere = |error: vault_crypto_core::CryptoError| {
        assert_eq!(error.kind(), Unavailable, "{error}");
        assert_eq!(error.detail(), Some("the service answered for another key"));
        assert_eq!(error.key_id(), Some(&key));
    };
    broken();
    elsewhere(kms.generate_data_key(&key, &context()).await.unwrap_err());
    broken();
    elsewhere(
        kms.wrap_data_key(&key, &SecureBytes::new(vec![7; 32]), &context()).await.unwrap_err(),
    );
    broken();
    elsewhere(kms.encrypt(&key, b"4111", &scope()).await.unwrap_err());
    broken();
    elsewhere(kms.describe_key(&key).await.unwrap_err());
    broken();
    let error = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), AuthenticationFailed);
    broken();
    let error = kms.decrypt(&key, &sealed, &scope()).await.unwrap_err();
    assert_eq!(error.kind(), AuthenticationFailed);
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, data_key.plaintext());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_lacks_something_is_unavailable_whatever_was_asked() {
    let world = Through::new(|config| config).await;
    let key = world.key("app").await;
    let kms = &world.kms;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let short = r#"{"kid":"https://vaultkit-test.vault.azure.net/keys/app/0f","value":"AAAA"}"#;
    for body in ["", "{", "[]", "null", "{}", r#"{"value":"AAAA"}"#, r#"{"kid":7}"#, short] {
        let broken = || {
            let body = body.as_bytes().to_vec();
            world.proxy.clear();
            world.proxy.on(Match::any()).fault(HttpFault::edit(move |told| told.clone_from(&body)));
        };
        let kind = |error: vault_crypto_core::CryptoError| error.kind();
        let mut kinds: Vec<ErrorKind> = Vec::new();
        broken();
        kinds.push(kind(kms.generate_data_key(&key, &context()).await.unwrap_err()));
        broken();
        kinds.push(kind(kms.encrypt(&key, b"4111", &scope()).await.unwrap_err()));
        broken();
        kinds.push(kind(kms.describe_key(&key).await.unwrap_err()));
        if body != short {
            broken();
            let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await;
            kinds.push(kind(opened.unwrap_err()));
        }
        assert!(kinds.iter().all(|kind| *kind == Unavailable), "{body}: {kinds:?}");
    }
}

#[tokio::test]
async fn an_empty_or_too_long_payload_makes_no_request() {
    let world = World::new().await;
    let key = world.key("app").await;
    world.asked();
    for len in [0, 139, 4_096] {
        let error = world.kms.encrypt(&key, &vec![7; len], &scope()).await.unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (InvalidInput, Some(&key)), "{len}");
        let bytes = SecureBytes::new(vec![7; len]);
        let error = world.kms.wrap_data_key(&key, &bytes, &context()).await.unwrap_err();
        assert_eq!(error.kind(), InvalidInput, "{len}");
    }
    assert!(world.asked().is_empty());
    for len in [1, 138] {
        let sealed = world.kms.encrypt(&key, &vec![7; len], &scope()).await.unwrap();
        assert_eq!(world.kms.decrypt(&key, &sealed, &scope()).await.unwrap(), vec![7; len]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_names_another_resource_gets_no_token_and_another_authority_no_login() {
    let fake = FakeKeyVault::start();
    let (vault, login) = (proxy(&fake), proxy(&fake));
    let connect = || {
        let cloud = vault_kms_azure::AzureCloud::Custom { authority: login.url() };
        let config = config(&fake).with_cloud(cloud).with_resolved(fake.host(), vault.addr());
        AzureKmsProvider::connect(config)
    };
    let answer = |authority: &str, resource: &str| {
        let told = format!(r#"Bearer authorization="{authority}", resource="{resource}""#);
        HttpFault::Answer(Answer::new(401).with_header("www-authenticate", &told))
    };
    for resource in ["https://evil.example", "https://management.azure.com", "nothing", ""] {
        let kms = connect().await.unwrap();
        vault.on(Match::any()).fault(answer("https://login.microsoftonline.com/t", resource));
        let error = kms.describe_key(&"app".into()).await.unwrap_err();
        assert!([PermissionDenied, Unavailable].contains(&error.kind()), "{resource} {error}");
    }
    assert!(login.calls().is_empty(), "no token was asked for");
    assert!(fake.calls().is_empty(), "and none was shown");
    // Where to log in is the configuration's alone.
    let kms = connect().await.unwrap();
    vault.on(Match::any()).fault(answer("https://evil.example/t", "https://vault.azure.net"));
    let error = kms.describe_key(&"app".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
    assert_eq!(login.calls().len(), 1);
}
