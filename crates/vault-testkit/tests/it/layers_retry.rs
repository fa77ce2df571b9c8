//! Retrying.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::layers::RetryLayer;
use vault_crypto_core::{
    ErrorKind, KeyConfig, KmsProvider, Operation, RandomSource, Result, RotateOptions,
};
use vault_testkit::{FailingRandom, Fault, SeededRandom};

use super::support::{Bench, generate, poll_once};

/// Draws the same byte always: 0 is the shortest delay, 255 the longest.
#[derive(Debug)]
struct Always(u8);

impl RandomSource for Always {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill(self.0);
        Ok(())
    }
}

fn layer(bench: &Bench, random: impl RandomSource + 'static) -> RetryLayer {
    RetryLayer::new(bench.clock(), Arc::new(random))
}

#[test]
fn failures_that_may_pass_are_retried_until_one_attempt_succeeds() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, SeededRandom::new(1)));
    for kind in [ErrorKind::Throttled, ErrorKind::TimedOut, ErrorKind::Unavailable] {
        bench.faults.push(Fault::Fail(kind));
    }
    bench.generate(&kms).unwrap();
    assert_eq!(bench.faults.calls().total(), 4);
}

#[test]
fn the_last_error_comes_back_when_the_attempts_are_used_up() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, SeededRandom::new(1)).with_max_attempts(3));
    bench.faults.push_times(2, Fault::Fail(ErrorKind::Throttled));
    bench.faults.push_times(5, Fault::Fail(ErrorKind::Unavailable));
    assert_eq!(bench.generate(&kms).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(bench.faults.calls().total(), 3);
}

#[test]
fn failures_that_stay_are_not_retried() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, SeededRandom::new(1)));
    let kinds = [
        ErrorKind::AuthenticationFailed,
        ErrorKind::KeyNotFound,
        ErrorKind::KeyUnusable,
        ErrorKind::PermissionDenied,
        ErrorKind::InvalidInput,
        ErrorKind::Internal,
    ];
    for kind in kinds {
        bench.faults.push(Fault::Fail(kind));
        assert_eq!(bench.generate(&kms).unwrap_err().kind(), kind);
    }
    assert_eq!(bench.faults.calls().total(), 6, "one attempt each");
}

#[test]
fn delays_lie_between_zero_and_the_doubling_end() {
    let delays = |random: u8| {
        let bench = Bench::new();
        let retry = layer(&bench, Always(random))
            .with_max_attempts(6)
            .with_first_delay(Duration::from_millis(100))
            .with_longest_delay(Duration::from_millis(500));
        let kms = bench.with(retry);
        bench.faults.push_times(6, Fault::Fail(ErrorKind::Throttled));
        bench.timed(|| bench.generate(&kms).unwrap_err()).1
    };
    assert_eq!(delays(0), Duration::ZERO);
    assert_eq!(delays(255), Duration::from_millis(100 + 200 + 400 + 500 + 500));
}

#[test]
fn delays_are_spread_over_the_whole_range() {
    let bench = Bench::new();
    let end = Duration::from_secs(1);
    let retry = layer(&bench, SeededRandom::new(42))
        .with_max_attempts(2)
        .with_first_delay(end)
        .with_longest_delay(end);
    let kms = bench.with(retry);
    let mut quarters = [0; 4];
    for _ in 0..400 {
        bench.faults.push(Fault::Fail(ErrorKind::Throttled));
        let took = bench.timed(|| bench.generate(&kms).unwrap()).1;
        assert!(took <= end);
        quarters[usize::try_from(took.as_millis() * 4 / 1_001).unwrap()] += 1;
    }
    assert!(quarters.iter().all(|count| (60..=140).contains(count)), "{quarters:?}");
}

#[test]
fn nobody_comes_back_sooner_than_the_service_asked_nor_all_at_once() {
    let wait = Duration::from_secs(2);
    let took = |random: u8| {
        let bench = Bench::new();
        let kms = bench.with(layer(&bench, Always(random)));
        bench.faults.push(Fault::Throttle(wait));
        bench.timed(|| bench.generate(&kms).unwrap()).1
    };
    assert_eq!(took(0), wait);
    assert_eq!(took(255), wait + Duration::from_millis(100));
}

#[test]
fn a_service_that_asks_for_more_patience_than_there_is_gets_its_error_told_at_once() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, Always(0)).with_max_elapsed(Duration::from_secs(10)));
    let wait = Duration::from_secs(11);
    bench.faults.push(Fault::Throttle(wait));
    let (error, took) = bench.timed(|| bench.generate(&kms).unwrap_err());
    assert_eq!((error.retry_after(), took), (Some(wait), Duration::ZERO));
}

#[test]
fn no_attempt_begins_after_the_time_is_up() {
    let bench = Bench::new();
    let retry = layer(&bench, Always(255))
        .with_max_attempts(100)
        .with_first_delay(Duration::from_secs(1))
        .with_longest_delay(Duration::from_secs(1))
        .with_max_elapsed(Duration::from_secs(10));
    let kms = bench.with(retry);
    bench.faults.push_times(100, Fault::Fail(ErrorKind::Unavailable));
    let (error, took) = bench.timed(|| bench.generate(&kms).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(took, Duration::from_secs(10));
    assert_eq!(bench.faults.calls().total(), 11);
}

#[test]
fn a_mutation_that_may_have_happened_is_never_repeated() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, SeededRandom::new(1)));
    for kind in [ErrorKind::TimedOut, ErrorKind::Unavailable] {
        bench.faults.push(Fault::FailAfter(kind));
        let rotated = bench.clock.run(kms.rotate_key(&bench.key, RotateOptions::now()));
        assert_eq!(rotated.unwrap_err().kind(), kind);
    }
    let info = bench.clock.run(bench.memory.describe_key(&bench.key)).unwrap();
    assert_eq!(info.versions.len(), 3, "each rotation happened once");

    bench.faults.push(Fault::FailAfter(ErrorKind::TimedOut));
    let created = bench.clock.run(kms.create_key(KeyConfig::new("new")));
    assert_eq!(created.unwrap_err().kind(), ErrorKind::TimedOut, "and not the second's Conflict");
    assert_eq!(bench.faults.calls().of(Operation::CreateKey), 1);
}

#[test]
fn a_mutation_that_was_refused_is_repeated() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, SeededRandom::new(1)));
    bench.faults.push_times(2, Fault::Fail(ErrorKind::Throttled));
    bench.clock.run(kms.rotate_key(&bench.key, RotateOptions::now())).unwrap();
    let info = bench.clock.run(bench.memory.describe_key(&bench.key)).unwrap();
    assert_eq!(info.versions.len(), 2);
}

#[test]
fn listing_keys_is_no_mutation() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, SeededRandom::new(1)));
    bench.faults.push(Fault::Fail(ErrorKind::TimedOut));
    assert_eq!(bench.clock.run(kms.list_keys(None, 10)).unwrap().len(), 1);
}

#[test]
fn without_randomness_the_services_error_comes_back_at_once() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, FailingRandom::new()));
    bench.faults.push(Fault::Fail(ErrorKind::Throttled));
    assert_eq!(bench.generate(&kms).unwrap_err().kind(), ErrorKind::Throttled);
}

#[test]
fn dropping_the_call_between_attempts_makes_no_further_one() {
    let bench = Bench::new();
    let kms = bench.with(layer(&bench, Always(255)));
    bench.faults.push_times(3, Fault::Fail(ErrorKind::Throttled));
    let mut call = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    assert_eq!(bench.clock.sleepers(), 1);
    drop(call);
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!((bench.faults.calls().total(), bench.clock.sleepers()), (1, 0));
}
