//! Several KMSs on one message: who must take part, who may be filled in later, who comes and goes.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::header::{Binding, Extension, Slot, SlotKind, parse};
use vault_crypto_core::{Clock as _, DataKey, ErrorKind, KeyVersion, Operation, Scope};
use vault_envelope::{
    AllowedKeys, EnvelopeEncryption, Recipient, Recipients, Rewrapped, SlotSelector,
};
use vault_testkit::Fault;

use super::clouds::{
    Private, clouds, detail, envelope_to, header_of, open, reader_of, recipients, seal, tampered,
    with_header,
};
use super::support::{context, kind_of};

const DOWN: Fault = Fault::Fail(ErrorKind::Unavailable);

#[test]
fn each_of_all_recipients_alone_opens() {
    let (clock, clouds) = clouds::<3>();
    let sealed =
        clock.run(seal(&envelope_to(&clock, Recipients::all(recipients(&clouds))))).unwrap();
    let header = header_of(&sealed);
    assert_eq!((header.threshold, header.slots.len()), (1, 3));
    for (at, cloud) in clouds.iter().enumerate() {
        let opened_by = clock.run(open(&cloud.reader(&clock), &sealed)).unwrap();
        assert_eq!((opened_by.slot, &opened_by.key_id), (at, &cloud.key));
        assert!(opened_by.together_with.is_empty());
    }
}

#[test]
fn recipients_wrap_at_the_same_time() {
    let (clock, clouds) = clouds::<4>();
    for cloud in &clouds {
        cloud.faults.push(Fault::Delay(Duration::from_millis(100)));
    }
    clock.run(seal(&envelope_to(&clock, Recipients::all(recipients(&clouds))))).unwrap();
    // The first makes the data key, then the other three wrap it.
    assert_eq!(clock.monotonic(), Duration::from_millis(200));
}

#[test]
fn where_all_must_take_part_one_failure_seals_nothing() {
    let (clock, clouds) = clouds::<3>();
    clouds[1].faults.push(Fault::Hang);
    clouds[2].faults.push(Fault::Fail(ErrorKind::KeyUnusable));
    let envelope = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    assert_eq!(kind_of(clock.run(seal(&envelope))), ErrorKind::KeyUnusable);
    assert_eq!(clouds[1].faults.cancelled(), 1);
}

#[test]
fn at_least_k_seals_while_others_are_down_and_fill_adds_them_later() {
    let (clock, clouds) = clouds::<3>();
    clouds[0].faults.push(DOWN);
    let envelope = envelope_to(&clock, Recipients::at_least(2, recipients(&clouds)));
    let sealed = clock.run(seal(&envelope)).unwrap();
    let missing: Vec<bool> =
        header_of(&sealed).slots.iter().map(|slot| slot.is_missing()).collect();
    assert_eq!(missing, [true, false, false]);
    let first = clouds[0].reader(&clock);
    assert_eq!(kind_of(clock.run(open(&first, &sealed))), ErrorKind::Unavailable);
    clock.run(open(&envelope, &sealed)).unwrap();

    let filled = clock.run(envelope.fill(&sealed)).unwrap().changed().unwrap();
    let (old, new) = (parse(&sealed).unwrap(), parse(&filled).unwrap());
    assert_eq!((old.covered, old.mac), (new.covered, new.mac));
    assert_eq!(old.header.slots[1..], new.header.slots[1..]);
    clock.run(open(&first, &with_header(&sealed, &filled))).unwrap();
    assert_eq!(clock.run(envelope.fill(&filled)).unwrap(), Rewrapped::Unchanged);
}

