//! Opening by several keys: in order of preference, hedged after a delay, each slot asked once.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::layers::LayeredKms;
use vault_crypto_core::{Clock as _, ErrorKind, KmsProvider, Operation};
use vault_envelope::{AllowedKeys, EnvelopeBuilder, EnvelopeEncryption, Recipients};
use vault_testkit::{Fault, VirtualClock};

use super::clouds::{Cloud, Private, clouds, envelope_to, open, recipients, seal};
use super::support::kind_of;

const DELAY: Duration = Duration::from_millis(50);

/// A message for all `clouds`; calls of sealing are not counted against anybody.
fn sealed(clock: &VirtualClock, clouds: &[Cloud]) -> Vec<u8> {
    clock.run(seal(&envelope_to(clock, Recipients::all(recipients(clouds))))).unwrap()
}

fn reader(clock: &VirtualClock, clouds: &[Cloud]) -> EnvelopeBuilder {
    EnvelopeEncryption::to(Recipients::all(recipients(clouds))).clock(Arc::new(clock.clone()))
}

fn unwraps(clouds: &[Cloud]) -> Vec<u64> {
    clouds.iter().map(|cloud| cloud.calls(Operation::DecryptDataKey)).collect()
}

#[test]
fn the_preferred_key_alone_is_asked_while_it_answers() {
    let (clock, clouds) = clouds::<3>();
    let sealed = sealed(&clock, &clouds);
    clouds[0].faults.push(Fault::Delay(DELAY / 2));
    let reader = reader(&clock, &clouds).hedge_after(DELAY).build().unwrap();
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 0);
    assert_eq!(unwraps(&clouds), [1, 0, 0]);
}

#[test]
fn the_order_is_the_reader_s_and_not_the_message_s() {
    let (clock, clouds) = clouds::<2>();
    let sealed = sealed(&clock, &clouds);
    let [first, second] = &clouds;
    let allowed = second.allowed().key(first.kms.clone(), first.key.clone());
    let reader = reader(&clock, &clouds).allow_only(allowed).build().unwrap();
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 1);
    assert_eq!(unwraps(&clouds), [0, 1]);
}

#[test]
fn a_failing_key_gives_way_to_the_next_at_once() {
    let (clock, clouds) = clouds::<3>();
    let sealed = sealed(&clock, &clouds);
    clouds[0].faults.push(Fault::Fail(ErrorKind::Unavailable));
    clouds[1].faults.push(Fault::Fail(ErrorKind::PermissionDenied));
    let reader = reader(&clock, &clouds).hedge_after(DELAY).build().unwrap();
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 2);
    assert_eq!(clock.monotonic(), Duration::ZERO);
}

#[test]
fn after_the_delay_the_next_key_is_asked_and_the_silent_call_is_dropped() {
    let (clock, clouds) = clouds::<3>();
    let sealed = sealed(&clock, &clouds);
    clouds[0].faults.push(Fault::Hang);
    clouds[1].faults.push(Fault::Hang);
    let reader = reader(&clock, &clouds).hedge_after(DELAY).build().unwrap();
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 2);
    assert_eq!(clock.monotonic(), DELAY * 2);
    assert_eq!(clouds[0].faults.cancelled() + clouds[1].faults.cancelled(), 2);
    assert_eq!(clouds.iter().map(|cloud| cloud.faults.running()).sum::<u64>(), 0);
}

#[test]
fn a_wrong_answer_wins_no_race() {
    let (clock, clouds) = clouds::<2>();
    let sealed = sealed(&clock, &clouds);
    clouds[0].faults.push(Fault::Delay(DELAY * 3));
    clouds[1].faults.push(Fault::Fail(ErrorKind::AuthenticationFailed));
    let reader = reader(&clock, &clouds).hedge_after(DELAY).build().unwrap();
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 0);
    assert_eq!(clock.monotonic(), DELAY * 3);
}

#[test]
fn without_hedging_keys_are_asked_one_after_the_other() {
    let (clock, clouds) = clouds::<2>();
    let sealed = sealed(&clock, &clouds);
    clouds[0].faults.push(Fault::Delay(DELAY * 100));
    let reader = reader(&clock, &clouds).build().unwrap();
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 0);
    assert_eq!(unwraps(&clouds), [1, 0]);
}

#[test]
fn a_key_whose_breaker_is_open_costs_neither_time_nor_a_call() {
    let (clock, clouds) = clouds::<2>();
    let sealed = sealed(&clock, &clouds);
    let time: Arc<dyn vault_crypto_core::Clock> = Arc::new(clock.clone());
    let breaker = vault_crypto_core::layers::CircuitBreakerLayer::new(time.clone());
    let guarded = LayeredKms::new(clouds[0].kms.clone()).with_circuit_breaker(breaker).build();
    let allowed = AllowedKeys::none()
        .key(guarded, clouds[0].key.clone())
        .key(clouds[1].kms.clone(), clouds[1].key.clone());
    let reader = reader(&clock, &clouds).allow_only(allowed).hedge_after(DELAY).build().unwrap();
    clouds[0].faults.push_times(100, Fault::Fail(ErrorKind::Unavailable));
    for _ in 0..20 {
        assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 1);
    }
    let asked = clouds[0].calls(Operation::DecryptDataKey);
    assert!(asked < 20, "the breaker let {asked} calls pass");
    assert_eq!(clock.monotonic(), Duration::ZERO);
}

