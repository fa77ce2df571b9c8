//! Many records in one call.

use std::collections::HashSet;

use vault_crypto_core::{EncryptedData, EncryptionContext, ErrorKind};
use vault_envelope::{Budget, EnvelopeEncryption, Recipient, Recipients};
use vault_testkit::Fault;

use super::super::support::{kind_of, pattern};
use super::{World, front, header, row};

fn rows(count: usize) -> Vec<EncryptionContext> {
    (0..count).map(row).collect()
}

fn seal_all(
    world: &World,
    envelope: &EnvelopeEncryption,
    count: usize,
    threads: usize,
) -> Vec<EncryptedData> {
    let rows = rows(count);
    let values: Vec<Vec<u8>> = (0..count).map(|number| pattern(number % 300)).collect();
    let items: Vec<(&Vec<u8>, &EncryptionContext)> = values.iter().zip(&rows).collect();
    let sealed = world.clock.run(envelope.encrypt_batch_with(&items, threads));
    assert_eq!(sealed.len(), count);
    sealed.into_iter().map(Result::unwrap).collect()
}

#[test]
fn a_batch_costs_one_call_and_opens_one_by_one_and_as_a_batch() {
    for threads in [0, 1, 2, 7, 5_000] {
        let world = World::new();
        let envelope = world.envelope();
        let sealed = seal_all(&world, &envelope, 300, threads);
        let reader = world.envelope();
        for (number, record) in sealed.iter().enumerate().step_by(50) {
            let opened = world.clock.run(reader.decrypt(record, &row(number))).unwrap();
            assert_eq!(opened, pattern(number % 300));
        }
        let rows = rows(300);
        let items: Vec<(&EncryptedData, &EncryptionContext)> = sealed.iter().zip(&rows).collect();
        let reader = world.envelope();
        let opened = world.clock.run(reader.decrypt_batch_with(&items, threads));
        for (number, opened) in opened.into_iter().enumerate() {
            assert_eq!(opened.unwrap(), pattern(number % 300));
        }
        assert_eq!(world.calls(), (1, 2));
    }
}

#[test]
fn a_batch_over_the_budget_is_split_over_keys_and_none_is_overspent() {
    let world = World::new();
    for budget in [
        Budget::default().with_messages(70),
        Budget::default().with_bytes(3_000),
        Budget::default().with_messages(70).with_bytes(3_000),
    ] {
        let envelope = world.builder().budget(budget).build().unwrap();
        let sealed = seal_all(&world, &envelope, 300, 2);
        let fronts: HashSet<Vec<u8>> = sealed.iter().map(front).collect();
        assert!(fronts.len() > 1);
        for one in fronts {
            let under = || sealed.iter().enumerate().filter(|(_, record)| front(record) == one);
            let bytes: usize = under().map(|(number, _)| number % 300).sum();
            assert!(under().count() as u64 <= budget.messages && bytes as u64 <= budget.bytes);
        }
    }
}

#[test]
fn each_item_has_its_own_error() {
    let world = World::new();
    let envelope = world.envelope();
    let (good, bad) = (row(1), EncryptionContext::from([("row", "1"), ("row", "2")]));
    let items: [(&[u8], &EncryptionContext); 3] =
        [(b"one", &good), (b"two", &bad), (b"three", &good)];
    let mut sealed = world.clock.run(envelope.encrypt_batch(&items));
    assert_eq!(kind_of(sealed.remove(1)), ErrorKind::InvalidInput);
    let sealed: Vec<EncryptedData> = sealed.into_iter().map(Result::unwrap).collect();

    let mut altered = sealed[0].as_bytes().to_vec();
    *altered.last_mut().unwrap() ^= 1;
    let wrong = row(2);
    let items: [(&[u8], &EncryptionContext); 5] = [
        (sealed[0].as_bytes(), &good),
        (&altered, &good),
        (b"not a message", &good),
        (sealed[1].as_bytes(), &wrong),
        (sealed[1].as_bytes(), &good),
    ];
    let opened = world.clock.run(envelope.decrypt_batch(&items));
    let kinds: Vec<Option<ErrorKind>> =
        opened.iter().map(|opened| opened.as_ref().err().map(|error| error.kind())).collect();
    let failed = Some(ErrorKind::AuthenticationFailed);
    assert_eq!(kinds, [None, failed, Some(ErrorKind::Malformed), failed, None]);
}

