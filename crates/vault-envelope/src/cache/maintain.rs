//! The future that keeps the cache up: wipes what is over, and asks early in the operations' place.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Weak;
use std::task::{Context, Poll};
use std::time::Duration;

use vault_crypto_core::Sleep;

use super::ask::Ask;
use super::entry::CachedKey;
use super::holdings::Holdings;
use super::store::Role;
use super::sync::{Arc, Ordering, lock};
use super::time::Nanos;
use crate::EnvelopeEncryption;
use crate::shared::Shared;

/// Questions that are asked at the same time.
const AT_ONCE: usize = 16;

type Refresh = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See [`DataKeyCache::maintenance`](super::DataKeyCache::maintenance).
pub(super) async fn maintain(shared: Weak<Shared>) {
    let Some(holdings) = holdings_of(&shared) else { return };
    let mut upkeep =
        Maintenance { shared, running: Running::new(holdings), refreshes: Vec::new(), sleep: None };
    poll_fn(move |cx| upkeep.poll(cx)).await;
}

fn holdings_of(shared: &Weak<Shared>) -> Option<Arc<Holdings>> {
    shared.upgrade()?.cache.holdings().cloned()
}

struct Maintenance {
    shared: Weak<Shared>,
    running: Running,
    refreshes: Vec<Refresh>,
    sleep: Option<(Nanos, Sleep)>,
}

impl Maintenance {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let holdings = self.running.0.clone();
        holdings.upkeep.listen(cx.waker());
        // In a forked child the holdings are other ones, and this future is the parent's.
        match holdings_of(&self.shared) {
            Some(now) if Arc::ptr_eq(&now, &holdings) => {}
            _ => return Poll::Ready(()),
        }
        self.take_due(&holdings);
        self.refreshes.retain_mut(|refresh| refresh.as_mut().poll(cx).is_pending());
        if self.refreshes.len() < AT_ONCE && !lock(&holdings.upkeep.due).is_empty() {
            cx.waker().wake_by_ref();
        }
        let Some(shared) = self.shared.upgrade() else { return Poll::Ready(()) };
        let now = Nanos::of(shared.clock.monotonic());
        if holdings.sweep_is_due(now) {
            holdings.sweep(now);
        }
        let mut at = holdings.sweep_at();
        if let Some(branches) = &shared.branches {
            let next = Nanos::of(branches.sweep(shared.clock.monotonic()));
            at = Nanos(at.0.min(next.0));
        }
        if at.0 == u64::MAX {
            self.sleep = None;
        } else if self.sleep.as_ref().is_none_or(|(until, _)| *until != at) {
            let wait = Duration::from_nanos(at.0.saturating_sub(now.0));
            self.sleep = Some((at, shared.clock.sleep(wait)));
        }
        let slept =
            self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if slept {
            self.sleep = None;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Begins what operations have handed over.
    fn take_due(&mut self, holdings: &Arc<Holdings>) {
        let Some(shared) = self.shared.upgrade() else { return };
        while self.refreshes.len() < AT_ONCE {
            let Some((role, key)) = lock(&holdings.upkeep.due).pop() else { return };
            let scope = key.common().scope.clone();
            let envelope = EnvelopeEncryption::from_parts(shared.clone(), scope);
            self.refreshes.push(Box::pin(refresh(envelope, holdings.clone(), role, key)));
        }
    }
}

async fn refresh(
    envelope: EnvelopeEncryption,
    holdings: Arc<Holdings>,
    role: Role,
    key: Arc<CachedKey>,
) {
    let claim = EndClaim(key.clone(), role);
    let front = match role {
        Role::Opening => key.front(),
        Role::Sealing => &[],
    };
    let print = holdings.fingerprint(role, front, &envelope.scope);
    let ask = match role {
        Role::Opening => Ask::find(&envelope, &holdings, print, front),
        Role::Sealing => Ask::make(&envelope, &holdings, print),
    };
    // A refusal has taken the key away; the next operation is told.
    let _ = ask.refresh_claimed(&key).await;
    drop(claim);
}

/// Ends the claim that an operation handed over, also when this is dropped half way.
struct EndClaim(Arc<CachedKey>, Role);

impl Drop for EndClaim {
    fn drop(&mut self) {
        self.0.end_refresh(self.1);
    }
}

/// While it lives operations hand their refreshes over.
struct Running(Arc<Holdings>);

impl Running {
    fn new(holdings: Arc<Holdings>) -> Self {
        holdings.upkeep.running.fetch_add(1, Ordering::AcqRel);
        Self(holdings)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.upkeep.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.upkeep.abandon();
        }
    }
}
