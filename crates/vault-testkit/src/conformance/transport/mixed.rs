//! Many calls at once while every fifth meets a fault.

use std::sync::atomic::{AtomicUsize, Ordering};

use vault_crypto_core::ErrorKind::{Throttled, TimedOut, Unavailable};
use vault_crypto_core::{ErrorKind, Operation};

use super::calls::OPERATIONS;
use super::judge::{Attempt, Judge};
use super::{Sample, TransportFixture, together};
use crate::conformance::{Failure, PROVED, Verdict, ensure};
use crate::proxy::{HttpFault, Match};

const IN_FLIGHT: usize = 16;
const SHARE: f64 = 0.2;
const SEED: u64 = 5;
const ALLOWED: &[ErrorKind] = &[Unavailable, TimedOut, Throttled];

pub(super) async fn are_right_or_typed(fixture: &TransportFixture) -> Verdict {
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    fixture.proxy.on(Match::any()).seeded(SHARE, SEED).one_of(faults(fixture));
    let next = AtomicUsize::new(0);
    let workers = (0..IN_FLIGHT).map(|_| work(fixture, &judge, &next)).collect();
    let ended = together::all(workers).await;
    fixture.proxy.clear();

    let (mut answered, mut failed) = (0, 0);
    for (operation, attempt) in
        ended.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten()
    {
        // So many at once wait for each other's processor too.
        let limit = fixture.patience() * 2;
        let took = attempt.took;
        ensure(took <= limit, &format!("{} (mixed) took {took:?}", operation.as_str()))?;
        if let Ok(done) = &attempt.outcome {
            sample.check(fixture, operation, done).await?;
            answered += 1;
        } else {
            judge.typed(operation, attempt, ALLOWED, "mixed")?;
            failed += 1;
        }
    }
    let told = format!("{answered} calls answered and {failed} failed of {}", fixture.mixed);
    ensure(answered + failed == fixture.mixed, &told)?;
    ensure(answered > 0 && failed > 0, &told)?;
    for operation in OPERATIONS {
        judge.recovers(operation).await?;
    }
    PROVED
}

async fn work(
    fixture: &TransportFixture,
    judge: &Judge<'_>,
    next: &AtomicUsize,
) -> Result<Vec<(Operation, Attempt)>, Failure> {
    let mut ended = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= fixture.mixed {
            return Ok(ended);
        }
        // Any of them: the remainder is always within.
        let operation = OPERATIONS.into_iter().nth(number % OPERATIONS.len());
        let operation = operation.unwrap_or(Operation::DescribeKey);
        ended.push((operation, judge.attempt(operation).await?));
    }
}

fn faults(fixture: &TransportFixture) -> Vec<HttpFault> {
    let shape = &fixture.shape;
    let mut faults = vec![
        HttpFault::Jitter(shape.deadline / 4),
        HttpFault::ResetBefore,
        HttpFault::ResetAfter,
        HttpFault::Answer(shape.throttled.clone()),
        HttpFault::Truncate(7),
        HttpFault::Garbage,
        HttpFault::LateAnswer(shape.deadline / 4),
        HttpFault::Hang,
    ];
    faults.extend(shape.failing.iter().cloned().map(HttpFault::Answer));
    faults
}
