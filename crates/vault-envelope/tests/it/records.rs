//! Records: whole values sealed and opened.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::header::{Suite, parse};
use vault_crypto_core::{EncryptionContext, EncryptionProvider, ErrorKind};
use vault_envelope::{AllowedKeys, Budget, EnvelopeEncryption, Padding};
use vault_testkit::VirtualClock;

use super::support::{block_on, builder, context, envelope, kind_of, kms, pattern};

const SUITES: [Suite; 3] =
    [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305, Suite::KcXaes256Gcm];

#[test]
fn a_record_opens_to_what_was_sealed_in_every_suite_backend_and_padding() {
    for suite in SUITES {
        for backend in AeadBackend::available() {
            for padding in [Padding::None, Padding::Padme] {
                let envelope = builder()
                    .record_suite(suite)
                    .backend(*backend)
                    .padding(padding)
                    .build()
                    .unwrap();
                for len in [0, 1, 16, 16_383, 16_384, 16_385, 40_000] {
                    let plaintext = pattern(len);
                    let sealed = block_on(envelope.encrypt(&plaintext, &context())).unwrap();
                    let opened = block_on(envelope.decrypt(&sealed, &context())).unwrap();
                    assert_eq!(opened, plaintext, "{suite:?} {backend:?} {padding:?} {len}");
                }
            }
        }
    }
}

#[test]
fn backends_open_each_others_records() {
    let (kms, key) = kms();
    let with = |backend| EnvelopeEncryption::builder(kms.clone(), key.clone()).backend(backend);
    for sealing in AeadBackend::available() {
        for opening in AeadBackend::available() {
            let sealing = with(*sealing).build().unwrap();
            let opening = with(*opening).build().unwrap();
            let sealed = block_on(sealing.encrypt(b"value", &context())).unwrap();
            assert_eq!(block_on(opening.decrypt(&sealed, &context())).unwrap(), b"value");
        }
    }
}

#[test]
fn another_context_scope_or_key_is_one_and_the_same_error() {
    let (kms, key) = kms();
    let other_key = kms.add_key("other").unwrap();
    let base = EnvelopeEncryption::new(kms.clone(), key.clone());
    let envelope = base.scoped([("tenant", "acme")]).unwrap();
    let sealed = block_on(envelope.encrypt(b"value", &context())).unwrap();

    let other_context = EncryptionContext::from([("row", "43")]);
    let elsewhere = base.scoped([("tenant", "globex")]).unwrap();
    let errors = [
        kind_of(block_on(envelope.decrypt(&sealed, &other_context))),
        kind_of(block_on(envelope.decrypt(&sealed, &EncryptionContext::new()))),
        kind_of(block_on(elsewhere.decrypt(&sealed, &context()))),
        kind_of(block_on(base.decrypt(&sealed, &context()))),
    ];
    assert_eq!(errors, [ErrorKind::AuthenticationFailed; 4]);

    let stranger = EnvelopeEncryption::new(kms, other_key).scoped([("tenant", "acme")]).unwrap();
    assert_eq!(kind_of(block_on(stranger.decrypt(&sealed, &context()))), ErrorKind::KeyNotAllowed);
}

#[test]
fn a_message_for_a_key_that_is_not_allowed_costs_no_unwrap() {
    let (kms, key) = kms();
    let other = kms.add_key("other").unwrap();
    let sealed =
        block_on(EnvelopeEncryption::new(kms.clone(), key).encrypt(b"value", &context())).unwrap();
    let reader = EnvelopeEncryption::builder(kms.clone(), other.clone())
        .allow_only(AllowedKeys::none().key(kms.clone(), other))
        .build()
        .unwrap();
    let before = kms.calls().of(vault_crypto_core::Operation::DecryptDataKey);
    assert_eq!(kind_of(block_on(reader.decrypt(&sealed, &context()))), ErrorKind::KeyNotAllowed);
    assert_eq!(kms.calls().of(vault_crypto_core::Operation::DecryptDataKey), before);
}

