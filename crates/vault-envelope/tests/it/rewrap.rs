//! Rewrap: the header moves, the body stays.

use vault_crypto_core::header::parse;
use vault_crypto_core::{ErrorKind, KeyId, KmsAdmin as _, Operation, RotateOptions, Scope};
use vault_envelope::{AllowedKeys, EnvelopeEncryption, Recipients, Rewrapped};
use vault_testkit::{Fault, MemoryKms};

use super::clouds::{clouds, envelope_to, open, recipients, seal, tampered, with_header};
use super::support::{block_on, context, kind_of, kms};

#[test]
fn after_a_rotation_the_wrapped_key_moves_and_the_body_does_not() {
    let (kms, key) = kms();
    let envelope = EnvelopeEncryption::new(kms.clone(), key.clone());
    let sealed = block_on(envelope.encrypt(b"value", &context())).unwrap();
    assert_eq!(block_on(envelope.rewrap(&sealed)).unwrap(), Rewrapped::Unchanged);

    block_on(kms.rotate_key(&key, RotateOptions::now())).unwrap();
    let moved = block_on(envelope.rewrap(&sealed)).unwrap().changed().unwrap();
    let (old, new) = (parse(sealed.as_bytes()).unwrap(), parse(moved.as_bytes()).unwrap());
    assert_eq!(old.covered, new.covered);
    assert_eq!(old.mac, new.mac);
    assert_ne!(old.header.slots[0].version, new.header.slots[0].version);
    assert_eq!(sealed.as_bytes()[old.len()..], moved.as_bytes()[new.len()..]);
    assert_eq!(block_on(envelope.decrypt(&moved, &context())).unwrap(), b"value");
    assert_eq!(block_on(envelope.rewrap(&moved)).unwrap(), Rewrapped::Unchanged);
}

#[test]
fn moving_to_another_key_replaces_the_slot_and_counts_the_epoch() {
    let (kms, key) = kms();
    let new_key = kms.add_key("new").unwrap();
    let old =
        EnvelopeEncryption::builder(kms.clone(), key.clone()).without_cache().build().unwrap();
    let sealed = block_on(old.encrypt(b"value", &context())).unwrap();
    let mover = EnvelopeEncryption::builder(kms.clone(), new_key)
        .allow(AllowedKeys::none().key(kms.clone(), key))
        .build()
        .unwrap();
    let moved = block_on(mover.rewrap(&sealed)).unwrap().changed().unwrap();
    let parsed = parse(moved.as_bytes()).unwrap();
    assert_eq!((parsed.header.epoch, parsed.header.slots.len()), (1, 1));
    assert_eq!(kind_of(block_on(old.decrypt(&moved, &context()))), ErrorKind::KeyNotAllowed);
    assert_eq!(block_on(mover.decrypt(&moved, &context())).unwrap(), b"value");
}

#[test]
fn a_shared_data_key_moves_only_by_the_operation_that_names_its_scope() {
    let (kms, key) = kms();
    let new_key = kms.add_key("new").unwrap();
    let scope = Scope::new([("tenant", "acme")]).unwrap();
    let old = EnvelopeEncryption::new(kms.clone(), key.clone()).scoped(scope.pairs()).unwrap();
    let sealed = block_on(old.sealing_key()).unwrap().seal(b"value", &context()).unwrap();
    let mover = EnvelopeEncryption::builder(kms.clone(), new_key)
        .scope(scope.pairs())
        .allow(AllowedKeys::none().key(kms.clone(), key))
        .build()
        .unwrap();
    assert_eq!(kind_of(block_on(mover.rewrap(&sealed))), ErrorKind::PermissionDenied);
    let wrong = block_on(mover.rewrap_shared(sealed.as_bytes(), &Scope::empty()));
    assert_eq!(kind_of(wrong), ErrorKind::InvalidInput);
    assert!(block_on(mover.rewrap_shared(sealed.as_bytes(), &scope)).is_ok());
}

/// A stored key that `key` wraps, with a slot of `second`'s that is not filled yet.
fn with_empty_slot(kms: &MemoryKms, key: &KeyId, second: &KeyId, parameters: Vec<u8>) -> Vec<u8> {
    use vault_crypto_core::header::{Binding, Header, Shape, Slot, SlotKind, Suite};
    use vault_crypto_core::{KeyVersion, KmsProvider as _, WrapContext, derive::DataKeySecret};
    let context = WrapContext::data_key(Scope::empty());
    let data_key = block_on(kms.generate_data_key(key, &context)).unwrap();
    let slot =
        |id, version, bytes| Slot::kms(SlotKind::OTHER_KMS, Binding::Kms, id, version, bytes);
    let wrapped = data_key.wrapped().clone();
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    header.slots.push(slot(&wrapped.key_id, wrapped.version, wrapped.bytes));
    let mut empty = slot(second, KeyVersion::unknown(), Vec::new());
    empty.parameters = parameters;
    header.slots.push(empty);
    let secret = DataKeySecret::new(data_key.plaintext()).unwrap();
    secret.seal_header(&mut header, &Scope::empty(), None).unwrap()
}

#[test]
fn a_slot_that_is_not_filled_yet_is_unavailable_and_rewrap_fills_it() {
    let (kms, key) = kms();
    let second = kms.add_key("second").unwrap();
    let entry = with_empty_slot(&kms, &key, &second, Vec::new());
    let alone = EnvelopeEncryption::new(kms.clone(), second.clone());
    assert_eq!(kind_of(block_on(alone.open_stored_key(&entry))), ErrorKind::Unavailable);
    let filler = EnvelopeEncryption::builder(kms.clone(), second)
        .allow(AllowedKeys::none().key(kms, key))
        .build()
        .unwrap();
    let filled = block_on(filler.rewrap_header(&entry)).unwrap().changed().unwrap();
    assert_eq!(parse(&filled).unwrap().covered, parse(&entry).unwrap().covered);
    assert!(block_on(alone.open_stored_key(&filled)).is_ok());
}