#[test]
fn a_service_that_is_down_is_the_error_of_every_item() {
    let world = World::new();
    let envelope = world.envelope();
    world.faults.push_times(10, Fault::Fail(ErrorKind::Unavailable));
    let rows = rows(20);
    let items: Vec<(&[u8], &EncryptionContext)> =
        rows.iter().map(|row| (b"value".as_slice(), row)).collect();
    let sealed = world.clock.run(envelope.encrypt_batch(&items));
    assert!(sealed.into_iter().all(|sealed| kind_of(sealed) == ErrorKind::Unavailable));
    assert_eq!(world.calls().0, 1);
}

#[test]
fn a_batch_asks_for_its_keys_together() {
    let world = World::new();
    let alone = world.builder().without_cache().build().unwrap();
    let records: Vec<EncryptedData> = (0..20).map(|_| world.seal(&alone)).collect();
    let context = super::super::support::context();
    let items: Vec<(&EncryptedData, &EncryptionContext)> =
        records.iter().map(|record| (record, &context)).collect();
    let envelope = world.envelope();
    world.faults.push_times(20, Fault::Delay(super::SECOND));
    let before = vault_crypto_core::Clock::monotonic(&world.clock);
    assert!(world.clock.run(envelope.decrypt_batch(&items)).iter().all(Result::is_ok));
    let took = vault_crypto_core::Clock::monotonic(&world.clock) - before;
    assert_eq!(took, super::SECOND);
}

#[test]
fn without_a_cache_a_batch_has_one_key_and_values_over_the_budget_their_own() {
    let world = World::new();
    let budget = Budget::default().with_bytes(10_000);
    let envelope = world.builder().budget(budget).without_cache().build().unwrap();
    let sealed = seal_all(&world, &envelope, 50, 2);
    assert_eq!(world.calls().0, 1);
    assert_eq!(sealed.iter().map(front).collect::<HashSet<_>>().len(), 1);
    let context = row(1);
    let large = pattern(10_001);
    let items = [(&large, &context), (&large, &context)];
    let sealed: Vec<EncryptedData> =
        world.clock.run(envelope.encrypt_batch(&items)).into_iter().map(Result::unwrap).collect();
    assert!(sealed.iter().all(|record| header(record).header.exclusive));
    let items: Vec<(&EncryptedData, &EncryptionContext)> =
        sealed.iter().map(|record| (record, &context)).collect();
    let opened = world.clock.run(envelope.decrypt_batch(&items));
    assert!(opened.into_iter().all(|opened| opened.unwrap() == large));
}

#[test]
fn a_batch_for_several_parties_seals_one_by_one() {
    let world = World::new();
    let second = world.kms.add_key("second").unwrap();
    let party = |key: &vault_crypto_core::KeyId| Recipient::kms(world.faulty(), key.clone());
    let parties = Recipients::threshold(2, [party(&world.key), party(&second)]);
    let envelope = EnvelopeEncryption::to(parties)
        .clock(std::sync::Arc::new(world.clock.clone()))
        .build()
        .unwrap();
    let sealed = seal_all(&world, &envelope, 3, 1);
    assert!(sealed.iter().all(|record| header(record).header.exclusive));
    assert_eq!(sealed.iter().map(front).collect::<HashSet<_>>().len(), 3);
}

#[test]
fn an_empty_batch_asks_for_nothing() {
    let world = World::new();
    let envelope = world.envelope();
    assert!(world.clock.run(envelope.encrypt_batch::<&[u8]>(&[])).is_empty());
    assert!(world.clock.run(envelope.decrypt_batch::<&[u8]>(&[])).is_empty());
    assert_eq!(world.calls(), (0, 0));
}
