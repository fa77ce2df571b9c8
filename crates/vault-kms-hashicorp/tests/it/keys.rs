//! Which keys are used, and which names reach the server at all.

use std::sync::Arc;
use std::time::Duration;

use vault_connection::{VaultConnectionConfig, VaultCredentials, VaultMount};
use vault_crypto_core::{
    ErrorKind, KeyConfig, KeyId, KeyVersion, KmsAdmin, KmsProvider, Scope, SecureBytes, WrappedKey,
};
use vault_kms_hashicorp::{ScopeBinding, VaultKmsConfig};
use vault_testkit::VirtualClock;
use vault_testkit::proxy::{FaultProxy, Match};

use super::support::{ask, connect, connection_at, context, fresh_key, provider, server};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_reach_no_server() {
    let proxy = FaultProxy::start(server().url().as_str()).unwrap();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let long = "k".repeat(10_000);
    let names = [
        "",
        ".",
        "..",
        "../../sys/seal",
        "a/../b",
        "a/b",
        "a b",
        "a\nb",
        "a?b",
        "a#b",
        "a%2fb",
        "\0",
        "-a",
        "\u{e4}",
    ];
    for name in names.into_iter().chain([long.as_str()]) {
        for id in [KeyId::new(name), KeyId::new(format!("hcvault:test/transit#{name}"))] {
            let wrapped = WrappedKey::new(b"vault:v1:AAAA".to_vec(), id.clone(), 1.into());
            let failed = [
                provider.generate_data_key(&id, &context()).await.err(),
                provider.wrap_data_key(&id, &SecureBytes::new(vec![7; 32]), &context()).await.err(),
                provider.decrypt_data_key(&wrapped, &context()).await.err(),
                provider.rewrap_data_key(&wrapped, &id, &context()).await.err(),
                provider.encrypt(&id, b"x", &Scope::empty()).await.err(),
                provider.decrypt(&id, b"x", &Scope::empty()).await.err(),
                provider.describe_key(&id).await.err(),
                provider.rotate_key(&id, Default::default()).await.err(),
                provider.set_rotation_period(&id, None).await.err(),
                provider.create_key(KeyConfig::new(name)).await.err(),
                provider.list_keys(Some(&id), 1).await.err(),
            ];
            for error in failed {
                let error = error.unwrap();
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:.20}: {error:.200}");
                assert!(error.to_string().len() < 1_000 && !error.to_string().contains('\n'));
            }
            assert_eq!(provider.canonical_key_id(&id), None);
        }
    }
    assert_eq!(proxy.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_kind_than_the_binding_are_refused() {
    let provider = provider().await;
    for (name, settings) in [
        ("kind-plain", &["derived=false"][..]),
        ("kind-convergent", &["derived=true", "convergent_encryption=true"]),
        ("kind-small", &["type=aes128-gcm96", "derived=true"]),
        ("kind-signing", &["type=ed25519"]),
        ("kind-rsa", &["type=rsa-2048"]),
    ] {
        let path = format!("transit/keys/{name}");
        ask(server(), &[&["write", "-f", path.as_str()], settings].concat());
        let error = provider.generate_data_key(&KeyId::new(name), &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnusable, "{name}");
        assert!(error.detail().is_some());
    }
    let derived = fresh_key(&*provider, "kind-derived").await;
    let config = VaultKmsConfig::new(connection_at(&server().url(), server()));
    let by_mac = connect(config.with_scope_binding(ScopeBinding::HeaderMac)).await;
    let error = by_mac.generate_data_key(&derived, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_exchanged_for_another_kind_is_noticed() {
    let (clock, name) = (VirtualClock::new(), "exchanged");
    let connection = connection_at(&server().url(), server()).with_clock(Arc::new(clock.clone()));
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, name).await;
    provider.generate_data_key(&key, &context()).await.unwrap();
    ask(server(), &["write", "transit/keys/exchanged/config", "deletion_allowed=true"]);
    ask(server(), &["delete", "transit/keys/exchanged"]);
    let error = provider.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
    ask(server(), &["write", "-f", "transit/keys/exchanged", "derived=false"]);
    let error = provider.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable);
    // Without a failure between, after a minute at the latest.
    exchange(name, "derived=true");
    provider.generate_data_key(&key, &context()).await.unwrap();
    exchange(name, "derived=false");
    clock.advance(Duration::from_secs(61));
    let error = provider.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable);
}

