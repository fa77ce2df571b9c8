//! All layers together.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use vault_crypto_core::layers::{
    AuditLayer, CircuitBreakerLayer, CircuitState, LayeredKms, MetricsLayer, RateLimitLayer,
    RetryLayer, TimeoutLayer,
};
use vault_crypto_core::{Clock, ErrorKind, KmsAdmin, KmsProvider, Operation, RotateOptions};
use vault_testkit::conformance::{self, AdminFixture, KmsFixture};
use vault_testkit::{Fault, MemoryAudit, SeededRandom};

use super::support::{Bench, generate, poll_once};

struct Stack {
    bench: Bench,
    kms: Arc<dyn KmsAdmin>,
    audit: Arc<MemoryAudit>,
    metrics: MetricsLayer,
    breaker: CircuitBreakerLayer,
}

fn stack() -> Stack {
    let bench = Bench::new();
    let clock = bench.clock();
    let audit = Arc::new(MemoryAudit::new());
    let metrics = MetricsLayer::new(Arc::clone(&clock));
    let breaker = CircuitBreakerLayer::new(Arc::clone(&clock));
    let random = Arc::new(SeededRandom::new(1));
    // Named in another order than the one in which they are stacked.
    let kms = LayeredKms::new(Arc::clone(&bench.faulty))
        .with_audit(AuditLayer::new(audit.clone(), Arc::clone(&clock)))
        .with_timeout(TimeoutLayer::new(Duration::from_secs(2), Arc::clone(&clock)))
        .with_circuit_breaker(breaker.clone())
        .with_metrics(metrics.clone())
        .with_rate_limit(RateLimitLayer::new(100, 10, Arc::clone(&clock)).unwrap())
        .with_retry(RetryLayer::new(clock, random))
        .build();
    Stack { bench, kms, audit, metrics, breaker }
}

#[test]
fn a_stack_of_all_layers_keeps_every_promise_of_the_traits() {
    let Stack { bench, kms, .. } = stack();
    let other = bench.memory.add_key("other").unwrap();
    let memory = Arc::clone(&bench.memory);
    let fixture = KmsFixture::new(kms.clone(), bench.memory.clone(), bench.key.clone(), other)
        .with_plaintext_count(move || memory.plaintexts_handed_out());
    let report = bench.clock.run(conformance::kms::run_all(&fixture));
    report.assert_passed();
    assert_eq!(report.proved(), conformance::kms::CASES.len());

    let report = bench.clock.run(conformance::admin::run_all(&AdminFixture::new(kms, "suite")));
    report.assert_passed();
    assert_eq!(report.proved(), conformance::admin::CASES.len());
}

#[test]
fn it_keeps_them_while_the_service_is_throttling_and_slow() {
    let Stack { bench, kms, .. } = stack();
    // A fault for every third call or so, each of which one retry overcomes.
    for _ in 0..60 {
        bench.faults.push(Fault::Fail(ErrorKind::Throttled));
        bench.faults.push(Fault::Delay(Duration::from_millis(900)));
        bench.faults.push(Fault::Delay(Duration::ZERO));
    }
    let report = bench.clock.run(conformance::admin::run_all(&AdminFixture::new(kms, "suite")));
    report.assert_passed();
    assert_eq!(report.proved(), conformance::admin::CASES.len());
    assert!(bench.memory.calls().total() < bench.faults.calls().total(), "faults were met");
}

#[test]
fn a_hung_attempt_times_out_is_retried_and_audited_once() {
    let Stack { bench, kms, audit, metrics, .. } = stack();
    bench.faults.push(Fault::Hang);
    bench.generate(&kms).unwrap();
    assert_eq!(bench.faults.calls().total(), 2);
    let events = audit.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].failure, None);
    assert!(events[0].duration >= Duration::from_secs(2));
    let counted = metrics.metrics().operation(Operation::GenerateDataKey).unwrap();
    assert_eq!((counted.ok, counted.failed.len()), (1, 0), "the caller's view, not the attempts'");
}

#[test]
fn the_breaker_sees_attempts_and_an_open_one_spends_no_turns() {
    let Stack { bench, kms, breaker, .. } = stack();
    bench.faults.push_times(100, Fault::Fail(ErrorKind::Unavailable));
    assert!(bench.generate(&kms).is_err());
    assert!(bench.generate(&kms).is_err());
    assert_eq!(breaker.state(), CircuitState::Open);
    let asked = bench.faults.calls().total();
    assert_eq!(asked, 5, "four attempts of the first call, one of the second");
    assert!(bench.generate(&kms).is_err());
    assert_eq!(bench.faults.calls().total(), asked);
}

#[test]
fn a_rotation_whose_answer_is_lost_is_not_repeated_by_any_layer() {
    let Stack { bench, kms, audit, .. } = stack();
    bench.faults.push(Fault::FailAfter(ErrorKind::TimedOut));
    let rotated = bench.clock.run(kms.rotate_key(&bench.key, RotateOptions::now()));
    assert_eq!(rotated.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(bench.memory.calls().of(Operation::RotateKey), 1);
    assert_eq!(audit.events()[0].failure, Some(ErrorKind::TimedOut));
}

#[test]
fn dropping_a_call_leaves_nothing_running() {
    let Stack { bench, kms, metrics, .. } = stack();
    bench.faults.push(Fault::Hang);
    let mut call = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    assert_eq!((bench.faults.running(), bench.clock.sleepers()), (0, 0));
    let counted = metrics.metrics().operation(Operation::GenerateDataKey).unwrap();
    assert_eq!(counted.cancelled, 1);
    bench.generate(&kms).unwrap();
}

#[test]
fn many_threads_share_one_stack() {
    let Stack { bench, kms, audit, .. } = stack();
    thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..10 {
                        pollster::block_on(generate(kms.as_ref(), &bench.key)).unwrap();
                    }
                })
            })
            .collect();
        while !calls.iter().all(thread::ScopedJoinHandle::is_finished) {
            bench.clock.advance(Duration::from_millis(1));
            thread::yield_now();
        }
    });
    assert_eq!(audit.events().len(), 40);
}

#[test]
fn a_stack_over_a_provider_is_a_provider_that_says_what_it_is() {
    let bench = Bench::new();
    let provider: Arc<dyn KmsProvider> = bench.memory.clone();
    let clock: Arc<dyn Clock> = bench.clock();
    let kms = LayeredKms::new(provider)
        .with_timeout(TimeoutLayer::new(Duration::from_secs(1), clock))
        .build();
    assert_eq!(kms.provider_type(), "memory");
    assert_eq!(kms.capabilities(), bench.memory.capabilities());
    bench.clock.run(generate(kms.as_ref(), &bench.key)).unwrap();
}