#[test]
fn any_key_that_passes_the_filter_opens() {
    let (kms, key) = kms();
    let sealed =
        block_on(EnvelopeEncryption::new(kms.clone(), key.clone()).encrypt(b"v", &context()))
            .unwrap();
    let other = kms.add_key("other").unwrap();
    let reader = |wanted: String| {
        let keys = AllowedKeys::none()
            .any_key_matching(kms.clone(), move |id| id.as_str().ends_with(&wanted));
        EnvelopeEncryption::builder(kms.clone(), other.clone()).allow_only(keys).build().unwrap()
    };
    let opened = block_on(reader("#app".into()).decrypt(&sealed, &context())).unwrap();
    assert_eq!(opened, b"v");
    let refused = reader("#elsewhere".into());
    assert_eq!(kind_of(block_on(refused.decrypt(&sealed, &context()))), ErrorKind::KeyNotAllowed);
}

#[test]
fn a_repeated_or_empty_context_name_is_invalid_input() {
    for bad in [
        EncryptionContext::from([("row", "1"), ("row", "2")]),
        EncryptionContext::from([("", "1")]),
        EncryptionContext::from([("a=b", "1")]),
    ] {
        let sealed = block_on(envelope().encrypt(b"value", &bad));
        assert_eq!(kind_of(sealed), ErrorKind::InvalidInput);
    }
}

#[test]
fn sealing_keys_share_one_header_and_open_with_one_call() {
    let (kms, key) = kms();
    let envelope = EnvelopeEncryption::new(kms.clone(), key);
    let sealing = block_on(envelope.sealing_key()).unwrap();
    let first = sealing.seal(b"one", &context()).unwrap();
    let second = sealing.seal(b"two", &context()).unwrap();
    assert_ne!(first, second);
    let header_len = parse(first.as_bytes()).unwrap().len();
    assert_eq!(first.as_bytes()[..header_len], second.as_bytes()[..header_len]);

    let before = kms.calls().of(vault_crypto_core::Operation::DecryptDataKey);
    let opening = block_on(envelope.opening_key(&first)).unwrap();
    assert!(opening.opens(&second));
    assert_eq!(opening.open(&first, &context()).unwrap(), b"one");
    assert_eq!(opening.open(&second, &context()).unwrap(), b"two");
    let mut in_place = second.into_bytes();
    assert_eq!(opening.open_in_place(&mut in_place, &context()).unwrap(), b"two");
    assert_eq!(kms.calls().of(vault_crypto_core::Operation::DecryptDataKey), before + 1);

    let own = block_on(envelope.encrypt(b"own key", &context())).unwrap();
    assert_eq!(kind_of(opening.open(&own, &context())), ErrorKind::KeyNotAllowed);
}

#[test]
fn a_failed_open_in_place_leaves_no_plaintext() {
    let envelope = envelope();
    let sealing = block_on(envelope.sealing_key()).unwrap();
    let mut sealed = sealing.seal(&[7; 64], &context()).unwrap().into_bytes();
    let opening = block_on(envelope.opening_key(&sealed)).unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    assert!(opening.open_in_place(&mut sealed, &context()).is_err());
    assert!(!sealed.windows(8).any(|window| window == [7; 8]));
}

