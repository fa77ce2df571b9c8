//! The memory of refused logins: the same credentials are not shown again before a growing wait has passed,
//! because a server may lock the role of whoever knocks too often.
//!
//! Left to others: outages, after which every caller may try at once (`session`).

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::RandomSource;

use crate::VaultFailure;
use crate::lease::back_off;
use crate::login::Proof;

/// The last refusal, until a login succeeds.
#[derive(Default)]
pub(crate) struct Refusals {
    last: Option<Refused>,
}

struct Refused {
    failure: VaultFailure,
    proof: Arc<Proof>,
    until: Duration,
    in_a_row: u32,
}

impl Refusals {
    /// The refusal that `proof` would meet again; `None` where it may be shown: the wait is over, or it is
    /// another proof.
    pub(crate) fn of(&self, proof: &Proof, now: Duration) -> Option<VaultFailure> {
        let refused = self.last.as_ref()?;
        (now < refused.until && refused.proof.is(proof)).then(|| refused.failure.clone())
    }

    /// Remembers `failure`, if it is one that asking again cannot help.
    pub(crate) fn note(
        &mut self,
        failure: &VaultFailure,
        proof: Arc<Proof>,
        now: Duration,
        random: &dyn RandomSource,
    ) {
        if !failure.is_refusal() {
            return;
        }
        let before = self.last.as_ref().filter(|last| last.proof.is(&proof));
        let in_a_row = before.map_or(1, |last| last.in_a_row.saturating_add(1));
        let asked_for = failure.retry_after().unwrap_or_default();
        let until = now.saturating_add(back_off(in_a_row, random).max(asked_for));
        self.last = Some(Refused { failure: failure.clone(), proof, until, in_a_row });
    }

    pub(crate) fn forget(&mut self) {
        self.last = None;
    }
}
