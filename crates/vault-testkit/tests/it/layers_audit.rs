//! The audit layer.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::layers::AuditLayer;
use vault_crypto_core::{Clock, ErrorKind, KeyConfig, Operation, Scope, WrapContext};
use vault_testkit::{Fault, MemoryAudit};

use super::support::{Bench, generate, poll_once};

#[test]
fn every_call_leaves_one_event_with_what_may_be_known() {
    let bench = Bench::new();
    let sink = Arc::new(MemoryAudit::new());
    let kms = bench.with(AuditLayer::new(sink.clone(), bench.clock()));
    let began = bench.clock.now();
    let context = WrapContext::data_key(
        Scope::new([("tenant", "secret-customer"), ("table", "cards")]).unwrap(),
    );
    bench.faults.push(Fault::Delay(Duration::from_millis(20)));
    bench.clock.run(kms.generate_data_key(&bench.key, &context)).unwrap();
    bench.clock.run(kms.create_key(KeyConfig::new("new"))).unwrap();
    bench.clock.run(kms.health_check()).unwrap();

    let events = sink.events();
    let operations: Vec<_> = events.iter().map(|event| event.operation).collect();
    assert_eq!(
        operations,
        [Operation::GenerateDataKey, Operation::CreateKey, Operation::HealthCheck]
    );
    let first = &events[0];
    assert_eq!(first.at, began);
    assert_eq!(first.provider, "memory");
    assert_eq!(first.key_id.as_ref(), Some(&bench.key));
    assert_eq!(first.scope_names, ["table", "tenant"]);
    assert_eq!(first.failure, None);
    assert_eq!(first.duration, Duration::from_millis(20));
    assert!(!format!("{events:?}").contains("secret-customer"), "names, never values");
}

#[test]
fn failures_are_audited_and_come_back_as_they_are() {
    let bench = Bench::new();
    let sink = Arc::new(MemoryAudit::new());
    let kms = bench.with(AuditLayer::new(sink.clone(), bench.clock()));
    bench.faults.push(Fault::Fail(ErrorKind::PermissionDenied));
    assert_eq!(bench.generate(&kms).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(sink.events()[0].failure, Some(ErrorKind::PermissionDenied));
}

#[test]
fn an_answer_that_could_not_be_recorded_is_withheld() {
    let bench = Bench::new();
    let sink = Arc::new(MemoryAudit::new());
    let kms = bench.with(AuditLayer::new(sink.clone(), bench.clock()));
    sink.set_failing(true);
    let error = bench.generate(&kms).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(!error.is_retryable(), "the operation happened");
    assert!(std::error::Error::source(&error).is_some());
    bench.faults.push(Fault::Fail(ErrorKind::KeyNotFound));
    assert_eq!(bench.generate(&kms).unwrap_err().kind(), ErrorKind::Io);
    sink.set_failing(false);
    bench.generate(&kms).unwrap();
    assert_eq!(sink.events().len(), 1);
}

#[test]
fn a_dropped_call_leaves_no_event() {
    let bench = Bench::new();
    let sink = Arc::new(MemoryAudit::new());
    let kms = bench.with(AuditLayer::new(sink.clone(), bench.clock()));
    bench.faults.push(Fault::Hang);
    let mut call = Box::pin(generate(kms.as_ref(), &bench.key));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    assert!(sink.events().is_empty());
}
