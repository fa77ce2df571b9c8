//! Rotation and rewrap: inside the server, with old versions shut off afterwards.

use std::time::Duration;

use vault_crypto_core::{ErrorKind, KeyState, KeyVersion, KmsAdmin, KmsProvider, RotateOptions};
use vault_testkit::servers::Vault;

use super::support::{ask, context, fresh_key, provider, provider_on};

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrap_moves_to_the_new_version_and_no_plaintext_leaves_the_server() {
    // A server of its own, so that its log of calls is of this test alone.
    let vault = Vault::start().unwrap_or_else(|error| panic!("{error}"));
    ask(&vault, &["secrets", "enable", "transit"]);
    let provider = provider_on(&vault).await;
    let key = fresh_key(&*provider, "orders").await;
    let old = provider.generate_data_key(&key, &context()).await.unwrap();
    let rotated = provider.rotate_key(&key, RotateOptions::now()).await.unwrap();
    assert_eq!(rotated.new_version, KeyVersion::from(2));
    let new = provider.rewrap_data_key(old.wrapped(), &key, &context()).await.unwrap();
    assert_eq!(new.version, KeyVersion::from(2));
    provider.set_min_decryption_version(&key, 2).await.unwrap();
    provider.describe_key(&key).await.unwrap();
    let calls: Vec<String> = logged_until(&vault, 8).into_iter().map(|(_, path)| path).collect();
    assert!(calls.contains(&"transit/rewrap/orders".to_owned()), "{calls:?}");
    assert!(!calls.iter().any(|path| path.contains("/decrypt/")), "{calls:?}");
    // Shut off: only what was moved opens.
    let refused = provider.decrypt_data_key(old.wrapped(), &context()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeyUnusable);
    let opened = provider.decrypt_data_key(&new, &context()).await.unwrap();
    assert_eq!(&opened, old.plaintext());
    let info = provider.describe_key(&key).await.unwrap();
    let states: Vec<KeyState> = info.versions.iter().map(|version| version.state).collect();
    assert_eq!(states, [KeyState::Disabled, KeyState::Enabled]);
    for none in [0, 3] {
        let refused = provider.set_min_decryption_version(&key, none).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}

/// The calls under `transit/`, when there are as many as were made: the server may write its log late.
fn logged_until(vault: &Vault, count: usize) -> Vec<(String, String)> {
    for _ in 0..200 {
        let calls = vault.calls().unwrap();
        let ours = calls.into_iter().filter(|call| call.path.starts_with("transit/"));
        let ours: Vec<_> = ours.map(|call| (call.operation, call.path)).collect();
        if ours.len() >= count {
            return ours;
        }
        let pause = vault_crypto_core::Clock::sleep(
            &vault_crypto_core::SystemClock::new(),
            Duration::from_millis(20),
        );
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(pause));
    }
    panic!("the server's log does not have the calls that were made: {:?}", vault.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_periods_are_the_servers() {
    let provider = provider().await;
    let key = fresh_key(&*provider, "dates").await;
    let made = provider.describe_key(&key).await.unwrap();
    assert!(made.created_at.is_some() && made.rotated_at.is_none());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let rotated = provider.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let info = provider.describe_key(&key).await.unwrap();
    assert_eq!(info.created_at, made.created_at);
    assert_eq!(info.rotated_at, Some(rotated.rotated_at));
    assert!(info.rotated_at > info.created_at);
    let months = Duration::from_secs(90 * 24 * 60 * 60);
    provider.set_rotation_period(&key, Some(months)).await.unwrap();
    let info = provider.describe_key(&key).await.unwrap();
    assert_eq!(info.rotation_period, Some(months));
    for odd in [Duration::from_secs(60 * 60), months + Duration::from_nanos(1)] {
        let refused = provider.set_rotation_period(&key, Some(odd)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrap_to_another_key_is_bound_to_the_same_scope() {
    let provider = provider().await;
    let from = fresh_key(&*provider, "moves-from").await;
    let to = fresh_key(&*provider, "moves-to").await;
    let old = provider.generate_data_key(&from, &context()).await.unwrap();
    let new = provider.rewrap_data_key(old.wrapped(), &to, &context()).await.unwrap();
    assert_eq!(new.key_id, to);
    assert_eq!(&provider.decrypt_data_key(&new, &context()).await.unwrap(), old.plaintext());
    let other = vault_crypto_core::WrapContext::data_key(vault_crypto_core::Scope::empty());
    for wrong in [
        provider.decrypt_data_key(&new, &other).await.err(),
        provider.rewrap_data_key(old.wrapped(), &to, &other).await.err(),
    ] {
        assert_eq!(wrong.map(|error| error.kind()), Some(ErrorKind::AuthenticationFailed));
    }
}