/// Another key under the same name.
fn exchange(name: &str, kind: &str) {
    let path = format!("transit/keys/{name}");
    ask(server(), &["write", &format!("{path}/config"), "deletion_allowed=true"]);
    ask(server(), &["delete", &path]);
    ask(server(), &["write", "-f", &path, kind]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_noticed_by_a_version_that_no_look_has_shown() {
    let connection =
        connection_at(&server().url(), server()).with_clock(Arc::new(VirtualClock::new()));
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, "by-version").await;
    provider.rotate_key(&key, Default::default()).await.unwrap();
    let old = provider.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(old.wrapped().version, KeyVersion::from(2));
    exchange("by-version", "derived=false");
    let bytes = SecureBytes::new(vec![7; 32]);
    let refused = [
        provider.generate_data_key(&key, &context()).await.err(),
        provider.wrap_data_key(&key, &bytes, &context()).await.err(),
        provider.encrypt(&key, b"x", &Scope::empty()).await.err(),
    ];
    for error in refused {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::KeyUnusable));
    }
    // Each alone, while the look still stands: what it wraps is never handed out.
    for call in 0..3 {
        exchange("by-version", "derived=true");
        provider.rotate_key(&key, Default::default()).await.unwrap();
        provider.generate_data_key(&key, &context()).await.unwrap();
        exchange("by-version", "derived=false");
        let error = match call {
            0 => provider.generate_data_key(&key, &context()).await.err(),
            1 => provider.wrap_data_key(&key, &bytes, &context()).await.err(),
            _ => provider.encrypt(&key, b"x", &Scope::empty()).await.err(),
        };
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::KeyUnusable), "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_that_fails_causes_another_look() {
    let connection =
        connection_at(&server().url(), server()).with_clock(Arc::new(VirtualClock::new()));
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, "by-failure").await;
    let old = provider.generate_data_key(&key, &context()).await.unwrap();
    exchange("by-failure", "derived=false");
    let error = provider.decrypt_data_key(old.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    let error = provider.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnusable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_key_is_looked_at_twice_a_minute_by_one_of_its_callers() {
    let (clock, proxy) = (VirtualClock::new(), FaultProxy::start(server().url().as_str()).unwrap());
    let connection = connection_at(&proxy.url(), server()).with_clock(Arc::new(clock.clone()));
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, "busy").await;
    let look = Match::path("/keys/busy").and_method("GET");
    let looks = || proxy.calls().iter().filter(|call| look.describes(call)).count();
    let before = looks();
    for _ in 0..10 {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (provider, key) = (provider.clone(), key.clone());
                tokio::spawn(async move { provider.generate_data_key(&key, &context()).await })
            })
            .collect();
        for asked in asking {
            asked.await.unwrap().unwrap();
        }
        clock.advance(Duration::from_secs(10));
    }
    // Eight at the first use at most, and one after each half of a minute.
    let looks = looks() - before;
    assert!((4..=11).contains(&looks), "{looks} looks");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrapping_under_a_key_that_does_not_exist_makes_none() {
    let provider = provider().await;
    let missing = KeyId::new("never-made");
    let bytes = SecureBytes::new(vec![7; 32]);
    let errors = [
        provider.wrap_data_key(&missing, &bytes, &context()).await.err(),
        provider.encrypt(&missing, b"x", &Scope::empty()).await.err(),
    ];
    for error in errors {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::KeyNotFound));
    }
    assert!(server().run(&["read", "transit/keys/never-made"]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_are_enough() {
    let key = fresh_key(&*provider().await, "least").await;
    let policy = r#"
        path "transit/keys/least" { capabilities = ["read"] }
        path "transit/datakey/plaintext/least" { capabilities = ["update"] }
        path "transit/encrypt/least" { capabilities = ["update"] }
        path "transit/decrypt/least" { capabilities = ["update"] }
        path "transit/rewrap/least" { capabilities = ["update"] }
        path "transit/random/+" { capabilities = ["update"] }"#;
    ask(server(), &["write", "sys/policies/acl/least", &format!("policy={policy}")]);
    let token = ask(server(), &["token", "create", "-policy=least", "-field=token"]);
    let connection = VaultConnectionConfig::new(server().url(), VaultCredentials::token(token));
    let provider = connect(VaultKmsConfig::new(connection.with_server_name("test"))).await;
    let data_key = provider.generate_data_key(&key, &context()).await.unwrap();
    let wrapped = provider.wrap_data_key(&key, data_key.plaintext(), &context()).await.unwrap();
    let again = provider.rewrap_data_key(&wrapped, &key, &context()).await.unwrap();
    assert_eq!(&provider.decrypt_data_key(&again, &context()).await.unwrap(), data_key.plaintext());
    provider.describe_key(&key).await.unwrap();
    provider.random_bytes(32).await.unwrap();
    assert!(provider.health_check().await.unwrap().healthy);
    assert!(provider.who_am_i().await.unwrap().contains("least"));
    let refused = provider.create_key(KeyConfig::new("more")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(refused.to_string().contains("keys/NAME"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_mounted_elsewhere_has_its_own_key_ids() {
    ask(server(), &["secrets", "enable", "-path=team-a/kms", "transit"]);
    let config = VaultKmsConfig::new(connection_at(&server().url(), server()));
    let provider = connect(config.with_mount("/team-a/kms/")).await;
    let key = fresh_key(&*provider, "k").await;
    assert_eq!(key.as_str(), "hcvault:test/team-a/kms#k");
    let data_key = provider.generate_data_key(&KeyId::new("k"), &context()).await.unwrap();
    assert_eq!(data_key.wrapped().key_id, key);
    let elsewhere = super::support::provider().await;
    let error = elsewhere.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
    let config = VaultKmsConfig::new(connection_at(&server().url(), server()));
    let nowhere = connect(config.with_mount("nowhere")).await;
    let error = nowhere.describe_key(&KeyId::new("k")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotFound);
    assert!(error.to_string().contains("mounted"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_the_server_would_ignore_is_refused() {
    let connection = connection_at(&server().url(), server());
    let namespaced = connection.with_namespace(VaultMount::new("team-a").unwrap());
    let provider = connect(VaultKmsConfig::new(namespaced)).await;
    let error = provider.generate_data_key(&KeyId::new("k"), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("namespace"), "{error}");
    let health = provider.health_check().await.unwrap();
    assert!(!health.healthy && health.message.contains("namespaces"), "{health:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_payload_reaches_no_server() {
    let proxy = FaultProxy::start(server().url().as_str()).unwrap();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let error = provider.encrypt(&KeyId::new("empty"), b"", &Scope::empty()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(proxy.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_bit_of_a_wrapped_key_opens() {
    let provider = provider().await;
    let key = fresh_key(&*provider, "flipped").await;
    let data_key = provider.generate_data_key(&key, &context()).await.unwrap();
    for at in 0..data_key.wrapped().bytes.len() {
        for bit in [0, 2, 5] {
            let mut wrapped = data_key.wrapped().clone();
            // Without a stored version, so that the text alone is what is looked at.
            wrapped.version = KeyVersion::unknown();
            wrapped.bytes[at] ^= 1 << bit;
            let error = provider.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "bit {bit} of byte {at}");
        }
    }
}
