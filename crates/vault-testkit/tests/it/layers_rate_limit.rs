//! The rate limit.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use vault_crypto_core::layers::RateLimitLayer;
use vault_crypto_core::{Clock, ErrorKind, KmsAdmin};

use super::support::{Bench, generate, poll_once};

const MS: Duration = Duration::from_millis(1);

/// Ten a second, a burst of `burst`.
fn limited(bench: &Bench, burst: u32, max_wait: Duration) -> Arc<dyn KmsAdmin> {
    bench.with(RateLimitLayer::new(10, burst, bench.clock()).unwrap().with_max_wait(max_wait))
}

#[test]
fn a_burst_passes_at_once_and_the_rest_at_the_steady_rate() {
    let bench = Bench::new();
    let kms = limited(&bench, 3, Duration::MAX);
    let times: Vec<u128> = (0..6)
        .map(|_| {
            bench.generate(&kms).unwrap();
            bench.clock.monotonic().as_millis()
        })
        .collect();
    assert_eq!(times, [0, 0, 0, 100, 200, 300]);
}

#[test]
fn a_pause_refills_the_burst_and_no_more() {
    let bench = Bench::new();
    let kms = limited(&bench, 2, Duration::MAX);
    bench.generate(&kms).unwrap();
    bench.clock.advance(Duration::from_secs(60));
    let (_, took) = bench.timed(|| (0..3).for_each(|_| drop(bench.generate(&kms).unwrap())));
    assert_eq!(took, 100 * MS);
}

#[test]
fn over_any_time_no_more_pass_than_rate_and_burst_allow() {
    let bench = Bench::new();
    let kms = limited(&bench, 5, Duration::MAX);
    let times: Vec<Duration> = (0..200)
        .map(|n| {
            bench.clock.advance(MS * (n * 37 % 150));
            bench.generate(&kms).unwrap();
            bench.clock.monotonic()
        })
        .collect();
    for (n, from) in times.iter().enumerate() {
        let within = times[n..].iter().filter(|at| **at < *from + Duration::from_secs(1)).count();
        assert!(within <= 5 + 10, "{within} calls in the second after {from:?}");
    }
}

#[test]
fn waiting_longer_than_allowed_is_throttled_at_once_and_takes_no_turn() {
    let bench = Bench::new();
    let kms = limited(&bench, 1, 150 * MS);
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(generate(kms.as_ref(), &bench.key))).collect();
    assert!(poll_once(calls[0].as_mut()).is_ready());
    assert!(poll_once(calls[1].as_mut()).is_pending());
    let std::task::Poll::Ready(Err(error)) = poll_once(calls[2].as_mut()) else {
        panic!("it waits although it may not")
    };
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(error.is_retryable());
    bench.clock.advance(100 * MS);
    assert!(poll_once(calls[1].as_mut()).is_ready());
    assert_eq!(bench.timed(|| bench.generate(&kms)).1, 100 * MS, "the refused call took no turn");
}

#[test]
fn a_cancelled_wait_gives_its_turn_back() {
    let bench = Bench::new();
    let kms = limited(&bench, 1, Duration::MAX);
    bench.generate(&kms).unwrap();
    let mut waiting = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(bench.timed(|| bench.generate(&kms)).1, 100 * MS);
    assert_eq!(bench.clock.sleepers(), 0);
}

#[test]
fn a_cancelled_wait_in_the_middle_brings_nobody_forward() {
    let bench = Bench::new();
    let kms = limited(&bench, 1, Duration::MAX);
    bench.generate(&kms).unwrap();
    let mut first = Box::pin(generate(kms.as_ref(), &bench.key));
    let mut second = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    drop(first);
    // The next one queues behind the second, which is due at 200 ms.
    assert_eq!(bench.timed(|| bench.generate(&kms)).1, 300 * MS);
}

#[test]
fn many_threads_together_stay_within_the_rate() {
    let bench = Bench::new();
    let kms = limited(&bench, 4, Duration::MAX);
    let waiting = thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| pollster::block_on(generate(kms.as_ref(), &bench.key)).unwrap());
        }
        // Until every call has passed or waits for its turn.
        while bench.faults.calls().total() + (bench.clock.sleepers() as u64) < 10 {
            thread::yield_now();
        }
        let waiting = bench.clock.sleepers();
        bench.clock.advance(Duration::from_secs(1));
        waiting
    });
    assert_eq!(waiting, 6, "four at once, six wait");
    assert_eq!(bench.faults.calls().total(), 10);
    assert_eq!(bench.timed(|| bench.generate(&kms)).1, Duration::ZERO);
}

#[test]
fn a_rate_or_burst_of_zero_is_refused() {
    let bench = Bench::new();
    for (rate, burst) in [(0, 1), (1, 0)] {
        let error = RateLimitLayer::new(rate, burst, bench.clock()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
