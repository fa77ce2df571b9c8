//! The contract of [`AuditSink`](vault_crypto_core::AuditSink).

use std::time::{Duration, SystemTime};

use vault_crypto_core::{AuditEvent, ErrorKind, KeyId, Operation};

use super::{AuditFixture, Case, PROVED, Report, Verdict, cases, ensure};

/// Every case of this suite.
pub const CASES: &[Case<AuditFixture>] = cases! { AuditFixture;
    "AuditSink::record" {
        "When it answers `Ok`, the event is as durable as the sink promises." => recorded_events_are_read_back,
    }
};

/// Runs every case.
pub async fn run_all(fixture: &AuditFixture) -> Report {
    Report::of(CASES, fixture).await
}

async fn recorded_events_are_read_back(fixture: &AuditFixture) -> Verdict {
    let before = (fixture.read_back)().len();
    // Whole seconds, which every log can keep.
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let mut recorded = Vec::new();
    for operation in [Operation::GenerateDataKey, Operation::RotateKey, Operation::HealthCheck] {
        let mut event = AuditEvent::new(at, operation, "memory");
        event.duration = Duration::from_millis(12);
        if operation != Operation::HealthCheck {
            event.key_id = Some(KeyId::from("memory:1#orders"));
            event.scope_names = vec!["table".into(), "tenant".into()];
            event.failure = Some(ErrorKind::TimedOut);
        }
        fixture.sink.record(&event).await?;
        recorded.push(event);
        let read = (fixture.read_back)();
        let new = read.get(before..).unwrap_or_default();
        ensure(new == recorded, "what is read back is not what was recorded, in its order")?;
    }
    PROVED
}