#[test]
fn a_stored_version_is_not_taken_for_a_move_that_did_not_happen() {
    use vault_crypto_core::KeyVersion;
    let (kms, key) = kms();
    let envelope = EnvelopeEncryption::new(kms.clone(), key.clone());
    let sealed = block_on(envelope.encrypt(b"value", &context())).unwrap();
    let body = &sealed.as_bytes()[parse(sealed.as_bytes()).unwrap().len()..];
    block_on(kms.rotate_key(&key, RotateOptions::now())).unwrap();

    // Whoever writes the store can write the new version beside the old wrapped key.
    let parsed = parse(sealed.as_bytes()).unwrap();
    let mut header = parsed.header.clone();
    header.slots[0].version = KeyVersion::from(2);
    let lie = [header.encode(parsed.mac, None).unwrap().as_slice(), body].concat();
    assert_eq!(kind_of(block_on(envelope.rewrap(&lie))), ErrorKind::AuthenticationFailed);

    let moved = block_on(envelope.rewrap(&sealed)).unwrap().changed().unwrap();
    let parsed = parse(moved.as_bytes()).unwrap();
    assert_eq!(parsed.header.slots[0].version, KeyVersion::from(2));
    let mut header = parsed.header.clone();
    header.slots[0].wrapped[40] ^= 1;
    let broken = [header.encode(parsed.mac, None).unwrap().as_slice(), body].concat();
    assert_eq!(kind_of(block_on(envelope.rewrap(&broken))), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_slot_of_a_later_day_is_not_filled_in_the_form_of_today() {
    let (kms, key) = kms();
    let second = kms.add_key("second").unwrap();
    let entry = with_empty_slot(&kms, &key, &second, vec![1]);
    let filler = EnvelopeEncryption::builder(kms.clone(), second)
        .allow(AllowedKeys::none().key(kms, key))
        .build()
        .unwrap();
    assert_eq!(kind_of(block_on(filler.rewrap_header(&entry))), ErrorKind::PermissionDenied);
}

#[test]
fn every_slot_of_the_envelope_s_keys_moves_to_its_new_version() {
    let (clock, clouds) = clouds::<3>();
    let everybody = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let sealed = clock.run(seal(&everybody)).unwrap();
    let two = envelope_to(&clock, Recipients::all(recipients(&clouds[1..])));
    for cloud in &clouds {
        clock.run(cloud.memory.rotate_key(&cloud.key, RotateOptions::now())).unwrap();
    }
    let moved = clock.run(two.rewrap_header(&sealed)).unwrap().changed().unwrap();
    let (old, new) = (parse(&sealed).unwrap(), parse(&moved).unwrap());
    assert_eq!((old.covered, old.mac), (new.covered, new.mac));
    let changed: Vec<bool> = old
        .header
        .slots
        .iter()
        .zip(&new.header.slots)
        .map(|(old, new)| old.version != new.version)
        .collect();
    assert_eq!(changed, [false, true, true]);
    assert_eq!(clouds[0].calls(Operation::DecryptDataKey), 0);
    for cloud in &clouds {
        clock.run(open(&cloud.reader(&clock), &with_header(&sealed, &moved))).unwrap();
    }
    assert_eq!(clock.run(two.rewrap_header(&moved)).unwrap(), Rewrapped::Unchanged);
}

#[test]
fn one_broken_slot_of_several_stops_the_rewrap() {
    let (clock, clouds) = clouds::<2>();
    let both = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let sealed = clock.run(seal(&both)).unwrap();
    clock.run(clouds[0].memory.rotate_key(&clouds[0].key, RotateOptions::now())).unwrap();
    let broken = tampered(&sealed, |header| header.slots[1].wrapped[40] ^= 1);
    let refused = clock.run(both.rewrap_header(&broken));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_key_that_may_not_open_is_not_asked_to_confirm() {
    let (clock, clouds) = clouds::<2>();
    let [own, other] = &clouds;
    let both = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let sealed = clock.run(seal(&both)).unwrap();
    clock.run(own.memory.rotate_key(&own.key, RotateOptions::now())).unwrap();
    let builder = || {
        let builder = EnvelopeEncryption::builder(own.kms.clone(), own.key.clone());
        builder.clock(std::sync::Arc::new(clock.clone()))
    };
    // Its own slot, and a move of the other's slot to its own key.
    let alone = clock.run(seal(&other.reader(&clock))).unwrap();
    for message in [&sealed, &alone] {
        let envelope = builder().allow_only(other.allowed()).build().unwrap();
        let refused = clock.run(envelope.rewrap_header(message));
        assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
    }
    assert_eq!(own.calls(Operation::DecryptDataKey), 0);
    // The same key through a handle that may open: that one confirms.
    let opening = AllowedKeys::none().key(own.memory.clone(), own.key.clone());
    let envelope = builder().allow_only(opening).build().unwrap();
    clock.run(envelope.rewrap_header(&sealed)).unwrap().changed().unwrap();
    assert_eq!(own.calls(Operation::DecryptDataKey), 0);
}

#[test]
fn a_kms_that_has_no_slot_in_the_message_need_not_answer() {
    let (clock, clouds) = clouds::<2>();
    let sealed = clock.run(seal(&clouds[0].reader(&clock))).unwrap();
    let both = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    clouds[1].faults.push(Fault::Fail(ErrorKind::Unavailable));
    assert_eq!(clock.run(both.rewrap_header(&sealed)).unwrap(), Rewrapped::Unchanged);
    assert_eq!(clouds[1].faults.calls().total(), 0);
}
