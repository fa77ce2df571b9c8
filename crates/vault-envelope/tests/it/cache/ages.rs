//! How long a data key is used for opening: refreshed early, never past its age, stale only if asked.

use std::future::Future as _;
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use vault_crypto_core::{ErrorKind, Operation};
use vault_envelope::{CachePolicy, EnvelopeEncryption};
use vault_testkit::Fault;

use super::super::support::{block_on, context, kind_of};
use super::{MINUTE, SECOND, World};

fn cached(world: &World, policy: CachePolicy) -> EnvelopeEncryption {
    world.builder().cache(policy).build().unwrap()
}

const LATE: u8 = 100;

#[test]
fn past_its_age_a_key_is_asked_for_again_and_not_before() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = cached(&world, CachePolicy::default().with_refresh_percent(LATE));
    world.opens(&envelope, &sealed);
    world.clock.advance(5 * MINUTE);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 1);
    world.clock.advance(Duration::from_nanos(1));
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 2);
}

#[test]
fn one_operation_asks_early_and_the_others_do_not_wait_for_it() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = world.envelope();
    world.opens(&envelope, &sealed);
    world.clock.advance(4 * MINUTE);
    world.faults.push(Fault::Hang);
    let context = context();
    let mut asking = Box::pin(envelope.decrypt(&sealed, &context));
    assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    for _ in 0..10 {
        assert_eq!(block_on(envelope.decrypt(&sealed, &context)).unwrap(), b"value");
    }
    assert_eq!(world.calls().1, 2);
    // Whoever asks next, once that one has given up, is one again.
    drop(asking);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 3);
    world.clock.advance(4 * MINUTE - SECOND);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 3, "it counts from the refresh");
    assert_eq!(envelope.cache().stats().refreshes, 2);
}

#[test]
fn a_failed_early_question_costs_nobody_anything_and_is_not_repeated_at_once() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = world.envelope();
    world.opens(&envelope, &sealed);
    world.clock.advance(4 * MINUTE);
    world.faults.push_times(100, Fault::Fail(ErrorKind::Unavailable));
    (0..100).for_each(|_| world.opens(&envelope, &sealed));
    assert_eq!(world.calls().1, 2);
    world.clock.advance(SECOND);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 3);
}

#[test]
fn a_key_that_was_revoked_ends_when_somebody_asks_early() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = world.envelope();
    world.opens(&envelope, &sealed);
    world.clock.advance(4 * MINUTE);
    world.faults.push_times(100, Fault::Fail(ErrorKind::PermissionDenied));
    for _ in 0..10 {
        assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::PermissionDenied);
    }
    assert_eq!(envelope.cache().stats().opening_keys, 0);
}

#[test]
fn in_an_outage_a_key_is_used_past_its_age_only_if_that_was_asked_for() {
    let policy = CachePolicy::default().with_refresh_percent(LATE);
    for (stale, expected) in [(Duration::ZERO, false), (10 * MINUTE, true)] {
        let world = World::new();
        let sealed = world.foreign();
        let envelope = cached(&world, policy.with_stale_for(stale));
        world.opens(&envelope, &sealed);
        world.clock.advance(5 * MINUTE + SECOND);
        world.faults.push_times(10_000, Fault::Fail(ErrorKind::Unavailable));
        let opened = world.open(&envelope, &sealed);
        assert_eq!(opened.is_ok(), expected);
        assert_eq!(envelope.cache().stats().stale_uses, u64::from(expected));
        if !expected {
            assert_eq!(kind_of(opened), ErrorKind::Unavailable);
        }
    }
}

#[test]
fn stale_use_ends_at_its_bound_or_with_a_refusal_whichever_comes_first() {
    let policy = CachePolicy::default().with_refresh_percent(LATE).with_stale_for(10 * MINUTE);
    for refused in [false, true] {
        let world = World::new();
        let sealed = world.foreign();
        let envelope = cached(&world, policy);
        world.opens(&envelope, &sealed);
        world.clock.advance(6 * MINUTE);
        world.faults.push_times(10_000, Fault::Fail(ErrorKind::TimedOut));
        (0..50).for_each(|_| world.opens(&envelope, &sealed));
        assert_eq!(world.calls().1, 2, "an outage is not asked into at every use");
        if refused {
            world.faults.clear();
            world.faults.push(Fault::Fail(ErrorKind::KeyUnusable));
            world.clock.advance(MINUTE);
            assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::KeyUnusable);
            world.faults.push(Fault::Fail(ErrorKind::Unavailable));
            world.clock.advance(MINUTE);
            assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::Unavailable);
        } else {
            world.clock.advance(9 * MINUTE + SECOND);
            assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::TimedOut);
        }
    }
}

#[test]
fn sealing_goes_on_in_an_outage_only_if_that_was_asked_for_and_within_the_budget() {
    let late = CachePolicy::default().with_refresh_percent(LATE);
    for (stale, expected) in [(Duration::ZERO, 0), (MINUTE, 9)] {
        let world = World::new();
        let budget = vault_envelope::Budget::default().with_messages(10);
        let policy = late.with_stale_for(stale);
        let envelope = world.builder().budget(budget).cache(policy).build().unwrap();
        world.seal(&envelope);
        world.clock.advance(5 * MINUTE + SECOND);
        world.faults.push_times(1_000, Fault::Fail(ErrorKind::Unavailable));
        let sealed = (0..20).filter(|_| block_on(envelope.encrypt(b"v", &context())).is_ok());
        assert_eq!(sealed.count(), expected);
    }
}

#[test]
fn the_wall_clock_may_jump_either_way() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = world.envelope();
    world.opens(&envelope, &sealed);
    let day = Duration::from_secs(86_400);
    for wall in [SystemTime::UNIX_EPOCH + 10 * day, SystemTime::UNIX_EPOCH + 60_000 * day] {
        world.clock.set_wall(wall);
        world.opens(&envelope, &sealed);
        assert_eq!(world.calls().1, 1);
    }
    world.clock.set_wall(SystemTime::UNIX_EPOCH);
    world.clock.advance(6 * MINUTE);
    world.opens(&envelope, &sealed);
    assert_eq!(world.calls().1, 2);
}

#[test]
fn an_early_answer_of_another_key_is_no_answer() {
    let world = World::new();
    let sealed = world.foreign();
    let envelope = world.envelope();
    world.opens(&envelope, &sealed);
    // The KMS now says that the bytes are not its own: the cached key is given up.
    world.clock.advance(4 * MINUTE);
    let fault = Fault::Fail(ErrorKind::AuthenticationFailed);
    world.faults.push_on(Operation::DecryptDataKey, fault);
    assert_eq!(kind_of(world.open(&envelope, &sealed)), ErrorKind::AuthenticationFailed);
    assert_eq!(envelope.cache().stats().opening_keys, 0);
}
