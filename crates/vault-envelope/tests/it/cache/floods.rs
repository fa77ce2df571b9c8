//! Refusals: answered from memory for a while, and never at the expense of what is good.

use vault_crypto_core::{EncryptedData, ErrorKind};
use vault_envelope::CachePolicy;
use vault_testkit::Fault;

use super::super::support::{block_on, context, kind_of};
use super::{MINUTE, SECOND, World, front};

/// A record whose wrapped key is none.
fn bogus(sealed: &EncryptedData, number: u32) -> EncryptedData {
    let mut bytes = sealed.as_bytes().to_vec();
    let end = front(sealed).len();
    for (byte, with) in bytes[end - 4..end].iter_mut().zip((number + 1).to_be_bytes()) {
        *byte ^= with;
    }
    EncryptedData::from_bytes(bytes)
}

#[test]
fn a_flood_of_a_hundred_thousand_bogus_keys_drives_no_hot_key_out() {
    let world = World::new();
    let alone = world.builder().without_cache().build().unwrap();
    let hot: Vec<EncryptedData> = (0..20).map(|_| world.seal(&alone)).collect();
    let policy = CachePolicy::default().with_capacity(32).with_refusals(64);
    let envelope = world.builder().cache(policy).build().unwrap();
    hot.iter().for_each(|record| world.opens(&envelope, record));
    let calls = world.calls().1;
    for number in 0..100_000 {
        let refused = block_on(envelope.decrypt(&bogus(&hot[0], number), &context()));
        assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
        if number % 100 == 0 {
            hot.iter().for_each(|record| world.opens(&envelope, record));
        }
    }
    hot.iter().for_each(|record| world.opens(&envelope, record));
    assert_eq!(world.calls().1, calls + 100_000, "no hot key was asked for again");
    assert_eq!(envelope.cache().stats().evictions, 0);
}

#[test]
fn a_scan_of_good_records_drives_no_hot_key_out() {
    let world = World::new();
    let alone = world.builder().without_cache().build().unwrap();
    let hot: Vec<EncryptedData> = (0..20).map(|_| world.seal(&alone)).collect();
    let policy = CachePolicy::default().with_capacity(32);
    let envelope = world.builder().cache(policy).build().unwrap();
    for _ in 0..2 {
        hot.iter().for_each(|record| world.opens(&envelope, record));
    }
    let calls = world.calls().1;
    for number in 0..2_000 {
        world.opens(&envelope, &world.seal(&alone));
        if number % 200 == 0 {
            hot.iter().for_each(|record| world.opens(&envelope, record));
        }
    }
    assert_eq!(world.calls().1, calls + 2_000, "no hot key was asked for again");
}

#[test]
fn a_refusal_is_answered_from_memory_with_delays_that_double() {
    let world = World::new();
    let (sealed, envelope) = (bogus(&world.foreign(), 0), world.envelope());
    let mut asked = Vec::new();
    for second in 0..16 {
        let before = world.calls().1;
        for _ in 0..10 {
            let refused = world.open(&envelope, &sealed);
            assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
        }
        if world.calls().1 > before {
            assert_eq!(world.calls().1, before + 1);
            asked.push(second);
        }
        world.clock.advance(SECOND);
    }
    // After 1, 2, 4 and 8 seconds, each less up to a quarter; operations come once a second.
    let gaps: Vec<i32> = asked.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.starts_with(&[1, 2]) && (3..=4).contains(&gaps[2]), "{gaps:?}");
    assert!(gaps.get(3).is_none_or(|gap| (6..=8).contains(gap)), "{gaps:?}");
}

#[test]
fn a_service_that_is_down_is_asked_a_few_times_a_second_and_at_once_when_it_is_back() {
    let world = World::new();
    let (sealed, envelope) = (world.foreign(), world.envelope());
    world.faults.push_times(100_000, Fault::Fail(ErrorKind::Unavailable));
    for _ in 0..1_000 {
        assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::Unavailable);
        world.clock.advance(SECOND / 100);
    }
    assert!((5..=20).contains(&world.calls().1), "{:?}", world.calls());
    world.faults.clear();
    world.clock.advance(2 * SECOND);
    world.opens(&envelope, &sealed);
}

#[test]
fn a_service_that_is_down_is_not_hammered_by_who_seals_either() {
    let world = World::new();
    let envelope = world.envelope();
    world.faults.push_times(100_000, Fault::Fail(ErrorKind::Throttled));
    for _ in 0..1_000 {
        let refused = block_on(envelope.encrypt(b"value", &context()));
        assert_eq!(kind_of(refused), ErrorKind::Throttled);
        world.clock.advance(SECOND / 100);
    }
    assert!((5..=20).contains(&world.calls().0), "{:?}", world.calls());
    assert!(envelope.cache().stats().negative_hits > 900);
}

#[test]
fn refusals_are_kept_up_to_a_number_and_forgotten_when_something_changed() {
    let world = World::new();
    let policy = CachePolicy::default().with_refusals(2);
    let envelope = world.builder().cache(policy).build().unwrap();
    let sealed = world.foreign();
    let refused: Vec<EncryptedData> = (0..3).map(|number| bogus(&sealed, number)).collect();
    refused.iter().for_each(|record| assert!(world.open(&envelope, record).is_err()));
    assert_eq!(world.calls().1, 3);
    assert!(world.open(&envelope, &refused[2]).is_err());
    assert_eq!(world.calls().1, 3);
    assert!(world.open(&envelope, &refused[0]).is_err());
    assert_eq!(world.calls().1, 4, "the oldest gave way");
    envelope.cache().invalidate_all();
    assert!(world.open(&envelope, &refused[0]).is_err());
    assert_eq!(world.calls().1, 5);
}

#[test]
fn a_key_that_was_not_allowed_is_looked_at_anew_each_time() {
    let world = World::new();
    let other = world.kms.add_key("other").unwrap();
    let keys = vault_envelope::AllowedKeys::none().key(world.faulty(), other);
    let envelope = world.builder().allow_only(keys).build().unwrap();
    let sealed = world.foreign();
    for _ in 0..3 {
        assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::KeyNotAllowed);
    }
    let stats = envelope.cache().stats();
    assert_eq!((stats.negative_hits, world.calls().1), (0, 0));
}

#[test]
fn a_refused_record_opens_once_its_key_is_granted_again() {
    let world = World::new();
    let (sealed, envelope) = (world.foreign(), world.envelope());
    world.faults.push(Fault::Fail(ErrorKind::PermissionDenied));
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::PermissionDenied);
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::PermissionDenied);
    world.clock.advance(MINUTE);
    world.opens(&envelope, &sealed);
}
