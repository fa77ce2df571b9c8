//! The time-out.

use std::time::Duration;

use vault_crypto_core::ErrorKind;
use vault_crypto_core::layers::TimeoutLayer;
use vault_testkit::Fault;

use super::support::{Bench, generate, poll_once};

const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn a_hung_kms_ends_in_a_time_out_at_the_limit() {
    let bench = Bench::new();
    let kms = bench.with(TimeoutLayer::new(LIMIT, bench.clock()));
    bench.faults.push(Fault::Hang);
    let (answer, took) = bench.timed(|| bench.generate(&kms));
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.key_id(), Some(&bench.key));
    assert_eq!(took, LIMIT);
    assert_eq!(bench.faults.cancelled(), 1, "the inner call is dropped");
}

#[test]
fn a_slow_answer_within_the_limit_passes_and_leaves_no_sleep() {
    let bench = Bench::new();
    let kms = bench.with(TimeoutLayer::new(LIMIT, bench.clock()));
    bench.faults.push(Fault::Delay(LIMIT - Duration::from_nanos(1)));
    bench.generate(&kms).unwrap();
    bench.generate(&kms).unwrap();
    assert_eq!(bench.clock.sleepers(), 0);
}

#[test]
fn an_answer_at_the_very_limit_wins() {
    let bench = Bench::new();
    let kms = bench.with(TimeoutLayer::new(LIMIT, bench.clock()));
    bench.faults.push(Fault::Delay(LIMIT));
    let mut call = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    bench.clock.advance(LIMIT);
    assert!(matches!(poll_once(call.as_mut()), std::task::Poll::Ready(Ok(_))));
}

#[test]
fn dropping_the_call_drops_what_is_inside() {
    let bench = Bench::new();
    let kms = bench.with(TimeoutLayer::new(LIMIT, bench.clock()));
    bench.faults.push(Fault::Hang);
    let mut call = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    assert_eq!(bench.clock.sleepers(), 1);
    drop(call);
    assert_eq!((bench.faults.cancelled(), bench.clock.sleepers()), (1, 0));
}
