//! Messages that several parties must agree to open.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::header::Slot;
use vault_crypto_core::{
    Clock as _, ErrorKind, KmsAdmin as _, KmsProvider as _, Operation, RotateOptions, Scope,
    SecureBytes, WrapContext, WrapKind, WrappedKey,
};
use vault_envelope::{EnvelopeEncryption, Recipients, SlotSelector};
use vault_testkit::{Fault, VirtualClock};

use super::clouds::{
    Cloud, Private, clouds, envelope_to, header_of, open, reader_of, recipients, seal, tampered,
    with_header,
};
use super::support::{context, kind_of};

fn two_of(clock: &VirtualClock, clouds: &[Cloud]) -> EnvelopeEncryption {
    envelope_to(clock, Recipients::threshold(2, recipients(clouds)))
}

fn share_context() -> WrapContext {
    WrapContext::new(WrapKind::Share, Scope::empty())
}

/// The share in a slot of `cloud`'s.
fn share_of(clock: &VirtualClock, cloud: &Cloud, slot: &Slot) -> SecureBytes {
    let wrapped = WrappedKey::new(slot.wrapped.clone(), cloud.key.clone(), slot.version.clone());
    clock.run(cloud.memory.decrypt_data_key(&wrapped, &share_context())).unwrap()
}

/// Puts `payload` in a slot, as whoever may encrypt under `cloud`'s key can.
fn put(clock: &VirtualClock, cloud: &Cloud, slot: &mut Slot, payload: &SecureBytes) {
    let new = clock.run(cloud.memory.wrap_data_key(&cloud.key, payload, &share_context())).unwrap();
    (slot.wrapped, slot.version) = (new.bytes, new.version);
}

#[test]
fn any_two_of_three_open_and_no_one_alone() {
    let (clock, clouds) = clouds::<3>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    let header = header_of(&sealed);
    assert!(header.exclusive && header.threshold == 2 && header.share_set != [0; 16]);
    let indices: Vec<u8> = header.slots.iter().map(|slot| slot.share_index).collect();
    assert_eq!(indices, [1, 2, 3]);
    for (a, b) in [(0, 1), (0, 2), (2, 1)] {
        let opened = clock.run(open(&reader_of(&clock, &[&clouds[a], &clouds[b]]), &sealed));
        let opened = opened.unwrap();
        let [other] = opened.together_with.as_slice() else { panic!("one other slot") };
        assert_eq!((opened.slot, other.slot), (a.min(b), a.max(b)));
        assert_eq!(other.key_id, clouds[a.max(b)].key);
    }
    for cloud in &clouds {
        let before = cloud.faults.calls().total();
        let alone = clock.run(open(&cloud.reader(&clock), &sealed));
        assert_eq!(kind_of(alone), ErrorKind::KeyNotAllowed);
        assert_eq!(cloud.faults.calls().total(), before, "nobody is asked in vain");
    }
}

