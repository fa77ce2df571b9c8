//! Keeps the credentials of every login, so that one login serves all callers.
//!
//! The SDK has such a cache. With it each of those who wait for a login that fails begins another one, a login ends
//! with the caller who began it, and a clock that is wrong costs a login for each call. Left to others: how to log in
//! ([`login`](crate::login) and the SDK), and which refusals ask for a new login ([`error`](crate::error)).

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::{ConfigBag, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use aws_smithy_async::future::timeout::Timeout;
use aws_smithy_runtime_api::client::identity::{
    Identity, IdentityCachePartition, IdentityFuture, ResolveCachedIdentity, ResolveIdentity,
    SharedIdentityResolver,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use vault_crypto_core::{Clock, ErrorKind};

use crate::error::{Fault, of_login};

/// How long before their end credentials are renewed, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(10);
/// How long credentials serve that do not say it: a file or a variable may hold others meanwhile.
const UNSAID: Duration = Duration::from_secs(900);
/// The shortest time from a login that did not help to the next: one that was refused, or whose credentials were.
const PAUSE: Duration = Duration::from_secs(1);

/// The credentials of one provider: its own, and those that its roles are taken with.
#[derive(Clone)]
pub(crate) struct Logins(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    /// How long one login may take.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often all credentials were given up.
    number: u64,
    given_up_at: Option<Duration>,
    kept: HashMap<IdentityCachePartition, Kept>,
}

/// A login, under way or over.
struct Kept {
    number: u64,
    begun_at: Duration,
    flight: Flight,
}

/// Whoever waits for it drives it on, so it outlives the one who began it.
type Flight = Shared<BoxFuture<'static, Landed>>;

#[derive(Clone)]
struct Landed {
    at: Duration,
    until: SystemTime,
    outcome: Result<Identity, Fault>,
}

impl Logins {
    /// None yet; each may take `patience`.
    pub(crate) fn new(clock: Arc<dyn Clock>, patience: Duration) -> Self {
        Self(Arc::new(Inner { clock, patience, state: Mutex::default() }))
    }

    /// The number of the logins in use, for [`give_up`](Self::give_up).
    pub(crate) fn number(&self) -> u64 {
        self.state().number
    }

    /// The credentials of the logins with this number were refused. Whether others will be used from now on: not
    /// if those refused are new themselves.
    pub(crate) fn give_up(&self, refused: u64) -> bool {
        let now = self.0.clock.monotonic();
        let mut state = self.state();
        if state.number != refused {
            return true;
        }
        if state.given_up_at.is_some_and(|at| now.saturating_sub(at) < PAUSE) {
            return false;
        }
        state.number = state.number.wrapping_add(1);
        state.given_up_at = Some(now);
        true
    }

    /// The login of `resolver`: the one that is kept, or a new one.
    fn flight(&self, resolver: SharedIdentityResolver, components: &RuntimeComponents) -> Flight {
        let partition = resolver.cache_partition();
        let mut state = self.state();
        let number = state.number;
        if let Some(kept) = state.kept.get(&partition)
            && kept.is_of_use(number, &self.0)
        {
            return kept.flight.clone();
        }
        let begun = begin(resolver, components.clone(), Arc::clone(&self.0));
        let (flight, begun_at) = (begun.boxed().shared(), self.0.clock.monotonic());
        state.kept.insert(partition, Kept { number, begun_at, flight: flight.clone() });
        flight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_of_use(&self, number: u64, logins: &Inner) -> bool {
        let (clock, now) = (&logins.clock, logins.clock.monotonic());
        let Some(landed) = self.flight.peek() else {
            // One that nobody drove on any more may be long past its deadline.
            return now.saturating_sub(self.begun_at) < logins.patience;
        };
        let is_new = now.saturating_sub(landed.at) < PAUSE;
        match &landed.outcome {
            Ok(_) if self.number != number => false,
            // A clock that is ahead finds them over at once.
            Ok(_) => is_new || clock.now() + MARGIN < landed.until,
            // Nobody was asked in vain where nobody answered: the next may find somebody.
            Err(fault) => {
                is_new && ![ErrorKind::Unavailable, ErrorKind::TimedOut].contains(&fault.kind)
            }
        }
    }
}

async fn begin(
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    logins: Arc<Inner>,
) -> Landed {
    let config = ConfigBag::base();
    // A panic that got out would be everybody's, for ever: all wait for the same login.
    let login = AssertUnwindSafe(resolver.resolve_identity(&components, &config)).catch_unwind();
    let outcome = match Timeout::new(login, logins.clock.sleep(logins.patience)).await {
        Ok(Ok(outcome)) => outcome.map_err(|error| of_login(&*error, logins.clock.now())),
        Ok(Err(_)) => Err(Fault::new(ErrorKind::Internal, "the login broke down inside")),
        Err(_) => resolver.fallback_on_interrupt().ok_or_else(|| {
            Fault::new(ErrorKind::TimedOut, "the credentials' source did not answer in time")
        }),
    };
    let now = logins.clock.now();
    let said = outcome.as_ref().ok().and_then(Identity::expiration);
    Landed { at: logins.clock.monotonic(), until: said.unwrap_or(now + UNSAID), outcome }
}

impl ResolveCachedIdentity for Logins {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        _: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let flight = self.flight(resolver, components);
        IdentityFuture::new(async move { flight.await.outcome.map_err(BoxError::from) })
    }
}

/// Without the credentials.
impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("number", &self.number()).finish_non_exhaustive()
    }
}
