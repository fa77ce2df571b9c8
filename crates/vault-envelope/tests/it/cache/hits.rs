//! What a hit is, and what is never one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vault_crypto_core::header::Suite;
use vault_crypto_core::locked::{LockPolicy, LockedPool};
use vault_crypto_core::{EncryptedData, ErrorKind};
use vault_envelope::{AllowedKeys, EnvelopeEncryption, Padding};

use super::super::support::{context, kind_of};
use super::{World, front, header, row};

#[test]
fn a_thousand_records_cost_one_call_each_way() {
    let world = World::new();
    let (sealing, opening) = (world.envelope(), world.envelope());
    for number in 0..1_000 {
        let sealed = world.clock.run(sealing.encrypt(b"value", &row(number))).unwrap();
        assert_eq!(world.clock.run(opening.decrypt(&sealed, &row(number))).unwrap(), b"value");
    }
    assert_eq!(world.calls(), (1, 1));
    let (sealed, opened) = (sealing.cache().stats(), opening.cache().stats());
    assert_eq!((sealed.hits, sealed.misses, sealed.kms_calls), (999, 1, 1));
    assert_eq!((opened.hits, opened.misses, opened.kms_calls), (999, 1, 1));
    assert_eq!((sealed.opening_keys, sealed.sealing_keys), (1, 1));
}

#[test]
fn what_was_sealed_here_opens_here_without_a_call() {
    let world = World::new();
    let envelope = world.envelope();
    let sealed = world.seal(&envelope);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls(), (1, 0));
}

#[test]
fn records_of_one_scope_share_a_header_and_scopes_share_none() {
    let world = World::new();
    let envelope = world.envelope();
    let acme = envelope.scoped([("tenant", "acme")]).unwrap();
    let globex = envelope.scoped([("tenant", "globex")]).unwrap();
    let first = world.seal(&acme);
    assert!(!header(&first).header.exclusive);
    assert_eq!(front(&first), front(&world.seal(&acme)));
    assert_ne!(front(&first), front(&world.seal(&globex)));
    assert_eq!(world.calls().0, 2);
    // The same scope by another handle.
    assert_eq!(front(&first), front(&world.seal(&envelope.scoped([("tenant", "acme")]).unwrap())));
}

#[test]
fn a_header_that_was_changed_anywhere_never_hits() {
    let world = World::new();
    let envelope = world.envelope();
    let sealed = world.seal(&envelope);
    world.opens(&envelope, &sealed);
    let hits = envelope.cache().stats().hits;
    for bit in 0..front(&sealed).len() * 8 {
        let mut bad = sealed.as_bytes().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(world.open(&envelope, &EncryptedData::from_bytes(bad)).is_err(), "bit {bit}");
    }
    assert_eq!(envelope.cache().stats().hits, hits);
    world.opens(&envelope, &sealed);
}

#[test]
fn another_scope_never_hits() {
    let world = World::new();
    let envelope = world.envelope();
    let acme = envelope.scoped([("tenant", "acme")]).unwrap();
    let sealed = world.seal(&acme);
    world.opens(&acme, &sealed);
    let globex = envelope.scoped([("tenant", "globex")]).unwrap();
    assert_eq!(kind_of(world.open(&globex, &sealed)), ErrorKind::AuthenticationFailed);
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::AuthenticationFailed);
}

#[test]
fn another_envelope_shares_nothing() {
    let world = World::new();
    let sealed = world.foreign();
    let (one, two) = (world.envelope(), world.envelope());
    world.opens(&one, &sealed);
    world.opens(&two, &sealed);
    assert_eq!(world.calls().1, 2);
    // Clones and scopes do.
    world.opens(&one.clone(), &sealed);
    assert_eq!(world.calls().1, 2);
}

#[test]
fn the_filter_is_asked_again_on_every_hit() {
    let world = World::new();
    let sealed = world.foreign();
    let allowed = Arc::new(AtomicBool::new(true));
    let asked = allowed.clone();
    let keys = AllowedKeys::none()
        .any_key_matching(world.faulty(), move |_| asked.load(Ordering::Relaxed));
    let envelope = world.builder().allow_only(keys).build().unwrap();
    world.opens(&envelope, &sealed);
    world.opens(&envelope, &sealed);
    allowed.store(false, Ordering::Relaxed);
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::KeyNotAllowed);
    allowed.store(true, Ordering::Relaxed);
    world.opens(&envelope, &sealed);
}

#[test]
fn who_may_only_seal_does_not_open_what_it_sealed() {
    let world = World::new();
    let other = world.kms.add_key("other").unwrap();
    let keys = AllowedKeys::none().key(world.faulty(), other);
    let envelope = world.builder().allow_only(keys).build().unwrap();
    let sealed = world.seal(&envelope);
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::KeyNotAllowed);
    assert_eq!(world.calls(), (1, 0));
}

