//! The circuit breaker.

use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use vault_crypto_core::layers::{CircuitBreakerLayer, CircuitState};
use vault_crypto_core::{ErrorKind, KmsAdmin};
use vault_testkit::Fault;

use super::support::{Bench, generate, poll_once};

const OPEN_FOR: Duration = Duration::from_secs(30);

fn breaker(bench: &Bench) -> (CircuitBreakerLayer, Arc<dyn KmsAdmin>) {
    let layer = CircuitBreakerLayer::new(bench.clock()).with_threshold(3).with_open_for(OPEN_FOR);
    (layer.clone(), bench.with(layer))
}

fn fail(bench: &Bench, kms: &Arc<dyn KmsAdmin>, count: usize, kind: ErrorKind) {
    bench.faults.push_times(count, Fault::Fail(kind));
    for _ in 0..count {
        assert_eq!(bench.generate(kms).unwrap_err().kind(), kind);
    }
}

#[test]
fn it_opens_after_failures_in_a_row_and_then_asks_nobody() {
    for kind in [ErrorKind::Unavailable, ErrorKind::TimedOut] {
        let bench = Bench::new();
        let (layer, kms) = breaker(&bench);
        fail(&bench, &kms, 2, kind);
        assert_eq!(layer.state(), CircuitState::Closed);
        fail(&bench, &kms, 1, kind);
        assert_eq!(layer.state(), CircuitState::Open);
        bench.clock.advance(OPEN_FOR - Duration::from_nanos(1));
        let error = bench.generate(&kms).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(bench.faults.calls().total(), 3);
    }
}

#[test]
fn open_for_ever_is_a_time_like_any_other() {
    let bench = Bench::new();
    bench.clock.advance(Duration::from_secs(1));
    let layer = CircuitBreakerLayer::new(bench.clock()).with_threshold(1);
    let layer = layer.with_open_for(Duration::MAX);
    let kms = bench.with(layer.clone());
    bench.generate(&kms).unwrap();
    fail(&bench, &kms, 1, ErrorKind::Unavailable);
    bench.clock.advance(Duration::from_secs(1_000_000));
    assert_eq!(layer.state(), CircuitState::Open);
}

#[test]
fn errors_by_which_the_service_answers_are_signs_of_life() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    for kind in
        [ErrorKind::AuthenticationFailed, ErrorKind::KeyNotFound, ErrorKind::PermissionDenied]
    {
        fail(&bench, &kms, 10, kind);
        assert_eq!(layer.state(), CircuitState::Closed);
    }
    fail(&bench, &kms, 2, ErrorKind::Unavailable);
    fail(&bench, &kms, 1, ErrorKind::AuthenticationFailed);
    fail(&bench, &kms, 2, ErrorKind::Unavailable);
    assert_eq!(layer.state(), CircuitState::Closed, "the row was interrupted");
}

#[test]
fn errors_that_say_nothing_of_the_service_change_nothing() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 2, ErrorKind::Unavailable);
    for kind in [ErrorKind::Throttled, ErrorKind::InvalidInput, ErrorKind::Io] {
        fail(&bench, &kms, 5, kind);
        assert_eq!(layer.state(), CircuitState::Closed);
    }
    fail(&bench, &kms, 1, ErrorKind::Unavailable);
    assert_eq!(layer.state(), CircuitState::Open);
}

#[test]
fn a_probe_that_succeeds_closes_it() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    assert_eq!(layer.state(), CircuitState::HalfOpen);
    bench.generate(&kms).unwrap();
    assert_eq!(layer.state(), CircuitState::Closed);
    fail(&bench, &kms, 2, ErrorKind::Unavailable);
    assert_eq!(layer.state(), CircuitState::Closed, "the count began anew");
}

#[test]
fn a_probe_that_fails_opens_it_for_the_whole_time_again() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    fail(&bench, &kms, 1, ErrorKind::TimedOut);
    assert_eq!(layer.state(), CircuitState::Open);
    bench.clock.advance(OPEN_FOR - Duration::from_nanos(1));
    assert_eq!(layer.state(), CircuitState::Open);
    bench.clock.advance(Duration::from_nanos(1));
    assert_eq!(layer.state(), CircuitState::HalfOpen);
}

#[test]
fn one_probe_at_a_time() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    bench.faults.push(Fault::Delay(Duration::from_secs(1)));
    let mut probe = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(probe.as_mut()).is_pending());
    let mut second = Box::pin(generate(kms.as_ref(), &bench.key));
    let Poll::Ready(Err(error)) = poll_once(second.as_mut()) else { panic!("a second probe") };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(bench.faults.calls().total(), 4);
    bench.clock.advance(Duration::from_secs(1));
    assert!(matches!(poll_once(probe.as_mut()), Poll::Ready(Ok(_))));
    assert_eq!(layer.state(), CircuitState::Closed);
}

#[test]
fn a_cancelled_probe_frees_its_place() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    bench.faults.push(Fault::Hang);
    let mut probe = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(probe.as_mut()).is_pending());
    drop(probe);
    assert_eq!(layer.state(), CircuitState::HalfOpen);
    bench.generate(&kms).unwrap();
    assert_eq!(layer.state(), CircuitState::Closed);
}

#[test]
fn a_probe_that_finds_nothing_out_frees_its_place() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    fail(&bench, &kms, 1, ErrorKind::Throttled);
    assert_eq!(layer.state(), CircuitState::HalfOpen);
    bench.generate(&kms).unwrap();
    assert_eq!(layer.state(), CircuitState::Closed);
}

#[test]
fn old_news_change_nothing() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    // A call that began while it was closed ends well after it opened.
    bench.faults.push(Fault::Delay(Duration::from_secs(1)));
    let mut slow = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(slow.as_mut()).is_pending());
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    assert_eq!(layer.state(), CircuitState::HalfOpen);
    bench.faults.push(Fault::Hang);
    let mut probe = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(probe.as_mut()).is_pending());
    assert!(matches!(poll_once(slow.as_mut()), Poll::Ready(Ok(_))));
    assert_eq!(layer.state(), CircuitState::HalfOpen, "the probe decides");
}

#[test]
fn health_is_asked_even_when_it_is_open_and_closes_nothing() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    assert!(bench.clock.run(kms.health_check()).unwrap().healthy);
    assert_eq!(layer.state(), CircuitState::Open);
}

#[test]
fn many_threads_get_one_probe() {
    let bench = Bench::new();
    let (layer, kms) = breaker(&bench);
    fail(&bench, &kms, 3, ErrorKind::Unavailable);
    bench.clock.advance(OPEN_FOR);
    bench.faults.push_times(8, Fault::Delay(Duration::from_secs(1)));
    let outcomes: Vec<bool> = thread::scope(|scope| {
        let calls: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| pollster::block_on(generate(kms.as_ref(), &bench.key)).is_ok()))
            .collect();
        // Until every call has been refused or waits at the service.
        let finished = || calls.iter().filter(|call| call.is_finished()).count();
        while finished() + bench.clock.sleepers() < calls.len() {
            thread::yield_now();
        }
        bench.clock.advance(Duration::from_secs(1));
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 1);
    assert_eq!(bench.faults.calls().total(), 4);
    assert_eq!(layer.state(), CircuitState::Closed);
}