#[test]
fn no_kms_ever_sees_the_data_key_of_shares() {
    let (clock, clouds) = clouds::<3>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    for (cloud, slot) in clouds.iter().zip(&header_of(&sealed).slots) {
        assert_eq!(cloud.calls(Operation::GenerateDataKey), 0);
        assert_eq!(share_of(&clock, cloud, slot).len(), 50);
        // A share unwraps in its own role alone.
        let wrapped =
            WrappedKey::new(slot.wrapped.clone(), cloud.key.clone(), slot.version.clone());
        let as_data_key = WrapContext::data_key(Scope::empty());
        let other = clock.run(cloud.memory.decrypt_data_key(&wrapped, &as_data_key));
        assert_eq!(kind_of(other), ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn as_many_as_are_needed_are_asked_at_the_same_time_and_a_failing_one_is_replaced() {
    let (clock, clouds) = clouds::<4>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    let reader = two_of(&clock, &clouds);
    let slow = Duration::from_millis(100);
    clouds.iter().for_each(|cloud| cloud.faults.push(Fault::Delay(slow)));
    clock.run(open(&reader, &sealed)).unwrap();
    assert_eq!(clock.monotonic(), slow);
    assert_eq!(clouds[2].calls(Operation::DecryptDataKey), 0);

    clouds.iter().for_each(|cloud| cloud.faults.clear());
    clouds[0].faults.push(Fault::Fail(ErrorKind::Unavailable));
    let opened = clock.run(open(&reader, &sealed)).unwrap();
    assert_eq!((opened.slot, opened.together_with[0].slot), (1, 2));
    for cloud in &clouds[..3] {
        cloud.faults.push(Fault::Fail(ErrorKind::Unavailable));
    }
    assert_eq!(kind_of(clock.run(open(&reader, &sealed))), ErrorKind::Unavailable);
}

#[test]
fn a_silent_party_is_replaced_after_the_delay() {
    let (clock, clouds) = clouds::<3>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    let delay = Duration::from_millis(40);
    let hedged = EnvelopeEncryption::to(Recipients::threshold(2, recipients(&clouds)))
        .clock(Arc::new(clock.clone()))
        .hedge_after(delay)
        .build()
        .unwrap();
    clouds[0].faults.push(Fault::Hang);
    let opened = clock.run(open(&hedged, &sealed)).unwrap();
    assert_eq!((opened.slot, opened.together_with[0].slot), (1, 2));
    assert_eq!(clock.monotonic(), delay);
    assert_eq!(clouds[0].faults.cancelled(), 1);
}

#[test]
fn aliases_are_resolved_before_anybody_is_asked_to_unwrap() {
    let (clock, clouds) = clouds::<2>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    let [first, second] = &clouds;
    let alias = first.allowed().key(Arc::new(Private(second.kms.clone())), "app");
    let reader = EnvelopeEncryption::to(Recipients::all([first.recipient()]))
        .allow_only(alias)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    second.faults.push_on(Operation::DescribeKey, Fault::Fail(ErrorKind::TimedOut));
    assert_eq!(kind_of(clock.run(open(&reader, &sealed))), ErrorKind::TimedOut);
    assert_eq!(first.calls(Operation::DecryptDataKey), 0);
    clock.run(open(&reader, &sealed)).unwrap();
}

#[test]
fn a_share_of_another_message_is_refused_before_it_is_combined() {
    let (clock, clouds) = clouds::<3>();
    let envelope = two_of(&clock, &clouds);
    let sealed = clock.run(seal(&envelope)).unwrap();
    let other = header_of(&clock.run(seal(&envelope)).unwrap());
    let mixed = tampered(&sealed, |header| {
        header.slots[0].wrapped = other.slots[0].wrapped.clone();
    });
    let two = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    assert_eq!(kind_of(clock.run(open(&two, &mixed))), ErrorKind::AuthenticationFailed);
    // Two good shares are left.
    let opened = clock.run(open(&envelope, &mixed)).unwrap();
    assert_eq!((opened.slot, opened.together_with[0].slot), (1, 2));

    // With the descriptor of the other message too, the MAC is not right.
    let mixed = tampered(&sealed, |header| {
        header.share_set = other.share_set;
        header.slots.clone_from(&other.slots);
    });
    assert_eq!(kind_of(clock.run(open(&envelope, &mixed))), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_share_in_another_s_slot_is_refused() {
    let (clock, clouds) = clouds::<3>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    let second = share_of(&clock, &clouds[1], &header_of(&sealed).slots[1]);
    let swapped =
        tampered(&sealed, |header| put(&clock, &clouds[0], &mut header.slots[0], &second));
    let two = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    assert_eq!(kind_of(clock.run(open(&two, &swapped))), ErrorKind::AuthenticationFailed);
    // So is one that claims the other index, in the slot or in itself.
    let mut renamed = second.duplicate();
    renamed.as_mut_slice()[17] = 1;
    let lying = tampered(&sealed, |header| put(&clock, &clouds[0], &mut header.slots[0], &renamed));
    assert_eq!(kind_of(clock.run(open(&two, &lying))), ErrorKind::AuthenticationFailed);
    let exchanged = tampered(&sealed, |header| {
        (header.slots[0].share_index, header.slots[1].share_index) = (2, 1);
    });
    assert_eq!(kind_of(clock.run(open(&two, &exchanged))), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_payload_that_is_no_share_is_refused() {
    let (clock, clouds) = clouds::<2>();
    let envelope = two_of(&clock, &clouds);
    let sealed = clock.run(seal(&envelope)).unwrap();
    for len in [1, 32, 49, 51, 4096] {
        let payload = SecureBytes::new(vec![7; len]);
        let bad =
            tampered(&sealed, |header| put(&clock, &clouds[0], &mut header.slots[0], &payload));
        assert_eq!(kind_of(clock.run(open(&envelope, &bad))), ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn a_threshold_or_set_that_was_changed_is_refused() {
    let (clock, clouds) = clouds::<4>();
    let envelope = envelope_to(&clock, Recipients::threshold(3, recipients(&clouds)));
    let sealed = clock.run(seal(&envelope)).unwrap();
    for threshold in [2, 4] {
        let changed = tampered(&sealed, |header| header.threshold = threshold);
        assert_eq!(kind_of(clock.run(open(&envelope, &changed))), ErrorKind::AuthenticationFailed);
    }
    let changed = tampered(&sealed, |header| header.share_set[3] ^= 1);
    assert_eq!(kind_of(clock.run(open(&envelope, &changed))), ErrorKind::AuthenticationFailed);
    let changed = tampered(&sealed, |header| {
        for slot in &mut header.slots {
            slot.share_check = slot.share_check.map(|check| check.map(|byte| !byte));
        }
    });
    assert_eq!(kind_of(clock.run(open(&envelope, &changed))), ErrorKind::AuthenticationFailed);
}

#[test]
fn shares_never_stand_on_a_shared_data_key() {
    let (clock, clouds) = clouds::<2>();
    let envelope = two_of(&clock, &clouds);
    assert_eq!(kind_of(clock.run(envelope.sealing_key())), ErrorKind::InvalidInput);
    assert_eq!(clouds[0].faults.calls().total(), 0, "refused before anybody is asked");
    let stored = clock.run(envelope.create_stored_key()).unwrap();
    assert!(header_of(stored.entry()).exclusive);
    let record = stored.seal(b"value", &context()).unwrap();
    let again = clock.run(envelope.open_stored_key(stored.entry())).unwrap();
    assert_eq!(again.open(&record, &context()).unwrap(), b"value");
}

#[test]
fn each_party_moves_its_share_to_its_new_version_alone() {
    let (clock, clouds) = clouds::<3>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds))).unwrap();
    let first = clouds[0].reader(&clock);
    assert_eq!(clock.run(first.rewrap_header(&sealed)).unwrap().changed(), None);
    clock.run(clouds[0].memory.rotate_key(&clouds[0].key, RotateOptions::now())).unwrap();
    let moved = clock.run(first.rewrap_header(&sealed)).unwrap().changed().unwrap();
    let (old, new) = (header_of(&sealed), header_of(&moved));
    assert_ne!(old.slots[0].version, new.slots[0].version);
    assert_eq!((old.slots[1..].to_vec(), old.epoch), (new.slots[1..].to_vec(), new.epoch));
    let two = reader_of(&clock, &[&clouds[0], &clouds[2]]);
    clock.run(open(&two, &with_header(&sealed, &moved))).unwrap();

    // The bytes of another share are not moved on.
    let second = share_of(&clock, &clouds[1], &old.slots[1]);
    let swapped =
        tampered(&sealed, |header| put(&clock, &clouds[0], &mut header.slots[0], &second));
    let refused = clock.run(first.rewrap_header(&swapped));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
}

#[test]
fn whoever_comes_or_goes_the_shares_are_dealt_anew() {
    let (clock, clouds) = clouds::<4>();
    let envelope = two_of(&clock, &clouds[..3]);
    let sealed = clock.run(seal(&envelope)).unwrap();
    let added = clock.run(envelope.add_recipient(&sealed, &clouds[3].recipient())).unwrap();
    let (old, new) = (header_of(&sealed), header_of(&added));
    assert_eq!((new.threshold, new.slots.len(), new.epoch), (2, 4, 1));
    assert_ne!(old.share_set, new.share_set);
    let added = with_header(&sealed, &added);
    clock.run(open(&reader_of(&clock, &[&clouds[1], &clouds[3]]), &added)).unwrap();

    let everybody = two_of(&clock, &clouds);
    let first = SlotSelector::key_id(clouds[0].key.as_str());
    let removed = clock.run(everybody.remove_recipient(&added, &first)).unwrap();
    let new = header_of(&removed);
    assert_eq!((new.threshold, new.slots.len(), new.epoch), (2, 3, 2));
    let removed = with_header(&sealed, &removed);
    clock.run(open(&reader_of(&clock, &[&clouds[1], &clouds[3]]), &removed)).unwrap();
    let gone = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    assert_eq!(kind_of(clock.run(open(&gone, &removed))), ErrorKind::KeyNotAllowed);
    // The share that was taken away fits no slot of the new dealing.
    let mixed = tampered(&removed, |header| {
        let share = share_of(&clock, &clouds[1], &old.slots[1]);
        put(&clock, &clouds[1], &mut header.slots[0], &share);
    });
    let two = reader_of(&clock, &[&clouds[1], &clouds[3]]);
    assert_eq!(kind_of(clock.run(open(&two, &mixed))), ErrorKind::AuthenticationFailed);
}

#[test]
fn nobody_is_shut_out_by_a_dealing_that_cannot_reach_them() {
    let (clock, clouds) = clouds::<4>();
    let sealed = clock.run(seal(&two_of(&clock, &clouds[..3]))).unwrap();
    // Two parties can open, yet cannot deal to the third.
    let two = two_of(&clock, &clouds[..2]);
    let fourth = clouds[3].recipient();
    let absent = clock.run(two.add_recipient(&sealed, &fourth)).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::KeyNotAllowed);
    assert!(absent.to_string().contains(clouds[2].key.as_str()), "{absent}");
    let first = SlotSelector::number(0);
    let absent = clock.run(two.remove_recipient(&sealed, &first));
    assert_eq!(kind_of(absent), ErrorKind::KeyNotAllowed);
    let target = Recipients::all([clouds[0].recipient()]);
    assert_eq!(kind_of(clock.run(two.rewrap_to(&sealed, &target))), ErrorKind::Unsupported);
    // To take the third away they need only reach those who stay.
    let header = clock.run(two.remove_recipient(&sealed, &SlotSelector::number(2))).unwrap();
    clock.run(open(&two, &with_header(&sealed, &header))).unwrap();
    // And two shares are the fewest of two of two.
    let below = clock.run(two.remove_recipient(&header, &first));
    assert_eq!(kind_of(below), ErrorKind::InvalidInput);
}

#[test]
fn a_message_moves_to_shares_and_back() {
    let (clock, clouds) = clouds::<3>();
    let single = clouds[0].reader(&clock);
    let sealed = clock.run(seal(&single)).unwrap();
    let shares = Recipients::threshold(2, recipients(&clouds));
    let header = clock.run(single.rewrap_to(&sealed, &shares)).unwrap();
    let shared = with_header(&sealed, &header);
    assert_eq!(kind_of(clock.run(open(&single, &shared))), ErrorKind::KeyNotAllowed);
    let everybody = two_of(&clock, &clouds);
    clock.run(open(&everybody, &shared)).unwrap();

    let back = Recipients::all([clouds[2].recipient()]);
    let header = clock.run(everybody.rewrap_to(&shared, &back)).unwrap();
    let new = header_of(&header);
    assert_eq!((new.threshold, new.share_set, new.slots.len(), new.epoch), (1, [0; 16], 1, 2));
    clock.run(open(&clouds[2].reader(&clock), &with_header(&sealed, &header))).unwrap();
}
