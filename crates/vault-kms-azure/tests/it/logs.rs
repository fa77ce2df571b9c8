//! What the SDK and we say to whoever listens to `tracing`: nothing secret, at any level.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use vault_crypto_core::KmsProvider as _;
use vault_kms_azure::{AzureKmsProvider, danger};
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::redaction::SecretScan;

use super::support::{World, config, context, scope};

/// Writes down every event and every span of every level.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<String>>);

struct Writer<'a>(&'a mut String);

impl Visit for Writer<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0, "{field}={value:?}").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Writer(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Writer(&mut self.0.lock().unwrap()));
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Writer(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn logs_hold_no_secret() {
    let listener = Listener::default();
    let listening = tracing::subscriber::set_default(listener.clone());
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    let sealed = world.kms.encrypt(&key, b"4111 1111 1111 1111", &scope()).await.unwrap();
    world.kms.decrypt(&key, &sealed, &scope()).await.unwrap();
    world.fake.deny("unwrap");
    world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    drop(listening);

    let said = listener.0.lock().unwrap().clone();
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
    let listener = Listener::default();
    let listening = tracing::subscriber::set_default(listener.clone());
    let weakened = danger::without_challenge_verification(config(&fake));
    drop(listening);
    assert!(format!("{weakened:?}").contains("verify_challenge: false"));
    assert!(listener.0.lock().unwrap().contains("without_challenge_verification"));
    assert!(AzureKmsProvider::connect(weakened).await.is_ok());
}
