//! Mutations whose answer is lost on its way: they may have happened, so nobody does them again.

use std::sync::Arc;

use vault_crypto_core::ErrorKind::{TimedOut, Unavailable};
use vault_crypto_core::{CryptoError, KeyConfig, KmsAdmin, Operation, Result, RotateOptions};

use super::{Judge, Sample, TransportFixture};
use crate::conformance::{Failure, PROVED, Verdict, ensure, fails_with, not_applicable};
use crate::proxy::{HttpFault, Match};

pub(super) async fn are_not_repeated(fixture: &TransportFixture) -> Verdict {
    let Some((admin, prefix)) = &fixture.admin else {
        return not_applicable("no administrator was given");
    };
    all_are_named(fixture, &**admin)?;
    let sample = Sample::new(fixture).await?;
    let judge = Judge::new(fixture, &sample);
    for (operation, call) in &fixture.shape.mutations {
        let mutation = Mutation::prepare(admin, prefix, *operation).await?;
        let before = fixture.proxy.calls().len();
        fixture.proxy.on(call.clone()).fault(HttpFault::ResetAfter);
        let outcome = mutation.run().await;
        fixture.proxy.clear();
        done_once(fixture, *operation, call, before)?;
        // Either it looked, and found that it was done, or it says that it does not know.
        if let Err(error) = outcome {
            judge.shows_nothing(*operation, &error, "reset after")?;
            fails_with(Err::<(), _>(error), &[Unavailable, TimedOut])?;
        }
    }
    PROVED
}

/// None slips away because nobody named its call.
fn all_are_named(
    fixture: &TransportFixture,
    admin: &dyn KmsAdmin,
) -> std::result::Result<(), Failure> {
    let can = admin.capabilities();
    let declared = [
        (Operation::CreateKey, true),
        (Operation::RotateKey, can.native_rotation),
        (Operation::ScheduleKeyDeletion, can.deletion_window_days.is_some()),
    ];
    for (operation, declared) in declared {
        let named = fixture.shape.mutations.iter().any(|(named, _)| *named == operation);
        let missing = format!("the shape does not name the call of {}", operation.as_str());
        ensure(named || !declared, &missing)?;
    }
    Ok(())
}

fn done_once(
    fixture: &TransportFixture,
    operation: Operation,
    call: &Match,
    before: usize,
) -> std::result::Result<(), Failure> {
    let calls = fixture.proxy.calls();
    let done = calls.iter().skip(before).filter(|done| done.forwarded && call.describes(done));
    let (count, name) = (done.count(), operation.as_str());
    ensure(count == 1, &format!("{name}: the service was told {count} times, once was right"))
}

struct Mutation {
    admin: Arc<dyn KmsAdmin>,
    operation: Operation,
    config: KeyConfig,
    key: Option<vault_crypto_core::KeyId>,
}

impl Mutation {
    /// Makes the key that is to be changed.
    async fn prepare(
        admin: &Arc<dyn KmsAdmin>,
        prefix: &str,
        operation: Operation,
    ) -> Result<Self> {
        let name = match operation {
            Operation::CreateKey => "create",
            Operation::RotateKey => "rotate",
            _ => "delete",
        };
        let config = KeyConfig::new(format!("{prefix}-{name}"));
        let key = match operation {
            Operation::CreateKey => None,
            _ => Some(admin.create_key(config.clone()).await?.key_id),
        };
        Ok(Self { admin: Arc::clone(admin), operation, config, key })
    }

    async fn run(&self) -> Result<()> {
        let unknown = || CryptoError::new(vault_crypto_core::ErrorKind::Internal, self.operation);
        if self.operation == Operation::CreateKey {
            return self.admin.create_key(self.config.clone()).await.map(drop);
        }
        let key = self.key.as_ref().ok_or_else(unknown)?;
        if self.operation == Operation::RotateKey {
            return self.admin.rotate_key(key, RotateOptions::now()).await.map(drop);
        }
        let days = self.admin.capabilities().deletion_window_days.unwrap_or_default();
        self.admin.schedule_key_deletion(key, days).await.map(drop)
    }
}
