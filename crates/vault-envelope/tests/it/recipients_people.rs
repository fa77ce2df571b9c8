//! People among the recipients: who comes and goes, and what their slots ask of the data key.

use vault_crypto_core::header::SlotKind;
use vault_crypto_core::{ErrorKind, KeyId, Scope, SecureString};
use vault_envelope::{
    AllowedKeys, EnvelopeEncryption, Passphrase, PassphraseCost, PrivateKey, Recipient, Recipients,
    SlotSelector,
};
use vault_testkit::{Fault, VirtualClock};

use super::clouds::{
    clouds, envelope_to, header_of, open, reader_of, recipients, seal, with_header,
};
use super::support::{context, kind_of};

fn passphrase() -> Passphrase {
    let text = SecureString::new("correct horse battery staple");
    Passphrase::new(text).unwrap().with_cost(PassphraseCost::new(64, 1, 1).unwrap())
}

fn by_passphrase(clock: &VirtualClock) -> EnvelopeEncryption {
    EnvelopeEncryption::to(Recipients::all([Recipient::passphrase(passphrase())]))
        .allow_only(AllowedKeys::none().passphrase(passphrase()))
        .clock(std::sync::Arc::new(clock.clone()))
        .build()
        .unwrap()
}

fn by_key(key: PrivateKey) -> EnvelopeEncryption {
    EnvelopeEncryption::to(Recipients::all([Recipient::public_key(key.public_key())]))
        .allow_only(AllowedKeys::none().private_key(key))
        .build()
        .unwrap()
}

#[test]
fn people_come_and_go_like_kms_keys() {
    let (clock, clouds) = clouds::<1>();
    let envelope = envelope_to(&clock, Recipients::all([clouds[0].recipient()]));
    let sealed = clock.run(seal(&envelope)).unwrap();
    let with_passphrase = Recipient::passphrase(passphrase());
    let added = clock.run(envelope.add_recipient(&sealed, &with_passphrase)).unwrap();
    let added = with_header(&sealed, &added);
    let person = by_passphrase(&clock);
    assert_eq!(clock.run(open(&person, &added)).unwrap().kind, SlotKind::PASSPHRASE);
    // A second passphrase would make two slots of one kind and key id.
    let twice = clock.run(envelope.add_recipient(&added, &with_passphrase));
    assert_eq!(kind_of(twice), ErrorKind::Conflict);

    let key = PrivateKey::generate().unwrap();
    let header =
        clock.run(person.add_recipient(&added, &Recipient::public_key(key.public_key()))).unwrap();
    let three = with_header(&sealed, &header);
    let out = SlotSelector::kind(SlotKind::PASSPHRASE);
    let header = clock.run(envelope.remove_recipient(&three, &out)).unwrap();
    let removed = with_header(&sealed, &header);
    assert_eq!(kind_of(clock.run(open(&person, &removed))), ErrorKind::KeyNotAllowed);
    assert_eq!(clock.run(open(&by_key(key), &removed)).unwrap().kind, SlotKind::HPKE);
    clock.run(open(&envelope, &removed)).unwrap();
}

#[test]
fn a_message_moves_from_a_kms_to_a_public_key_alone() {
    let (clock, clouds) = clouds::<1>();
    let envelope = envelope_to(&clock, Recipients::all([clouds[0].recipient()]));
    let sealed = clock.run(seal(&envelope)).unwrap();
    let key = PrivateKey::generate().unwrap();
    let target = Recipients::all([Recipient::public_key(key.public_key())]);
    let moved = with_header(&sealed, &clock.run(envelope.rewrap_to(&sealed, &target)).unwrap());
    assert_eq!(kind_of(clock.run(open(&envelope, &moved))), ErrorKind::KeyNotAllowed);
    clock.run(open(&by_key(key), &moved)).unwrap();
}