#[test]
fn of_several_failures_the_one_that_may_pass_is_told() {
    let (clock, clouds) = clouds::<3>();
    let sealed = sealed(&clock, &clouds);
    clouds[0].faults.push(Fault::Fail(ErrorKind::AuthenticationFailed));
    clouds[1].faults.push(Fault::Fail(ErrorKind::KeyUnusable));
    clouds[2].faults.push(Fault::Fail(ErrorKind::Throttled));
    let reader = reader(&clock, &clouds).build().unwrap();
    assert_eq!(kind_of(clock.run(open(&reader, &sealed))), ErrorKind::Throttled);
}

#[test]
fn an_alias_that_cannot_be_resolved_costs_one_call_for_each_message() {
    let (clock, clouds) = clouds::<1>();
    let cloud = &clouds[0];
    let others = (0..5).map(|number| {
        let key = cloud.memory.add_key(&format!("key-{number}")).unwrap();
        vault_envelope::Recipient::kms(cloud.kms.clone(), key)
    });
    let sealed = clock.run(seal(&envelope_to(&clock, Recipients::all(others)))).unwrap();
    let private: Arc<dyn KmsProvider> = Arc::new(Private(cloud.kms.clone()));
    let alias = AllowedKeys::none().key(private, "app");
    let reader = reader(&clock, &clouds).allow_only(alias).build().unwrap();
    cloud.faults.push_on(Operation::DescribeKey, Fault::Fail(ErrorKind::Unavailable));
    assert_eq!(kind_of(clock.run(open(&reader, &sealed))), ErrorKind::Unavailable);
    assert_eq!(cloud.calls(Operation::DescribeKey), 1);
    // Once it is known, no message costs a call for it.
    for _ in 0..3 {
        assert_eq!(kind_of(clock.run(open(&reader, &sealed))), ErrorKind::KeyNotAllowed);
    }
    assert_eq!(cloud.calls(Operation::DescribeKey), 2);
    assert_eq!(cloud.calls(Operation::DecryptDataKey), 0);
}

#[test]
fn a_silent_alias_does_not_hold_up_the_next_key() {
    let (clock, clouds) = clouds::<2>();
    let sealed = sealed(&clock, &clouds);
    let private: Arc<dyn KmsProvider> = Arc::new(Private(clouds[0].kms.clone()));
    let allowed =
        AllowedKeys::none().key(private, "app").key(clouds[1].kms.clone(), clouds[1].key.clone());
    let reader = reader(&clock, &clouds).allow_only(allowed).hedge_after(DELAY).build().unwrap();
    clouds[0].faults.push_on(Operation::DescribeKey, Fault::Hang);
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 1);
    assert_eq!(clock.monotonic(), DELAY);
    // When it answers, it is preferred again.
    assert_eq!(clock.run(open(&reader, &sealed)).unwrap().slot, 0);
}

#[test]
fn a_slot_is_asked_once_however_often_its_key_is_allowed() {
    let (clock, clouds) = clouds::<1>();
    let sealed = sealed(&clock, &clouds);
    let allowed = clouds[0].allowed().any_key_matching(clouds[0].kms.clone(), |_| true);
    let reader = reader(&clock, &clouds).allow(allowed).hedge_after(DELAY).build().unwrap();
    clouds[0].faults.push(Fault::Fail(ErrorKind::Unavailable));
    assert_eq!(kind_of(clock.run(open(&reader, &sealed))), ErrorKind::Unavailable);
    assert_eq!(unwraps(&clouds), [1]);
}

/// Two ways to one key: a service behind two addresses.
#[test]
fn a_key_behind_two_addresses_opens_while_one_of_them_fails_or_is_silent() {
    for fault in [Fault::Fail(ErrorKind::Unavailable), Fault::Hang] {
        let (clock, clouds) = clouds::<1>();
        let sealed = sealed(&clock, &clouds);
        let [cloud] = &clouds;
        let other: Arc<dyn KmsProvider> = cloud.memory.clone();
        let allowed = cloud.allowed().key(other, cloud.key.clone());
        let reader = reader(&clock, &clouds).allow_only(allowed).hedge_after(DELAY);
        cloud.faults.push_on(Operation::DecryptDataKey, fault);
        assert_eq!(clock.run(open(&reader.build().unwrap(), &sealed)).unwrap().slot, 0);
        assert_eq!(unwraps(&clouds), [1]);
    }
}
