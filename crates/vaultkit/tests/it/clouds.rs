//! Four services and one message: it opens with any three of them stopped, and moves to new versions of
//! their keys without its body changing.

use std::sync::Arc;

use vaultkit::core::header::{Header, parse};
use vaultkit::core::{
    EncryptedData, EncryptionContext, ErrorKind, KeyConfig, KeyId, KmsAdmin, RotateOptions,
};
use vaultkit::envelope::{EnvelopeEncryption, Recipient, Recipients, Rewrapped};

#[path = "clouds/world.rs"]
mod world;

use world::{COUNT, World};

type Key = (Arc<dyn KmsAdmin>, KeyId);

/// A new key at each service that runs.
async fn new_keys(world: &World) -> Vec<Key> {
    let mut keys = Vec::new();
    for kms in world.providers().await {
        let made = kms.create_key(KeyConfig::new(world::fresh_name())).await.unwrap();
        keys.push((kms, made.key_id));
    }
    keys
}

fn recipients(keys: &[Key]) -> Vec<Recipient> {
    keys.iter().map(|(kms, key)| Recipient::kms(kms.clone(), key.clone())).collect()
}

/// Seals for `keys`, opens with any of them, and keeps no data key.
fn envelope(keys: &[Key]) -> EnvelopeEncryption {
    EnvelopeEncryption::to(Recipients::all(recipients(keys)))
        .scope([("table", "cards")])
        .without_cache()
        .build()
        .unwrap()
}

fn header(message: &EncryptedData) -> Header {
    parse(message.as_bytes()).unwrap().header
}

fn header_bytes(message: &[u8]) -> &[u8] {
    &message[..parse(message).unwrap().len()]
}

fn body(message: &[u8]) -> &[u8] {
    &message[parse(message).unwrap().len()..]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_for_four_services_opens_with_three_of_them_stopped_whichever_three() {
    let world = World::start().await;
    let context = EncryptionContext::from([("row", "42")]);
    for alone in 0..COUNT {
        // Anew in each round: a server in memory forgets its keys when it stops.
        let keys = new_keys(&world).await;
        let envelope = envelope(&keys);
        let sealed = envelope.encrypt(b"4111 1111 1111 1111", &context).await.unwrap();
        let kinds: Vec<&str> = header(&sealed).slots.iter().map(|slot| slot.kind.name()).collect();
        assert_eq!(kinds, ["aws-kms", "hcvault", "azurekeyvault", "gcp-kms"]);

        let others: Vec<usize> = (0..COUNT).filter(|one| *one != alone).collect();
        others.iter().for_each(|one| world.stop(*one));
        for stopped in &others {
            let (kms, key) = &keys[*stopped];
            let error = kms.describe_key(key).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        }
        let opened = envelope.decrypt(&sealed, &context).await.unwrap();
        assert_eq!(opened, b"4111 1111 1111 1111", "with {} alone", kinds[alone]);
        world.stop(alone);
        let error = envelope.decrypt(&sealed, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "with nobody left");
        (0..COUNT).for_each(|one| world.start_again(one));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_moves_to_new_versions_of_all_its_keys_and_its_body_stays() {
    let world = World::shared().await;
    let keys = new_keys(world).await;
    let envelope = envelope(&keys);
    let context = EncryptionContext::from([("row", "42")]);
    let sealed = envelope.encrypt(b"value", &context).await.unwrap();
    for (kms, key) in &keys {
        kms.rotate_key(key, RotateOptions::now()).await.unwrap();
    }
    let Rewrapped::Changed(moved) = envelope.rewrap(&sealed).await.unwrap() else {
        panic!("nothing was rewrapped")
    };
    assert_ne!(header_bytes(sealed.as_bytes()), header_bytes(moved.as_bytes()));
    assert_eq!(body(sealed.as_bytes()), body(moved.as_bytes()), "the body's bytes");
    let (before, after) = (header(&sealed), header(&moved));
    for (old, new) in before.slots.iter().zip(&after.slots) {
        assert_ne!(old.wrapped, new.wrapped, "{}", old.kind.name());
        assert_eq!(old.key_id, new.key_id);
        // AWS names its key material where it pleases.
        assert!(
            new.version.as_str().is_empty() || old.version != new.version,
            "{}",
            old.kind.name()
        );
    }
    for key in keys {
        let alone = self::envelope(&[key]);
        assert_eq!(alone.decrypt(&moved, &context).await.unwrap(), b"value");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_at_four_services_need_as_many_as_were_asked_for() {
    let world = World::start().await;
    let keys = new_keys(&world).await;
    let envelope = EnvelopeEncryption::to(Recipients::threshold(3, recipients(&keys)))
        .without_cache()
        .build()
        .unwrap();
    let context = EncryptionContext::new();
    let sealed = envelope.encrypt(b"value", &context).await.unwrap();
    world.stop(0);
    assert_eq!(envelope.decrypt(&sealed, &context).await.unwrap(), b"value");
    world.stop(2);
    let error = envelope.decrypt(&sealed, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_opens_at_no_other_service_and_under_no_other_scope() {
    let world = World::shared().await;
    let keys = new_keys(world).await;
    let context = EncryptionContext::new();
    for key in &keys {
        let sealed = envelope(std::slice::from_ref(key)).encrypt(b"value", &context).await.unwrap();
        let elsewhere =
            EnvelopeEncryption::to(Recipients::all(recipients(std::slice::from_ref(key))))
                .scope([("table", "orders")])
                .without_cache()
                .build()
                .unwrap();
        let error = elsewhere.decrypt(&sealed, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{}", key.1);
        for other in keys.iter().filter(|other| other.1 != key.1) {
            let error =
                envelope(std::slice::from_ref(other)).decrypt(&sealed, &context).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyNotAllowed, "{}", other.1);
        }
    }
}