#[test]
fn people_s_slots_never_stand_on_a_shared_data_key() {
    let (clock, clouds) = clouds::<1>();
    let kms = envelope_to(&clock, Recipients::all([clouds[0].recipient()]));
    let shared = clock.run(kms.sealing_key()).unwrap().seal(b"value", &context()).unwrap();
    let person = Recipient::passphrase(passphrase());
    let (bytes, scope) = (shared.as_bytes(), Scope::empty());
    let added = clock.run(kms.add_recipient_shared(bytes, &person, &scope));
    assert_eq!(kind_of(added), ErrorKind::InvalidInput);

    let envelope = by_passphrase(&clock);
    assert_eq!(kind_of(clock.run(envelope.sealing_key())), ErrorKind::InvalidInput);
    let record = clock.run(envelope.encrypt(b"value", &context())).unwrap();
    assert!(header_of(record.as_bytes()).exclusive);
    let stored = clock.run(envelope.create_stored_key()).unwrap();
    assert!(header_of(stored.entry()).exclusive);
}

#[test]
fn an_envelope_without_a_kms_has_none_to_ask() {
    let clock = VirtualClock::new();
    let envelope = by_passphrase(&clock);
    let record = clock.run(envelope.encrypt(b"value", &context())).unwrap();
    assert_eq!(clock.run(envelope.decrypt(&record, &context())).unwrap(), b"value");
    let other = clock.run(envelope.re_encrypt(&record, &KeyId::from("k"), &context()));
    assert_eq!(kind_of(other), ErrorKind::Unsupported);
}

#[test]
fn a_person_takes_part_at_once_where_the_kmss_may_come_later() {
    let (clock, clouds) = clouds::<2>();
    let person = Recipient::passphrase(passphrase());
    let later = [clouds[1].recipient(), person.clone()];
    let primary = Recipients::primary(clouds[0].recipient()).fill_later(later);
    let sealed = clock.run(seal(&envelope_to(&clock, primary))).unwrap();
    let missing: Vec<bool> =
        header_of(&sealed).slots.iter().map(|slot| slot.is_missing()).collect();
    assert_eq!(missing, [false, true, false]);
    clock.run(open(&by_passphrase(&clock), &sealed)).unwrap();

    // One person is enough of one, whatever the services do.
    clouds.iter().for_each(|cloud| cloud.faults.push(Fault::Fail(ErrorKind::Unavailable)));
    let mut anybody = recipients(&clouds);
    anybody.push(person);
    let sealed = clock.run(seal(&envelope_to(&clock, Recipients::at_least(1, anybody)))).unwrap();
    clock.run(open(&by_passphrase(&clock), &sealed)).unwrap();
}

#[test]
fn a_person_s_share_is_dealt_anew_when_somebody_goes() {
    let (clock, clouds) = clouds::<2>();
    let mut all = recipients(&clouds);
    all.push(Recipient::passphrase(passphrase()));
    let policy = Recipients::threshold(2, all);
    let envelope = envelope_to(&clock, policy);
    let sealed = clock.run(seal(&envelope)).unwrap();
    assert_eq!(kind_of(clock.run(open(&by_passphrase(&clock), &sealed))), ErrorKind::KeyNotAllowed);
    let header = clock.run(envelope.remove_recipient(&sealed, &SlotSelector::number(0))).unwrap();
    let removed = with_header(&sealed, &header);
    let allowed = clouds[1].allowed().passphrase(passphrase());
    let two = EnvelopeEncryption::to(Recipients::all([clouds[1].recipient()]))
        .allow_only(allowed)
        .build()
        .unwrap();
    let opened = clock.run(open(&two, &removed)).unwrap();
    assert_eq!(opened.together_with[0].kind, SlotKind::PASSPHRASE);
    let gone = reader_of(&clock, &[&clouds[0], &clouds[1]]);
    assert_eq!(kind_of(clock.run(open(&gone, &removed))), ErrorKind::KeyNotAllowed);
}
