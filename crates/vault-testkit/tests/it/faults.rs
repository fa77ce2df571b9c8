//! The fault injector.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::storage::{Expected, MemoryStorage};
use vault_crypto_core::{ErrorKind, KmsProvider, Operation, RotateOptions, StorageBackend};
use vault_testkit::{Fault, Faults, FaultyStorage, VirtualClock};

use super::support::{Bench, generate, poll_once};

#[test]
fn faults_come_in_their_order_and_then_calls_pass() {
    let bench = Bench::new();
    bench.faults.push_times(2, Fault::Fail(ErrorKind::Throttled));
    bench.faults.push(Fault::Delay(Duration::from_secs(3)));
    for _ in 0..2 {
        let error = bench.generate(&bench.faulty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled);
    }
    let (answer, took) = bench.timed(|| bench.generate(&bench.faulty));
    assert!(answer.is_ok());
    assert_eq!(took, Duration::from_secs(3));
    assert_eq!(bench.faults.calls().total(), 3);
    assert_eq!(bench.memory.calls().total(), 1, "failed calls do not reach the service");
}

#[test]
fn a_lost_answer_leaves_the_operation_done() {
    let bench = Bench::new();
    bench.faults.push_on(Operation::RotateKey, Fault::FailAfter(ErrorKind::TimedOut));
    bench.generate(&bench.faulty).unwrap();
    let rotated = bench.clock.run(bench.faulty.rotate_key(&bench.key, RotateOptions::now()));
    assert_eq!(rotated.unwrap_err().kind(), ErrorKind::TimedOut);
    let info = bench.clock.run(bench.memory.describe_key(&bench.key)).unwrap();
    assert_eq!(info.versions.len(), 2);
}

#[test]
fn a_dropped_call_is_counted_as_cancelled() {
    let bench = Bench::new();
    bench.faults.push(Fault::Hang);
    let mut call = Box::pin(generate(bench.faulty.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    assert_eq!((bench.faults.running(), bench.faults.cancelled()), (1, 0));
    drop(call);
    assert_eq!((bench.faults.running(), bench.faults.cancelled()), (0, 1));
}

#[test]
fn a_store_fails_before_or_after_its_effect() {
    let clock = VirtualClock::new();
    let faults = Faults::new(Arc::new(clock.clone()));
    let memory = Arc::new(MemoryStorage::new());
    let storage = FaultyStorage::new(memory.clone(), faults.clone());
    let put = |key| clock.run(storage.put(key, b"value", Expected::Absent)).map_err(|e| e.kind());
    let held = |key| clock.run(memory.get(key)).unwrap().is_some();

    faults.push_on(Operation::StoragePut, Fault::Fail(ErrorKind::Unavailable));
    faults.push_on(Operation::StoragePut, Fault::FailAfter(ErrorKind::TimedOut));
    assert_eq!((put("before"), held("before")), (Err(ErrorKind::Unavailable), false));
    assert_eq!((put("after"), held("after")), (Err(ErrorKind::TimedOut), true));
    assert!(put("before").is_ok());
    assert_eq!(faults.calls().of(Operation::StoragePut), 3);
}