#[test]
fn a_suite_that_is_not_allowed_is_not_opened_though_it_was_sealed_here() {
    let world = World::new();
    let envelope = world.builder().suites([Suite::Cobblestone256]).build().unwrap();
    let sealed = world.seal(&envelope);
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::Unsupported);
}

#[test]
fn a_wrong_context_or_body_fails_on_a_hit_as_it_does_on_a_miss() {
    let world = World::new();
    let envelope = world.envelope();
    let sealed = world.seal(&envelope);
    world.opens(&envelope, &sealed);
    let wrong = world.clock.run(envelope.decrypt(&sealed, &row(7)));
    assert_eq!(kind_of(wrong), ErrorKind::AuthenticationFailed);
    for len in front(&sealed).len()..sealed.len() {
        let cut = EncryptedData::from_bytes(sealed.as_bytes()[..len].to_vec());
        assert_eq!(kind_of(world.open(&envelope, &cut)), ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn a_header_of_one_message_alone_opens_no_other_body_on_a_hit() {
    let world = World::new();
    let alone = world.builder().without_cache().build().unwrap();
    let (one, two) = (world.seal(&alone), world.seal(&alone));
    let envelope = world.envelope();
    world.opens(&envelope, &one);
    world.opens(&envelope, &one);
    let mut mixed = front(&one);
    mixed.extend_from_slice(&two.as_bytes()[front(&two).len()..]);
    let mixed = EncryptedData::from_bytes(mixed);
    assert_eq!(kind_of(world.open(&envelope, &mixed)), ErrorKind::AuthenticationFailed);
}

#[test]
fn without_a_cache_every_record_has_a_key_of_its_own() {
    let world = World::new();
    let envelope = world.builder().without_cache().build().unwrap();
    let (one, two) = (world.seal(&envelope), world.seal(&envelope));
    assert!(header(&one).header.exclusive);
    assert_ne!(front(&one), front(&two));
    world.opens(&envelope, &one);
    world.opens(&envelope, &one);
    assert_eq!(world.calls(), (2, 2));
    assert!(envelope.cache().policy().is_none());
}

#[test]
fn every_suite_and_padding_goes_through_the_cache() {
    for suite in [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305, Suite::KcXaes256Gcm] {
        for padding in [Padding::None, Padding::Padme] {
            let world = World::new();
            let envelope = world.builder().record_suite(suite).padding(padding).build().unwrap();
            let other = world.envelope();
            for len in [0, 5, 20_000] {
                let value = vec![7; len];
                let sealed = world.clock.run(envelope.encrypt(&value, &context())).unwrap();
                for reader in [&envelope, &envelope, &other, &other] {
                    let opened = world.clock.run(reader.decrypt(&sealed, &context())).unwrap();
                    assert_eq!(opened, value, "{suite:?} {padding:?} {len}");
                }
            }
            assert_eq!(world.calls(), (1, 1));
        }
    }
}

#[test]
fn an_operation_within_a_filter_does_not_trip_over_the_one_outside() {
    let world = World::new();
    let sealed = Arc::new(world.foreign());
    let inner = world.envelope();
    let (seen, clock) = (sealed.clone(), world.clock.clone());
    let nested = inner.clone();
    let keys = AllowedKeys::none().any_key_matching(world.faulty(), move |_| {
        clock.run(nested.decrypt(&*seen, &context())).is_ok()
    });
    let envelope: EnvelopeEncryption = world.builder().allow_only(keys).build().unwrap();
    world.opens(&envelope, &sealed);
    world.opens(&envelope, &sealed);
}

#[test]
fn more_keys_than_a_thread_and_the_cache_hold_still_open() {
    let world = World::new();
    let alone = world.builder().without_cache().build().unwrap();
    let records: Vec<EncryptedData> = (0..400).map(|_| world.seal(&alone)).collect();
    let policy = vault_envelope::CachePolicy::default().with_capacity(100);
    let envelope = world.builder().cache(policy).build().unwrap();
    for _ in 0..3 {
        records.iter().for_each(|record| world.opens(&envelope, record));
    }
    let stats = envelope.cache().stats();
    assert!(stats.opening_keys <= 104 && stats.evictions > 0, "{stats:?}");
}

#[test]
fn keys_that_are_held_do_not_drive_out_cached_ones_when_the_pool_is_full() {
    let world = World::new();
    let pool = LockedPool::new(LockPolicy::Require, 16 * 1_024).unwrap();
    let envelope = world.builder().memory(pool).build().unwrap();
    let sealed = world.seal(&world.envelope());
    world.opens(&envelope, &sealed);
    let mut held = Vec::new();
    let error = loop {
        match world.clock.run(envelope.opening_key(&sealed)) {
            Ok(key) => held.push(key),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(held.len() > 10, "{}", held.len());
    assert_eq!(envelope.cache().stats().opening_keys, 1);
    assert_eq!(envelope.cache().stats().evictions, 0);
}
