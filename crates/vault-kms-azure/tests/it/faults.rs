//! When things go wrong between here and the vault.

use std::time::{Duration, SystemTime};

use vault_crypto_core::ErrorKind::{self, Throttled, TimedOut, Unavailable};
use vault_crypto_core::{KeyConfig, KmsAdmin as _, KmsProvider as _};
use vault_kms_azure::AzureKmsProvider;
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::tls::TestCa;

use super::support::{World, config, context};

#[tokio::test]
async fn throttling_says_how_long_to_wait() {
    let world = World::new().await;
    let key = world.key("app").await;
    for (given, told) in
        [(Some(Duration::from_secs(7)), Some(Duration::from_secs(7))), (None, None)]
    {
        world.fake.throttle(1, given);
        let error = world.kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!((error.kind(), error.retry_after()), (Throttled, told));
    }
    world.data_key(&key).await;
}

#[tokio::test]
async fn nothing_is_retried_here() {
    let world = World::new().await;
    let key = world.key("app").await;
    world.asked();
    world.fake.throttle(1, None);
    assert!(world.kms.generate_data_key(&key, &context()).await.is_err());
    assert_eq!(world.asked().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_the_vault_is_not_told_the_token() {
    let fake = FakeKeyVault::start();
    let stranger = TestCa::new();
    let strange = AzureKmsProvider::connect(config(&fake).with_tls_roots(stranger.ca_pem()));
    let error =
        strange.await.unwrap().generate_data_key(&"app".into(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn a_vault_that_is_away_is_unavailable_and_health_says_so() {
    let world = World::new().await;
    let key = world.key("app").await;
    world.fake.stop();
    let error = world.kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    let health = world.kms.health_check().await.unwrap();
    assert!(!health.healthy, "{health:?}");
    world.fake.start_again();
    world.data_key(&key).await;
    assert!(world.kms.health_check().await.unwrap().healthy);
}

#[tokio::test]
async fn a_call_ends_in_its_time() {
    let fake = FakeKeyVault::start();
    // Takes connections and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(&fake)
        .with_resolved(fake.host(), silent.local_addr().unwrap())
        .with_call_timeout(Duration::from_millis(300));
    let kms = AzureKmsProvider::connect(config).await.unwrap();
    let error = kms.generate_data_key(&"app".into(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), TimedOut, "{error}");
}

#[tokio::test]
async fn the_vaults_time_is_told() {
    let world = World::new().await;
    let told = world.kms.server_time().await.unwrap().unwrap();
    let now: SystemTime = vault_crypto_core::Clock::now(&vault_crypto_core::SystemClock::new());
    let apart = now.duration_since(told).unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_secs(5), "{apart:?}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_at_once() {
    let fake = FakeKeyVault::start();
    let kind = |config| async { AzureKmsProvider::connect(config).await.unwrap_err().kind() };
    assert_eq!(kind(config(&fake).with_tls_roots("no pem")).await, ErrorKind::InvalidInput);
    assert_eq!(kind(config(&fake).with_proxy("::")).await, ErrorKind::InvalidInput);
    let at_once = config(&fake).with_call_timeout(Duration::ZERO);
    assert_eq!(kind(at_once).await, ErrorKind::InvalidInput);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_killed_in_the_middle_of_a_thousand_calls_gives_no_wrong_answer_and_comes_back() {
    let world = World::new().await;
    let key = world.kms.create_key(KeyConfig::new("app")).await.unwrap().key_id;
    let known = world.data_key(&key).await;
    let (mut good, mut failed) = (0, 0);
    for number in 0..1_000 {
        match number {
            300 | 700 => world.fake.stop(),
            320 | 720 => world.fake.start_again(),
            _ => {}
        }
        match world.kms.decrypt_data_key(known.wrapped(), &context()).await {
            Ok(opened) => {
                assert_eq!(&opened, known.plaintext(), "call {number}");
                good += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), Unavailable, "call {number}: {error:?}");
                failed += 1;
            }
        }
    }
    assert!((1..=42).contains(&failed), "{good} good and {failed} failed");
}
