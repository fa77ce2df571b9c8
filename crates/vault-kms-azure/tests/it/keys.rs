//! Keys through their lives: versions, states, tags, deletion, hostile names.

use std::time::Duration;

use vault_crypto_core::ErrorKind::{
    AuthenticationFailed, Conflict, InvalidInput, KeyNotFound, KeyUnusable, PermissionDenied,
    Unsupported,
};
use vault_crypto_core::{
    KeyConfig, KeyId, KeySpec, KeyState, KeyVersion, KmsAdmin as _, KmsProvider as _,
    RotateOptions, Scope, SecureBytes,
};
use vault_kms_azure::AzureKmsProvider;
use vault_testkit::fakes::azure::{FakeKeyVault, FakeKeyVaultOptions};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match, Upstream};

use super::support::{World, config, context, scope};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn hostile_names_make_no_request() {
    let world = World::new().await;
    let long = "k".repeat(10_000);
    for name in ["", "../x", "a b", "a\nb", "a?b", "a#b", "a%2fb", "a/b", &long] {
        let key = KeyId::from(name);
        let error = world.kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(error.kind(), InvalidInput, "{name:?}");
        assert!(error.to_string().len() < 1_000);
        let error = world.kms.create_key(KeyConfig::new(name)).await.unwrap_err();
        assert_eq!(error.kind(), InvalidInput, "{name:?}");
        assert_eq!(world.kms.canonical_key_id(&key), None);
    }
    let elsewhere = KeyId::from("https://other.vault.azure.net/keys/app");
    let error = world.kms.describe_key(&elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), KeyNotFound);
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn a_stored_version_smuggles_nothing_into_a_request() {
    let world = World::new().await;
    let key = world.key("app").await;
    let mut wrapped = world.data_key(&key).await.wrapped().clone();
    world.asked();
    for version in ["../../secrets/x", "a:b", "..", ".", "a/b", "+", "=", "0"] {
        wrapped.version = KeyVersion::new(version).unwrap();
        let error = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
        assert_eq!(error.kind(), AuthenticationFailed, "{version}");
    }
    let asked = world.asked();
    let paths: Vec<&str> = asked.iter().map(|call| call.split(' ').nth(1).unwrap()).collect();
    assert!(
        paths.iter().all(|path| path.starts_with("/keys/app/") && !path.contains("..")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_version_that_is_gone_is_not_found_and_one_that_is_untrue_fails() {
    let world = World::new().await;
    let (key, other) = (world.key("app").await, world.key("other").await);
    let data_key = world.data_key(&key).await;
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let current = world.data_key(&key).await;
    // The current version opens it, so the version that was stored is not the one that wrapped.
    let mut wrapped = current.wrapped().clone();
    wrapped.version = KeyVersion::new("0".repeat(32)).unwrap();
    let error = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
    assert_eq!(error.kind(), AuthenticationFailed);
    // The version before is another key pair.
    wrapped.version = data_key.wrapped().version.clone();
    let error = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
    assert_eq!(error.kind(), AuthenticationFailed);
    let mut gone = data_key.wrapped().clone();
    gone.version = KeyVersion::new("0".repeat(32)).unwrap();
    let error = world.kms.decrypt_data_key(&gone, &context()).await.unwrap_err();
    assert_eq!(error.kind(), KeyNotFound);
    let mut moved = data_key.wrapped().clone();
    moved.key_id = other;
    let error = world.kms.decrypt_data_key(&moved, &context()).await.unwrap_err();
    assert_eq!(error.kind(), KeyNotFound);
}

#[tokio::test]
async fn altered_wrapped_bytes_and_payloads_fail() {
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    let sealed = world.kms.encrypt(&key, b"4111", &scope()).await.unwrap();
    for bit in [0, 7, 1_000, 2_047] {
        let mut wrapped = data_key.wrapped().clone();
        wrapped.bytes[bit / 8] ^= 1 << (bit % 8);
        let error = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
        assert_eq!(error.kind(), AuthenticationFailed, "bit {bit}");
        let mut altered = sealed.clone();
        altered[33 + bit / 8] ^= 1 << (bit % 8);
        let error = world.kms.decrypt(&key, &altered, &scope()).await.unwrap_err();
        assert_eq!(error.kind(), AuthenticationFailed, "bit {bit}");
    }
    for len in [0, 1, 255, 257, 4_096] {
        let mut wrapped = data_key.wrapped().clone();
        wrapped.bytes.resize(len, 0);
        let error = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
        assert_eq!(error.kind(), AuthenticationFailed, "{len} bytes");
    }
}

#[tokio::test]
async fn a_payload_opens_under_its_scope_alone_and_never_as_a_key() {
    let world = World::new().await;
    let key = world.key("app").await;
    let sealed = world.kms.encrypt(&key, b"4111", &scope()).await.unwrap();
    assert_eq!(world.kms.decrypt(&key, &sealed, &scope()).await.unwrap(), b"4111");
    for other in [Scope::empty(), Scope::new([("tenant", "other")]).unwrap()] {
        let error = world.kms.decrypt(&key, &sealed, &other).await.unwrap_err();
        assert_eq!(error.kind(), AuthenticationFailed);
    }
    // The bare ciphertext of the payload, taken out of its packing.
    let mut wrapped = world.data_key(&key).await.wrapped().clone();
    wrapped.bytes = sealed[33..].to_vec();
    let error = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap_err();
    assert_eq!(error.kind(), AuthenticationFailed);
    // And no key may begin as a payload does.
    let posing = SecureBytes::new(b"vaultkit.v1/payload\0 and more".to_vec());
    let error = world.kms.wrap_data_key(&key, &posing, &context()).await.unwrap_err();
    assert_eq!(error.kind(), InvalidInput);
}

#[tokio::test]
async fn what_was_wrapped_before_the_vault_rotated_by_itself_opens() {
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    world.kms.set_rotation_period(&key, Some(30 * DAY)).await.unwrap();
    let before = world.kms.describe_key(&key).await.unwrap();
    world.fake.advance(31 * DAY);
    let after = world.kms.describe_key(&key).await.unwrap();
    assert_eq!(
        (before.versions.len(), after.versions.len()),
        (1, 2),
        "the vault rotated by itself"
    );
    assert_eq!(
        world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap(),
        *data_key.plaintext()
    );
}

#[tokio::test]
async fn a_description_tells_dates_versions_and_kind() {
    let world = World::new().await;
    let mut config = KeyConfig::new("App").with_description("cards").with_tag("team", "payments");
    config.spec = KeySpec::Rsa { bits: 3_072 };
    let made = world.kms.create_key(config).await.unwrap();
    assert_eq!(made.key_id.as_str(), format!("{}/keys/app", world.fake.url()));
    assert_eq!((made.spec, made.state), (KeySpec::Rsa { bits: 3_072 }, KeyState::Enabled));
    assert!(made.created_at.is_some() && made.rotated_at.is_none());
    let rotated = world.kms.rotate_key(&made.key_id, RotateOptions::now()).await.unwrap();
    let info = world.kms.describe_key(&made.key_id).await.unwrap();
    assert_eq!(info.versions.len(), 2);
    assert_eq!(info.primary_version.as_ref(), Some(&rotated.new_version));
    assert_eq!(info.versions[0].state, KeyState::DecryptOnly);
    assert_eq!(info.versions[1].version, rotated.new_version);
    assert_eq!((info.created_at, info.description.as_str()), (made.created_at, "cards"));
    assert!(info.rotated_at.is_some());
    assert_eq!(info.tags.len(), 1, "the description is not shown among the tags");
}

#[tokio::test]
async fn deletion_is_never_sooner_than_asked_and_recovery_leaves_the_key_disabled() {
    let fake = FakeKeyVault::start_with(FakeKeyVaultOptions::new().with_retention_days(30));
    let kms = AzureKmsProvider::connect(config(&fake)).await.unwrap();
    let key = kms.create_key(KeyConfig::new("app")).await.unwrap().key_id;
    for days in [0, 6, 31, 90] {
        let error = kms.schedule_key_deletion(&key, days).await.unwrap_err();
        assert_eq!(error.kind(), InvalidInput, "{days}");
    }
    assert_eq!(kms.describe_key(&key).await.unwrap().state, KeyState::Enabled);
    fake.slow_deletions(2);
    let info = kms.schedule_key_deletion(&key, 10).await.unwrap();
    assert_eq!(info.state, KeyState::PendingDeletion);
    assert_eq!(kms.schedule_key_deletion(&key, 10).await.unwrap_err().kind(), Conflict);
    assert_eq!(kms.rotate_key(&key, RotateOptions::now()).await.unwrap_err().kind(), KeyUnusable);
    assert_eq!(kms.create_key(KeyConfig::new("app")).await.unwrap_err().kind(), Conflict);
    fake.advance(10 * DAY);
    kms.cancel_key_deletion(&key).await.unwrap();
    assert_eq!(kms.describe_key(&key).await.unwrap().state, KeyState::Disabled);
}

#[tokio::test]
async fn a_deletion_that_is_refused_leaves_the_key_as_it_was() {
    let world = World::new().await;
    let key = world.key("app").await;
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let before = world.kms.describe_key(&key).await.unwrap();
    world.fake.deny("delete");
    let error = world.kms.schedule_key_deletion(&key, 7).await.unwrap_err();
    assert_eq!(error.kind(), PermissionDenied);
    assert_eq!(world.kms.describe_key(&key).await.unwrap(), before);
}

#[tokio::test]
async fn a_missing_right_is_permission_denied_and_describing_does_without_some() {
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    world.fake.deny("unwrap");
    let error = world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), PermissionDenied);
    world.fake.deny("wrap");
    let error = world.kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), PermissionDenied);
    world.fake.deny("rotationpolicy");
    assert_eq!(world.kms.describe_key(&key).await.unwrap().rotation_period, None);
    world.fake.deny("read");
    assert_eq!(world.kms.describe_key(&key).await.unwrap_err().kind(), PermissionDenied);
    let health = world.kms.health_check().await.unwrap();
    assert!(health.healthy && health.latency.is_some(), "{health:?}");
    world.fake.allow_all();
    let opened = world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, data_key.plaintext());
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_before_anything_is_made() {
    let world = World::new().await;
    let long = "x".repeat(257);
    let refused = [
        (KeyConfig::new("app").with_description(&long), Unsupported),
        (KeyConfig::new("app").with_tag("a", &long), Unsupported),
        (
            (0..16).fold(KeyConfig::new("app"), |config, n| config.with_tag(n.to_string(), "")),
            Unsupported,
        ),
        (KeyConfig::new("app").with_tag("vaultkit-description", "x"), InvalidInput),
    ];
    for (config, kind) in refused {
        assert_eq!(world.kms.create_key(config).await.unwrap_err().kind(), kind);
    }
    let mut odd = KeyConfig::new("app");
    odd.spec = KeySpec::Rsa { bits: 1_024 };
    assert_eq!(world.kms.create_key(odd).await.unwrap_err().kind(), InvalidInput);
    assert!(world.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_fails_on_its_way_leaves_the_key_as_it_was() {
    let fake = FakeKeyVault::start();
    let upstream = Upstream::https(fake.addr(), &fake.host(), &fake.ca_pem()).unwrap();
    let proxy = FaultProxy::start_tls(upstream, fake.ca(), &[&fake.host()]).unwrap();
    let through = config(&fake).with_resolved(fake.host(), proxy.addr());
    let kms = AzureKmsProvider::connect(through).await.unwrap();
    let key = kms.create_key(KeyConfig::new("app")).await.unwrap().key_id;
    kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let before = kms.describe_key(&key).await.unwrap();
    // One of its two versions is disabled, the other one not.
    let refused = Answer::json(403, r#"{"error":{"code":"Forbidden","message":"no"}}"#);
    proxy.on(Match::method("PATCH")).nth(2).fault(HttpFault::Answer(refused));
    let error = kms.schedule_key_deletion(&key, 7).await.unwrap_err();
    assert_eq!(error.kind(), PermissionDenied);
    assert_eq!(kms.describe_key(&key).await.unwrap(), before);
}
