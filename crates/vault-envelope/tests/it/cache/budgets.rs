//! How much is sealed under one data key, and what comes then.

use std::collections::HashMap;
use std::sync::Arc;

use std::future::Future as _;
use vault_crypto_core::EncryptedData;

use vault_envelope::{Budget, CachePolicy, EnvelopeEncryption, Recipient, Recipients};
use vault_testkit::Fault;

use super::super::support::{block_on, context, pattern};
use super::{MINUTE, SECOND, World, front, header};

fn most_per_front(records: &[EncryptedData]) -> usize {
    let mut counts: HashMap<Vec<u8>, usize> = HashMap::new();
    records.iter().for_each(|record| *counts.entry(front(record)).or_default() += 1);
    counts.into_values().max().unwrap_or_default()
}

fn with_budget(world: &World, budget: Budget) -> EnvelopeEncryption {
    world.builder().budget(budget).build().unwrap()
}

#[test]
fn no_data_key_seals_more_messages_than_its_budget() {
    for messages in [1, 3, 10] {
        let world = World::new();
        let envelope = with_budget(&world, Budget::default().with_messages(messages));
        let records: Vec<EncryptedData> = (0..60).map(|_| world.seal(&envelope)).collect();
        assert!(most_per_front(&records) <= messages as usize, "{messages}");
        records.iter().for_each(|record| world.opens(&envelope, record));
    }
}

#[test]
fn threads_together_seal_no_more_than_the_budget() {
    let world = World::new();
    let envelope = with_budget(&world, Budget::default().with_messages(5_000));
    let records: Vec<EncryptedData> = std::thread::scope(|scope| {
        let seal = || -> Vec<EncryptedData> {
            let seal = |_| block_on(envelope.encrypt(b"value", &context())).unwrap();
            (0..3_000).map(seal).collect()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(seal)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(most_per_front(&records) <= 5_000);
    // Leases that lie about may cost a key or two more than the least number.
    assert!((3..=8).contains(&world.calls().0), "{:?}", world.calls());
}

#[test]
fn what_a_thread_leased_and_did_not_spend_comes_back_when_it_ends() {
    let world = World::new();
    let budget = Budget::default().with_messages(100_000);
    let policy = CachePolicy::default().with_refresh_percent(100);
    let envelope = world.builder().budget(budget).cache(policy).build().unwrap();
    for _ in 0..2_000 {
        std::thread::scope(|scope| {
            scope.spawn(|| block_on(envelope.encrypt(b"value", &context())).unwrap());
        });
    }
    assert_eq!(world.calls().0, 1);
}

#[test]
fn no_data_key_seals_more_bytes_than_its_budget() {
    let world = World::new();
    let envelope = with_budget(&world, Budget::default().with_bytes(1_000));
    let value = pattern(300);
    let seal = |_| world.clock.run(envelope.encrypt(&value, &context())).unwrap();
    let records: Vec<EncryptedData> = (0..30).map(seal).collect();
    assert!(most_per_front(&records) <= 3);
    assert!(records.iter().all(|record| !header(record).header.exclusive));
}

#[test]
fn a_value_over_the_whole_budget_gets_a_key_of_its_own_and_spends_nothing() {
    let world = World::new();
    let envelope = with_budget(&world, Budget::default().with_bytes(1_000));
    let small = world.seal(&envelope);
    let large = world.clock.run(envelope.encrypt(&pattern(1_001), &context())).unwrap();
    assert!(header(&large).header.exclusive);
    assert_eq!(front(&world.seal(&envelope)), front(&small));
    assert_eq!(world.clock.run(envelope.decrypt(&large, &context())).unwrap(), pattern(1_001));
}

#[test]
fn a_budget_of_nothing_still_seals() {
    for budget in [
        Budget::default().with_messages(0),
        Budget::default().with_bytes(0),
        Budget::default().with_age(std::time::Duration::ZERO),
    ] {
        let world = World::new();
        let envelope = with_budget(&world, budget);
        for _ in 0..3 {
            let sealed = world.seal(&envelope);
            world.opens(&envelope, &sealed);
        }
    }
}

#[test]
fn a_data_key_is_replaced_before_its_age_is_over_by_one_operation_alone() {
    let world = World::new();
    let envelope = world.envelope();
    let first = front(&world.seal(&envelope));
    world.clock.advance(4 * MINUTE - SECOND);
    assert_eq!(front(&world.seal(&envelope)), first);
    world.clock.advance(SECOND);
    // Somebody asks for the next key and waits; everybody else goes on with the old one.
    world.faults.push(Fault::Delay(10 * SECOND));
    let (asking, context) = (envelope.clone(), context());
    let mut asking = Box::pin(asking.encrypt(b"value", &context));
    let waker = std::task::Waker::noop();
    assert!(asking.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    for _ in 0..10 {
        assert_eq!(front(&block_on(envelope.encrypt(b"value", &context)).unwrap()), first);
    }
    let second = front(&world.clock.run(asking).unwrap());
    assert_ne!(second, first);
    assert_eq!(front(&world.seal(&envelope)), second);
    assert_eq!((world.calls().0, envelope.cache().stats().refreshes), (2, 1));
}

#[test]
fn a_data_key_is_replaced_before_its_messages_are_spent() {
    let world = World::new();
    let envelope = with_budget(&world, Budget::default().with_messages(100));
    let first = front(&world.seal(&envelope));
    let same = (0..200).take_while(|_| front(&world.seal(&envelope)) == first).count();
    assert!((75..=85).contains(&same), "{same}");
}

#[test]
fn past_its_age_a_data_key_seals_nothing() {
    let world = World::new();
    let policy = CachePolicy::default().with_refresh_percent(100);
    let envelope = world.builder().cache(policy).build().unwrap();
    let first = front(&world.seal(&envelope));
    world.clock.advance(5 * MINUTE);
    assert_eq!(front(&world.seal(&envelope)), first);
    world.clock.advance(SECOND / 1_000);
    assert_ne!(front(&world.seal(&envelope)), first);
}

#[test]
fn a_message_of_several_parties_has_a_key_of_its_own_that_is_not_kept_unless_asked() {
    let world = World::new();
    let parties = || -> Vec<Recipient> {
        let party = |name: &str| {
            let kms = vault_testkit::MemoryKms::new().with_store(name);
            let key = kms.add_key("app").unwrap();
            Recipient::kms(Arc::new(kms), key)
        };
        vec![party("one"), party("two"), party("three")]
    };
    for (policy, keys) in
        [(CachePolicy::default(), 0), (CachePolicy::default().with_shared_keys_kept(), 1)]
    {
        let recipients = Recipients::threshold(2, parties());
        let envelope = EnvelopeEncryption::to(recipients).cache(policy).build().unwrap();
        let (one, two) = (world.seal(&envelope), world.seal(&envelope));
        assert!(header(&one).header.exclusive);
        assert_ne!(front(&one), front(&two));
        world.opens(&envelope, &one);
        world.opens(&envelope, &one);
        assert_eq!(envelope.cache().stats().opening_keys, keys);
    }
}