#[test]
fn fewer_than_k_is_an_error_that_says_so_and_may_pass() {
    let (clock, clouds) = clouds::<3>();
    clouds[0].faults.push(Fault::Fail(ErrorKind::PermissionDenied));
    clouds[2].faults.push(Fault::Fail(ErrorKind::Throttled));
    let envelope = envelope_to(&clock, Recipients::at_least(2, recipients(&clouds)));
    let error = clock.run(seal(&envelope)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(detail(&error).contains("1 recipients took part, 2 are needed"), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn a_write_that_has_enough_waits_for_the_others_no_longer_than_its_patience() {
    let (clock, clouds) = clouds::<2>();
    clouds[0].faults.push(Fault::Hang);
    let patience = Duration::from_millis(250);
    let policy = Recipients::at_least(1, recipients(&clouds)).with_patience(patience);
    let sealed = clock.run(seal(&envelope_to(&clock, policy))).unwrap();
    assert_eq!(clock.monotonic(), patience);
    assert!(header_of(&sealed).slots[0].is_missing());
    assert_eq!(clouds[0].faults.cancelled(), 1);
}

#[test]
fn a_primary_asks_nobody_else_until_fill() {
    let (clock, clouds) = clouds::<3>();
    let others = recipients(&clouds[1..]);
    let policy = Recipients::primary(clouds[0].recipient()).fill_later(others);
    let envelope = envelope_to(&clock, policy);
    let sealed = clock.run(seal(&envelope)).unwrap();
    assert_eq!(clouds[1].faults.calls().total() + clouds[2].faults.calls().total(), 0);

    // What can be filled is filled; what cannot stays missing.
    clouds[1].faults.push_on(Operation::WrapDataKey, DOWN);
    let filled = clock.run(envelope.fill(&sealed)).unwrap().changed().unwrap();
    assert!(header_of(&filled).slots[1].is_missing());
    clock.run(open(&clouds[2].reader(&clock), &with_header(&sealed, &filled))).unwrap();
    clouds[1].faults.push_on(Operation::WrapDataKey, DOWN);
    assert_eq!(kind_of(clock.run(envelope.fill(&filled))), ErrorKind::Unavailable);
}

#[test]
fn a_slot_for_an_alias_nobody_resolved_is_refused_with_what_to_do() {
    let (clock, clouds) = clouds::<2>();
    let alias = Recipient::kms(Arc::new(Private(clouds[1].kms.clone())), "app");
    let policy = Recipients::primary(clouds[0].recipient()).fill_later([alias]);
    let envelope = envelope_to(&clock, policy);
    let error = clock.run(seal(&envelope)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(detail(&error).contains("resolve_recipients"), "{error}");

    clock.run(envelope.resolve_recipients()).unwrap();
    clock.run(envelope.resolve_recipients()).unwrap();
    let sealed = clock.run(seal(&envelope)).unwrap();
    assert_eq!(header_of(&sealed).slots[1].key_id_text(), clouds[1].key.as_str());
    assert_eq!(clouds[1].calls(Operation::DescribeKey), 1);
}

#[test]
fn a_kms_that_answered_once_can_stand_as_missing_later() {
    let (clock, clouds) = clouds::<2>();
    let alias = Recipient::kms(Arc::new(Private(clouds[1].kms.clone())), "app");
    let policy = Recipients::at_least(1, [clouds[0].recipient(), alias]);
    let envelope = envelope_to(&clock, policy);
    clouds[1].faults.push(DOWN);
    assert_eq!(kind_of(clock.run(seal(&envelope))), ErrorKind::InvalidInput);
    clock.run(seal(&envelope)).unwrap();
    clouds[1].faults.push(DOWN);
    assert!(header_of(&clock.run(seal(&envelope)).unwrap()).slots[1].is_missing());
}

#[test]
fn numbers_that_can_never_work_are_refused_before_anything_is_sealed() {
    let (_, clouds) = clouds::<2>();
    let two = || recipients(&clouds);
    let many = || (0..17).map(|_| clouds[0].recipient());
    let bad = [
        Recipients::all([]),
        Recipients::all(many()),
        Recipients::at_least(0, two()),
        Recipients::at_least(3, two()),
        Recipients::threshold(0, two()),
        Recipients::threshold(3, two()),
        Recipients::all([Recipient::kms(clouds[0].kms.clone(), "")]),
    ];
    for policy in bad {
        let named = format!("{policy:?}");
        let built = EnvelopeEncryption::to(policy).build();
        assert_eq!(built.err().map(|error| error.kind()), Some(ErrorKind::InvalidInput), "{named}");
    }
}

#[test]
fn the_same_key_twice_is_refused() {
    let (clock, clouds) = clouds::<1>();
    let policy = Recipients::all([clouds[0].recipient(), clouds[0].recipient()]);
    assert_eq!(kind_of(clock.run(seal(&envelope_to(&clock, policy)))), ErrorKind::InvalidInput);
}

#[test]
fn re_encrypting_keeps_the_other_recipients() {
    let (clock, clouds) = clouds::<2>();
    let new_key = clouds[0].memory.add_key("new").unwrap();
    let envelope = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let sealed = clock.run(envelope.encrypt(b"value", &context())).unwrap();
    let anew = clock.run(envelope.re_encrypt(&sealed, &new_key, &context())).unwrap();
    let slots = header_of(anew.as_bytes()).slots;
    let keys: Vec<String> = slots.iter().map(|slot| slot.key_id_text()).collect();
    assert_eq!(keys, [new_key.as_str(), clouds[1].key.as_str()]);
}

#[test]
fn an_added_recipient_opens_and_the_body_stays() {
    let (clock, clouds) = clouds::<2>();
    let envelope = envelope_to(&clock, Recipients::all([clouds[0].recipient()]));
    let sealed = clock.run(seal(&envelope)).unwrap();
    let header = clock.run(envelope.add_recipient(&sealed, &clouds[1].recipient())).unwrap();
    assert_eq!((header_of(&header).epoch, header_of(&header).slots.len()), (1, 2));
    assert_eq!(header.len() % 4096, 0, "a body that was aligned stays so");
    let added = with_header(&sealed, &header);
    clock.run(open(&clouds[1].reader(&clock), &added)).unwrap();
    clock.run(open(&envelope, &added)).unwrap();

    let again = clock.run(envelope.add_recipient(&added, &clouds[1].recipient()));
    assert_eq!(kind_of(again), ErrorKind::Conflict);
    clouds[1].faults.push(DOWN);
    let down = clock.run(envelope.add_recipient(&sealed, &clouds[1].recipient()));
    assert_eq!(kind_of(down), ErrorKind::Unavailable);
}

#[test]
fn a_17th_slot_is_over_the_limit() {
    let (clock, clouds) = clouds::<1>();
    let one = |name: String| {
        let key = clouds[0].memory.add_key(&name).unwrap();
        Recipient::kms(clouds[0].kms.clone(), key)
    };
    let sixteen = Recipients::all((0..16).map(|number| one(format!("key-{number}"))));
    let envelope = envelope_to(&clock, sixteen);
    let sealed = clock.run(seal(&envelope)).unwrap();
    let added = clock.run(envelope.add_recipient(&sealed, &clouds[0].recipient()));
    assert_eq!(kind_of(added), ErrorKind::LimitExceeded);
}

#[test]
fn a_removed_recipient_no_longer_opens_and_the_others_do() {
    let (clock, clouds) = clouds::<3>();
    let envelope = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let sealed = clock.run(seal(&envelope)).unwrap();
    let second = SlotSelector::key_id(clouds[1].key.as_str());
    let header = clock.run(envelope.remove_recipient(&sealed, &second)).unwrap();
    let removed = with_header(&sealed, &header);
    assert_eq!((header_of(&header).epoch, header_of(&header).slots.len()), (1, 2));
    let refused = clock.run(open(&clouds[1].reader(&clock), &removed));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
    for stays in [&clouds[0], &clouds[2]] {
        clock.run(open(&stays.reader(&clock), &removed)).unwrap();
    }
    // Its old slot, put back by whoever can write the store, is not authentic.
    let put_back =
        tampered(&removed, |header| header.slots.push(header_of(&sealed).slots[1].clone()));
    let again = clock.run(open(&clouds[1].reader(&clock), &put_back));
    assert_eq!(kind_of(again), ErrorKind::AuthenticationFailed);
}

#[test]
fn the_last_slot_that_opens_cannot_be_removed() {
    let (clock, clouds) = clouds::<2>();
    let primary = Recipients::primary(clouds[0].recipient()).fill_later([clouds[1].recipient()]);
    let envelope = envelope_to(&clock, primary);
    let sealed = clock.run(seal(&envelope)).unwrap();
    let remove = |which| kind_of(clock.run(envelope.remove_recipient(&sealed, &which)));
    assert_eq!(remove(SlotSelector::number(0)), ErrorKind::InvalidInput);
    assert_eq!(remove(SlotSelector::number(2)), ErrorKind::InvalidInput);
    assert_eq!(remove(SlotSelector::key_id("nobody")), ErrorKind::InvalidInput);
    assert_eq!(remove(SlotSelector::kind(SlotKind::OTHER_KMS)), ErrorKind::InvalidInput);
    let header = clock.run(envelope.remove_recipient(&sealed, &SlotSelector::number(1))).unwrap();
    clock.run(open(&envelope, &with_header(&sealed, &header))).unwrap();
}

#[test]
fn a_slot_is_not_given_up_for_one_that_does_not_open() {
    let (clock, clouds) = clouds::<2>();
    let envelope = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let sealed = clock.run(seal(&envelope)).unwrap();
    let first = SlotSelector::number(0);
    let broken = tampered(&sealed, |header| header.slots[1].wrapped[40] ^= 1);
    let refused = clock.run(envelope.remove_recipient(&broken, &first));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
    let alone = clouds[0].reader(&clock);
    let refused = clock.run(alone.remove_recipient(&sealed, &first));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
}

#[test]
fn on_a_shared_data_key_only_the_operation_that_names_the_scope_lets_somebody_in() {
    let (clock, clouds) = clouds::<3>();
    let scope = Scope::new([("tenant", "acme")]).unwrap();
    let primary = Recipients::primary(clouds[0].recipient()).fill_later([clouds[1].recipient()]);
    let envelope = envelope_to(&clock, primary).scoped(scope.pairs()).unwrap();
    let sealed = clock.run(envelope.sealing_key()).unwrap().seal(b"value", &context()).unwrap();
    let sealed = sealed.as_bytes();
    let third = clouds[2].recipient();
    let only_third = Recipients::all([third.clone()]);
    let refused = ErrorKind::PermissionDenied;
    assert_eq!(kind_of(clock.run(envelope.add_recipient(sealed, &third))), refused);
    assert_eq!(kind_of(clock.run(envelope.rewrap_to(sealed, &only_third))), refused);
    let wrong = Scope::empty();
    let refused = ErrorKind::InvalidInput;
    assert_eq!(kind_of(clock.run(envelope.add_recipient_shared(sealed, &third, &wrong))), refused);
    let moved = clock.run(envelope.rewrap_to_shared(sealed, &only_third, &wrong));
    assert_eq!(kind_of(moved), refused);
    // Shares need a data key of one message alone, whatever is named.
    let shares = Recipients::threshold(2, recipients(&clouds));
    assert_eq!(kind_of(clock.run(envelope.rewrap_to_shared(sealed, &shares, &scope))), refused);
    assert_eq!(clouds[2].calls(Operation::WrapDataKey), 0, "refused before anybody is asked");

    let added = clock.run(envelope.add_recipient_shared(sealed, &third, &scope)).unwrap();
    let third = clouds[2].reader(&clock).scoped(scope.pairs()).unwrap();
    let opened = clock.run(third.decrypt(&with_header(sealed, &added), &context())).unwrap();
    assert_eq!(opened, b"value");
    // Filling and removing open nothing to anybody new.
    let filled = clock.run(envelope.fill(&added)).unwrap().changed().unwrap();
    clock.run(envelope.remove_recipient(&filled, &SlotSelector::number(0))).unwrap();
}

#[test]
fn rewrap_to_replaces_the_slots_it_knows_and_keeps_the_others_byte_for_byte() {
    let (clock, clouds) = clouds::<4>();
    let everybody = envelope_to(&clock, Recipients::all(recipients(&clouds[..3])));
    let sealed = clock.run(seal(&everybody)).unwrap();
    // Knows the first and the last of three slots, and is to move to a fourth key.
    let mover = reader_of(&clock, &[&clouds[0], &clouds[2], &clouds[3]]);
    let target = Recipients::all([clouds[3].recipient()]);
    let header = clock.run(mover.rewrap_to(&sealed, &target)).unwrap();
    let slots = header_of(&header).slots;
    assert_eq!(slots.len(), 2);
    assert_eq!(slots[0].key_id_text(), clouds[3].key.as_str());
    assert_eq!(slots[1], header_of(&sealed).slots[1]);
    let moved = with_header(&sealed, &header);
    for (cloud, opens) in clouds.iter().zip([false, true, false, true]) {
        assert_eq!(clock.run(open(&cloud.reader(&clock), &moved)).is_ok(), opens);
    }
}

#[test]
fn rewrap_to_can_leave_slots_to_be_filled_later() {
    let (clock, clouds) = clouds::<3>();
    let old = envelope_to(&clock, Recipients::all([clouds[0].recipient()]));
    let sealed = clock.run(seal(&old)).unwrap();
    let mover = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    let target = Recipients::primary(clouds[1].recipient()).fill_later([clouds[2].recipient()]);
    let header = clock.run(mover.rewrap_to(&sealed, &target)).unwrap();
    let missing: Vec<bool> =
        header_of(&header).slots.iter().map(|slot| slot.is_missing()).collect();
    assert_eq!(missing, [false, true]);
    let filled = clock.run(envelope_to(&clock, target).fill(&header)).unwrap().changed().unwrap();
    clock.run(open(&clouds[2].reader(&clock), &with_header(&sealed, &filled))).unwrap();
}

#[test]
fn old_slots_are_not_given_up_for_new_ones_that_cannot_be_opened_here() {
    let (clock, clouds) = clouds::<2>();
    let old = clouds[0].reader(&clock);
    let sealed = clock.run(seal(&old)).unwrap();
    let target = Recipients::all([clouds[1].recipient()]);
    let refused = clock.run(old.rewrap_to(&sealed, &target));
    assert_eq!(kind_of(refused), ErrorKind::KeyNotAllowed);
    assert_eq!(clouds[1].calls(Operation::DecryptDataKey), 0);

    // A service that wraps well and unwraps wrong is found out in time.
    let both = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    let wrong = Fault::Fail(ErrorKind::AuthenticationFailed);
    clouds[1].faults.push_on(Operation::DecryptDataKey, wrong);
    let refused = clock.run(both.rewrap_to(&sealed, &target));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
    clock.run(both.rewrap_to(&sealed, &target)).unwrap();
}

fn slot_of(made: &DataKey) -> Slot {
    let wrapped = made.wrapped().clone();
    let (kind, binding) = (SlotKind::OTHER_KMS, Binding::Kms);
    Slot::kms(kind, binding, &wrapped.key_id, wrapped.version, wrapped.bytes)
}

#[test]
fn slots_and_extensions_of_a_later_day_are_kept_byte_for_byte() {
    use vault_crypto_core::header::{Header, Shape, Suite};
    use vault_crypto_core::{KeyId, KmsProvider as _, WrapContext, derive::DataKeySecret};
    let (clock, clouds) = clouds::<2>();
    let context = WrapContext::data_key(Scope::empty());
    let made = clock.run(clouds[0].memory.generate_data_key(&clouds[0].key, &context)).unwrap();
    let secret = DataKeySecret::new(made.plaintext()).unwrap();
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    header.exclusive = true;
    header.extensions.push(Extension::new(77, b"later".to_vec()));
    let later = SlotKind::from_code(42).unwrap();
    let unknown = KeyVersion::new("v.9").unwrap();
    let mut slot = Slot::kms(later, Binding::Mac, &KeyId::from("x"), unknown, vec![9; 99]);
    slot.parameters = vec![1, 2, 3];
    header.slots.push(slot.clone());
    header.slots.push(slot_of(&made));
    let entry = secret.seal_header(&mut header, &Scope::empty(), None).unwrap();

    let mover = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    let target = Recipients::all([clouds[1].recipient()]);
    let added = clock.run(mover.add_recipient(&entry, &clouds[1].recipient())).unwrap();
    let removed = clock.run(mover.remove_recipient(&added, &SlotSelector::number(1))).unwrap();
    let moved = clock.run(mover.rewrap_to(&entry, &target)).unwrap();
    for new in [&added, &removed, &moved] {
        let new = header_of(new);
        assert_eq!(new.extensions, header.extensions);
        assert_eq!(new.slots[0], slot);
    }
}

#[test]
fn the_last_epoch_does_not_wrap() {
    use vault_crypto_core::header::{Header, Shape, Suite};
    use vault_crypto_core::{KmsProvider as _, WrapContext, derive::DataKeySecret};
    let (clock, clouds) = clouds::<2>();
    let context = WrapContext::data_key(Scope::empty());
    let made = clock.run(clouds[0].memory.generate_data_key(&clouds[0].key, &context)).unwrap();
    let secret = DataKeySecret::new(made.plaintext()).unwrap();
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    (header.exclusive, header.epoch) = (true, u32::MAX);
    header.slots.push(slot_of(&made));
    let entry = secret.seal_header(&mut header, &Scope::empty(), None).unwrap();
    let envelope = clouds[0].reader(&clock);
    let added = clock.run(envelope.add_recipient(&entry, &clouds[1].recipient()));
    assert_eq!(kind_of(added), ErrorKind::LimitExceeded);
}

#[test]
fn who_only_seals_for_a_kms_can_fill_its_slot_without_opening_by_it() {
    let (clock, clouds) = clouds::<2>();
    let primary = Recipients::primary(clouds[0].recipient()).fill_later([clouds[1].recipient()]);
    let allowed: AllowedKeys = clouds[0].allowed();
    let envelope = EnvelopeEncryption::to(primary).allow_only(allowed).build().unwrap();
    let sealed = clock.run(seal(&envelope)).unwrap();
    let filled = clock.run(envelope.fill(&sealed)).unwrap().changed().unwrap();
    assert_eq!(clouds[1].calls(Operation::DecryptDataKey), 0);
    clock.run(open(&clouds[1].reader(&clock), &with_header(&sealed, &filled))).unwrap();
}

#[test]
fn a_foreign_or_extra_or_emptied_slot_is_found_out() {
    let (clock, clouds) = clouds::<2>();
    let envelope = envelope_to(&clock, Recipients::all(recipients(&clouds)));
    let (sealed, other) =
        clock.run(async { (seal(&envelope).await.unwrap(), seal(&envelope).await.unwrap()) });
    let from_other = header_of(&other).slots;
    let first = clouds[0].reader(&clock);
    let opens = |message: &[u8]| kind_of(clock.run(open(&first, message)));

    // The slot of another message: its data key is not this one's.
    let foreign = tampered(&sealed, |header| header.slots[0] = from_other[0].clone());
    assert_eq!(opens(&foreign), ErrorKind::AuthenticationFailed);
    // The other slot still opens the message: nothing that the MAC covers was changed.
    clock.run(open(&envelope, &foreign)).unwrap();

    let (third, key) = (clouds[0].memory.add_key("third").unwrap(), &clouds[0].key);
    let extra = tampered(&sealed, |header| {
        let mut slot = header.slots[0].clone();
        slot.key_id = third.as_str().into();
        header.slots.push(slot);
    });
    assert_eq!(opens(&extra), ErrorKind::AuthenticationFailed);

    let emptied = tampered(&sealed, |header| {
        header.slots[0].wrapped.clear();
        header.slots[0].version = KeyVersion::unknown();
    });
    assert_eq!(opens(&emptied), ErrorKind::Unavailable);

    // Twice the same key is no header at all.
    let parsed = parse(&sealed).unwrap();
    let mut twice = parsed.header.clone();
    twice.slots[1].key_id = key.as_str().into();
    assert_eq!(kind_of(twice.encode(parsed.mac, None)), ErrorKind::InvalidInput);
}