#[test]
fn every_budget_ends_by_messages_bytes_or_age() {
    let clock = Arc::new(VirtualClock::new());
    let (kms, key) = kms();
    let sealing = |budget: Budget| {
        let envelope = EnvelopeEncryption::builder(kms.clone(), key.clone())
            .clock(clock.clone())
            .budget(budget)
            .build()
            .unwrap();
        block_on(envelope.sealing_key()).unwrap()
    };
    let two = sealing(Budget::default().with_messages(2));
    assert!(two.seal(b"x", &context()).is_ok() && two.seal(b"x", &context()).is_ok());
    assert_eq!(kind_of(two.seal(b"x", &context())), ErrorKind::LimitExceeded);

    let ten = sealing(Budget::default().with_bytes(10));
    assert!(ten.seal(&[0; 10], &context()).is_ok());
    assert_eq!(kind_of(ten.seal(b"x", &context())), ErrorKind::LimitExceeded);

    let young = sealing(Budget::default().with_age(Duration::from_secs(60)));
    clock.advance(Duration::from_secs(60));
    assert!(young.seal(b"x", &context()).is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(kind_of(young.seal(b"x", &context())), ErrorKind::LimitExceeded);
}

#[test]
fn a_suite_that_the_reader_does_not_allow_is_refused() {
    let (kms, key) = kms();
    let sealed =
        block_on(EnvelopeEncryption::new(kms.clone(), key.clone()).encrypt(b"v", &context()))
            .unwrap();
    let reader =
        EnvelopeEncryption::builder(kms, key).suites([Suite::Cobblestone256]).build().unwrap();
    assert_eq!(kind_of(block_on(reader.decrypt(&sealed, &context()))), ErrorKind::Unsupported);
}

#[test]
fn re_encryption_moves_a_value_to_another_key() {
    let (kms, key) = kms();
    let new_key = kms.add_key("new").unwrap();
    let old = EnvelopeEncryption::new(kms.clone(), key);
    let sealed = block_on(old.encrypt(b"value", &context())).unwrap();
    let moved = block_on(old.re_encrypt(&sealed, &new_key, &context())).unwrap();
    assert!(block_on(old.decrypt(&moved, &context())).is_err());
    let new = EnvelopeEncryption::new(kms, new_key);
    assert_eq!(block_on(new.decrypt(&moved, &context())).unwrap(), b"value");
}

#[test]
fn the_envelope_is_an_encryption_provider() {
    let provider: Box<dyn EncryptionProvider> = Box::new(envelope());
    let sealed = block_on(provider.encrypt(b"value", &context())).unwrap();
    assert_eq!(block_on(provider.decrypt(&sealed, &context())).unwrap(), b"value");
    assert_eq!(block_on(provider.generate_data_key()).unwrap().plaintext().len(), 32);
}

proptest! {
    #[test]
    fn a_padded_length_tells_only_its_bucket(len in 0_usize..5000) {
        let envelope = builder().padding(Padding::Padme).build().unwrap();
        let sealing = block_on(envelope.sealing_key()).unwrap();
        let sealed = sealing.seal(&pattern(len), &context()).unwrap();
        let opened = block_on(envelope.decrypt(&sealed, &context())).unwrap();
        prop_assert_eq!(opened.as_slice(), &pattern(len)[..]);
        prop_assert!(sealed.len() >= len + 8 + 72);
    }
}

#[test]
fn a_record_that_fails_where_it_lies_leaves_no_chunk_of_its_plaintext() {
    for padding in [Padding::None, Padding::Padme] {
        let suite = Suite::Cobblestone256;
        let envelope = builder().record_suite(suite).padding(padding).build().unwrap();
        let sealed = block_on(envelope.encrypt(&[7; 40_000], &context())).unwrap().into_bytes();
        let key = block_on(envelope.opening_key(&sealed)).unwrap();
        let mut bad = sealed.clone();
        *bad.last_mut().unwrap() ^= 1;
        let opened = key.open_in_place(&mut bad, &context()).map(|_| ());
        assert_eq!(kind_of(opened), ErrorKind::AuthenticationFailed);
        let body = parse(&sealed).unwrap().len() + 24 + 32;
        assert!(bad[body..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn sealing_in_place_gives_a_message_like_any_other_with_and_without_room() {
    for suite in SUITES {
        for padding in [Padding::None, Padding::Padme] {
            let envelope = builder().record_suite(suite).padding(padding).build().unwrap();
            let key = block_on(envelope.sealing_key()).unwrap();
            for len in [0, 1, 1_000, 20_000] {
                for room in [0, key.overhead(len).unwrap()] {
                    let mut message = Vec::with_capacity(len + room);
                    message.extend_from_slice(&pattern(len));
                    let before = message.as_ptr();
                    key.seal_in_place(&mut message, &context()).unwrap();
                    assert_eq!(message.len(), len + key.overhead(len).unwrap());
                    if suite == Suite::KcXaes256Gcm && padding == Padding::None && room > 0 {
                        assert_eq!(message.as_ptr(), before, "it moved");
                    }
                    let opened = block_on(envelope.decrypt(&message, &context())).unwrap();
                    assert_eq!(opened, pattern(len));
                }
            }
        }
    }
}

#[test]
fn a_failed_sealing_in_place_leaves_the_plaintext_as_it_was() {
    let (kms, key) = kms();
    let envelope = EnvelopeEncryption::builder(kms, key)
        .budget(Budget::default().with_bytes(3))
        .build()
        .unwrap();
    let key = block_on(envelope.sealing_key()).unwrap();
    let mut message = Vec::with_capacity(4_096);
    message.extend_from_slice(b"value");
    assert!(key.seal_in_place(&mut message, &context()).is_err());
    assert_eq!(message, b"value");
    let repeated = EncryptionContext::from([("row", "1"), ("row", "2")]);
    assert!(key.seal_in_place(&mut message, &repeated).is_err());
    assert_eq!(message, b"value");
}
