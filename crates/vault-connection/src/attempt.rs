//! A login on its way, which outlives whoever began it: what a login shows may be spent with its first
//! request (a wrapped secret, a secret of one use), so one that is dropped half way goes on with the next
//! caller.
//!
//! Left to others: what is sent (`login`), and who waits (`session`).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::login::{Granted, Login, Proof};
use crate::transport::Transport;
use crate::{VaultFailure, VaultFailureKind};

/// How long a login that is older than a whole call may still take: its answer may lie here unread.
const GRACE: Duration = Duration::from_secs(1);

/// A login that has begun.
pub(crate) struct Attempt {
    begun: Duration,
    proof: Arc<Proof>,
    work: Pin<Box<dyn Future<Output = Result<Granted, VaultFailure>> + Send>>,
}

/// How a login ended.
pub(crate) struct Ended {
    /// When it began, on the monotonic clock.
    pub(crate) begun: Duration,
    pub(crate) proof: Arc<Proof>,
    pub(crate) outcome: Result<Granted, VaultFailure>,
}

impl Attempt {
    pub(crate) fn begin(
        login: Arc<Login>,
        transport: Arc<Transport>,
        proof: Proof,
        now: Duration,
    ) -> Self {
        let proof = Arc::new(proof);
        let shown = Arc::clone(&proof);
        let work = Box::pin(async move { login.perform(&transport, &shown).await });
        Self { begun: now, proof, work }
    }

    /// Waits for the login in `slot`, a whole call at most. Whoever is dropped meanwhile leaves it there; `None`
    /// if there was none, or one too old to be waited for, which is given up.
    pub(crate) async fn finish(
        slot: &mut Option<Self>,
        now: Duration,
        limit: Duration,
    ) -> Option<Ended> {
        let attempt = slot.as_mut()?;
        let is_old = now.saturating_sub(attempt.begun) >= limit;
        let patience = if is_old { GRACE.min(limit) } else { limit };
        let outcome = tokio::time::timeout(patience, attempt.work.as_mut()).await;
        let (begun, proof) = (attempt.begun, Arc::clone(&attempt.proof));
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(_) if is_old => {
                *slot = None;
                return None;
            }
            Err(_) => {
                let late = VaultFailure::new(VaultFailureKind::TimedOut, "no answer in time");
                return Some(Ended { begun, proof, outcome: Err(late.while_logging_in()) });
            }
        };
        *slot = None;
        Some(Ended { begun, proof, outcome })
    }
}
