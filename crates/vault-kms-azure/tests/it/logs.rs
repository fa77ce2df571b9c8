//! What the SDK and we say to whoever listens to `tracing`: nothing secret, at any level.

use std::time::Duration;

use tracing::Level;
use vault_crypto_core::KmsProvider as _;
use vault_kms_azure::{AzureKmsProvider, danger};
use vault_testkit::LogListener;
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::redaction::SecretScan;

use super::support::{World, config, context, scope};

#[tokio::test]
async fn logs_hold_no_secret() {
    let log = LogListener::start(Level::TRACE);
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    let sealed = world.kms.encrypt(&key, b"4111 1111 1111 1111", &scope()).await.unwrap();
    world.kms.decrypt(&key, &sealed, &scope()).await.unwrap();
    world.fake.deny("unwrap");
    world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    let said = log.heard();
    assert!(said.contains("keys/app"), "the SDK was listened to: {said}");
    let token = world.fake.token(Duration::from_secs(60));
    let (head, _) = token.split_once('.').unwrap();
    for secret in [
        data_key.plaintext().as_slice(),
        &data_key.wrapped().bytes,
        &sealed[33..],
        b"4111 1111 1111 1111",
        world.fake.client_secret().as_bytes(),
        head.as_bytes(),
        b"does not have keys unwrap permission",
    ] {
        SecretScan::new(secret).assert_absent("a log", &said);
    }
}

#[tokio::test]
async fn a_check_that_is_turned_off_is_said_in_the_log() {
    let fake = FakeKeyVault::start();
    let log = LogListener::start(Level::TRACE);
    let weakened = danger::without_challenge_verification(config(&fake));
    assert!(format!("{weakened:?}").contains("verify_challenge: false"));
    assert!(log.heard().contains("without_challenge_verification"));
    assert!(AzureKmsProvider::connect(weakened).await.is_ok());
}
