//! The metrics layer.

use std::thread;
use std::time::Duration;

use vault_crypto_core::layers::{LATENCY_BUCKETS, MetricsLayer};
use vault_crypto_core::{ErrorKind, Operation};
use vault_testkit::Fault;

use super::support::{Bench, generate, poll_once};

#[test]
fn outcomes_and_durations_are_counted_by_operation() {
    let bench = Bench::new();
    let layer = MetricsLayer::new(bench.clock());
    let metrics = layer.metrics();
    let kms = bench.with(layer);
    assert!(metrics.snapshot().is_empty());
    for fault in [
        Fault::Delay(Duration::from_millis(1)),
        Fault::Delay(Duration::from_millis(3)),
        Fault::Delay(Duration::from_secs(60)),
        Fault::Fail(ErrorKind::Throttled),
        Fault::Fail(ErrorKind::Throttled),
        Fault::Fail(ErrorKind::AuthenticationFailed),
    ] {
        bench.faults.push(fault);
        drop(bench.generate(&kms));
    }
    bench.clock.run(kms.list_keys(None, 1)).unwrap();

    let generated = metrics.operation(Operation::GenerateDataKey).unwrap();
    assert_eq!((generated.ok, generated.cancelled), (3, 0));
    assert_eq!(generated.failed, [(ErrorKind::AuthenticationFailed, 1), (ErrorKind::Throttled, 2)]);
    let bucket = |ms: u64| LATENCY_BUCKETS.iter().position(|end| *end == ms).unwrap();
    assert_eq!(generated.latency[bucket(1)], 1 + 3, "failures took no time");
    assert_eq!(generated.latency[bucket(5)], 1);
    assert_eq!(generated.latency[LATENCY_BUCKETS.len()], 1);
    assert_eq!(generated.latency.iter().sum::<u64>(), 6);
    assert_eq!(generated.total, Duration::from_millis(60_004));
    assert_eq!(metrics.operation(Operation::ListKeys).unwrap().ok, 1);
    assert_eq!(metrics.snapshot().len(), 2);
}

#[test]
fn dropped_calls_are_counted_as_cancelled() {
    let bench = Bench::new();
    let layer = MetricsLayer::new(bench.clock());
    let metrics = layer.metrics();
    let kms = bench.with(layer);
    bench.faults.push(Fault::Hang);
    let mut call = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    let counts = metrics.operation(Operation::GenerateDataKey).unwrap();
    assert_eq!((counts.ok, counts.cancelled), (0, 1));
}

#[test]
fn no_call_is_lost_when_threads_count_together() {
    let bench = Bench::new();
    let layer = MetricsLayer::new(bench.clock());
    let metrics = layer.metrics();
    let kms = bench.with(layer);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    pollster::block_on(generate(kms.as_ref(), &bench.key)).unwrap();
                }
            });
        }
    });
    assert_eq!(metrics.operation(Operation::GenerateDataKey).unwrap().ok, 200);
}
