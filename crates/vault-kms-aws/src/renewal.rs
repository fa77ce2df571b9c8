//! Keeps the credentials of every login, so that one login serves all callers.
//!
//! The SDK has such a cache. With it each of those who wait for a login that fails begins another one, a login ends
//! with the caller who began it, a clock that is wrong costs a login for each call, and nobody logs in before the
//! last moment, when STS may be away. A login ahead of time is driven on beside the calls under way, so that it needs no
//! task. Left to others: how to log in ([`login`](crate::login) and the SDK), and which
//! refusals ask for a new login ([`error`](crate::error)).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
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
use vault_crypto_core::{Clock, ErrorKind, Result};

use crate::config::AwsKmsConfig;
use crate::error::{Fault, of_login};
use rest::{Rests, Shown};

mod rest;

/// How long before their end credentials are used no more, so that none ends on its way.
const MARGIN: Duration = Duration::from_secs(10);
/// How long before their end they are renewed at the latest, if that can be had at once; and a minute more, of which
/// each process takes another part, because many began at the same time.
const EARLY: Duration = Duration::from_secs(240);
/// The shortest time between two logins ahead of time.
const EARLY_PAUSE: Duration = Duration::from_secs(60);
/// How long the one caller who renews them ahead of time waits for that. What is not done by then goes on beside the
/// calls that follow.
const EARLY_WAIT: Duration = Duration::from_secs(1);
/// How long credentials serve that do not say it: a file or a variable may hold others meanwhile.
const UNSAID: Duration = Duration::from_secs(900);
/// How long new credentials serve that look over already: then a clock is off.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// The credentials of one provider: its own, and those that its roles are taken with.
#[derive(Clone)]
pub(crate) struct Logins(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    /// How long one login may take.
    patience: Duration,
    /// How long before their end credentials are renewed.
    early: Duration,
    rests: Rests,
    /// How often all credentials were given up.
    number: AtomicU64,
    /// How often in a row that was so without a call in between that was served.
    in_vain: AtomicU32,
    /// How many logins ahead of time are under way.
    renewing: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    given_up: Option<GivenUp>,
    kept: HashMap<IdentityCachePartition, Kept>,
}

/// When all credentials were given up last.
struct GivenUp {
    rest_until: Duration,
    shown: Shown,
}

/// The login in use, and perhaps the next.
struct Kept {
    login: Login,
    early: Option<Login>,
}

/// A login, under way or over.
struct Login {
    number: u64,
    begun_at: Duration,
    /// How many in a row were refused before it.
    refused: u32,
    shown: Shown,
    flight: Flight,
}

/// What a caller is to use.
enum Use {
    /// These credentials.
    Now(Identity),
    /// What this login gives.
    Login(Flight),
    /// These credentials, unless the login ahead of their end gives others soon.
    Renewing(Identity, Flight),
}

/// Whoever waits for it drives it on, so it outlives the one who began it.
pub(crate) type Flight = Shared<BoxFuture<'static, Landed>>;

#[derive(Clone)]
pub(crate) struct Landed {
    begun_at: Duration,
    at: Duration,
    /// How long nobody asks again, if it was refused.
    rest: Duration,
    until: SystemTime,
    outcome: std::result::Result<Identity, Fault>,
}

impl Logins {
    /// None yet. `file` is what holds the credentials, where somebody may put others.
    pub(crate) fn new(config: &AwsKmsConfig, file: Option<PathBuf>) -> Result<Self> {
        let mut part = [0];
        config.random.fill(&mut part)?;
        Ok(Self(Arc::new(Inner {
            clock: config.clock.clone(),
            patience: config.call_timeout,
            early: EARLY + EARLY_PAUSE * u32::from(part[0]) / 256,
            rests: Rests::new(config.random.clone(), file),
            number: AtomicU64::new(0),
            in_vain: AtomicU32::new(0),
            renewing: Arc::default(),
            state: Mutex::default(),
        })))
    }

    /// The number of the logins in use, for [`give_up`](Self::give_up).
    pub(crate) fn number(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// The credentials of the logins with this number were refused. Whether others will be used from now on: not
    /// if those refused are new themselves.
    pub(crate) fn give_up(&self, refused: u64) -> bool {
        let now = self.0.clock.monotonic();
        let mut state = self.state();
        if self.number() != refused {
            return true;
        }
        let rests = &self.0.rests;
        let is_same = |last: &GivenUp| now < last.rest_until && last.shown == rests.shown();
        if state.given_up.as_ref().is_some_and(is_same) {
            return false;
        }
        let rest = rests.after(self.0.in_vain.fetch_add(1, Ordering::Relaxed), None);
        state.given_up = Some(GivenUp { rest_until: now + rest, shown: rests.shown() });
        self.0.number.fetch_add(1, Ordering::Release);
        true
    }

    /// The service took the credentials.
    pub(crate) fn served(&self) {
        if self.0.in_vain.load(Ordering::Relaxed) != 0 {
            self.0.in_vain.store(0, Ordering::Relaxed);
        }
    }

    /// Drives on the logins ahead of time, which nobody waits for. `renewals` are those that this caller has driven
    /// before.
    pub(crate) fn drive(&self, renewals: &mut Vec<Flight>, cx: &mut Context<'_>) {
        if renewals.is_empty() && self.0.renewing.load(Ordering::Relaxed) > 0 {
            let state = self.state();
            let early = state.kept.values().filter_map(|kept| kept.early.as_ref());
            let under_way = early.filter(|early| early.flight.peek().is_none());
            renewals.extend(under_way.map(|early| early.flight.clone()));
        }
        renewals.retain_mut(|flight| Pin::new(flight).poll(cx).is_pending());
    }

    /// Drops all logins. One under way holds the client that holds these, and would keep all of it for ever.
    pub(crate) fn end(&self) {
        let kept = std::mem::take(&mut self.state().kept);
        drop(kept);
    }

    fn choose(&self, resolver: &SharedIdentityResolver, components: &RuntimeComponents) -> Use {
        let (logins, number) = (&*self.0, self.number());
        let mut state = self.state();
        let place = state.kept.entry(resolver.cache_partition());
        if let Entry::Occupied(kept) = &place
            && let Some(identity) = kept.get().at_hand(number, logins)
        {
            return Use::Now(identity);
        }
        let now = logins.clock.monotonic();
        let begin = |refused, is_early: bool| {
            let counted = is_early.then(|| Counted::new(&logins.renewing));
            let asked = (resolver.clone(), components.clone());
            let flight = begin(asked, Arc::clone(&self.0), (now, refused), counted);
            let (shown, flight) = (logins.rests.shown(), flight.boxed().shared());
            Login { number, begun_at: now, refused, shown, flight }
        };
        let kept = place.or_insert_with(|| Kept { login: begin(0, false), early: None });
        if let Some(early) = kept.early.take_if(|early| early.has_given()) {
            kept.login = early;
        }
        if !kept.login.is_of_use(number, logins) {
            let refused = kept.early.as_ref().unwrap_or(&kept.login).refusals();
            let early = kept.early.take().filter(|early| early.is_of_use(number, logins));
            kept.login = early.unwrap_or_else(|| begin(refused, false));
        }
        let Some(identity) = kept.login.ending(logins) else {
            return Use::Login(kept.login.flight.clone());
        };
        let last = kept.early.as_ref().unwrap_or(&kept.login);
        if !last.may_be_followed(now) {
            return Use::Now(identity);
        }
        let early = kept.early.insert(begin(last.refusals(), true));
        Use::Renewing(identity, early.flight.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Credentials that serve and will for long, as nearly always.
    fn at_hand(&self, number: u64, logins: &Inner) -> Option<Identity> {
        let landed = self.login.flight.peek().filter(|_| self.login.number == number)?;
        let identity = landed.outcome.as_ref().ok()?;
        (logins.clock.now() + logins.early < landed.until).then(|| identity.clone())
    }
}

impl Login {
    fn has_given(&self) -> bool {
        self.flight.peek().is_some_and(|landed| landed.outcome.is_ok())
    }

    /// How many were refused in a row, this one included.
    fn refusals(&self) -> u32 {
        match self.flight.peek().map(|landed| &landed.outcome) {
            Some(Ok(_)) => 0,
            Some(Err(fault)) if !fault.is_outage() => self.refused.saturating_add(1),
            _ => self.refused,
        }
    }

    /// Its credentials, if they serve but will not much longer.
    fn ending(&self, logins: &Inner) -> Option<Identity> {
        let (landed, now) = (self.flight.peek()?, logins.clock.now());
        let is_ending = now + MARGIN < landed.until && now + logins.early >= landed.until;
        landed.outcome.as_ref().ok().filter(|_| is_ending).cloned()
    }

    /// Whether it is over, and another one ahead of time may be begun: once a minute, and not before whoever refused
    /// this one wants to be asked.
    fn may_be_followed(&self, now: Duration) -> bool {
        let Some(landed) = self.flight.peek() else { return false };
        let rest = if landed.outcome.is_err() { landed.rest } else { Duration::ZERO };
        now >= (self.begun_at + EARLY_PAUSE).max(landed.at.saturating_add(rest))
    }

    fn is_of_use(&self, number: u64, logins: &Inner) -> bool {
        let clock = &logins.clock;
        let Some(landed) = self.flight.peek() else { return true };
        let age = clock.monotonic().saturating_sub(landed.at);
        match &landed.outcome {
            Ok(_) if self.number != number => false,
            // A clock that is ahead finds them over at once.
            Ok(_) => age < SHORTEST_LIFE || clock.now() + MARGIN < landed.until,
            // Nobody was asked in vain where nobody answered: the next may find somebody.
            Err(fault) if fault.is_outage() => false,
            Err(_) => age < landed.rest && self.shown == logins.rests.shown(),
        }
    }
}

/// One of the logins ahead of time that are under way.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn begin(
    (resolver, components): (SharedIdentityResolver, RuntimeComponents),
    logins: Arc<Inner>,
    (begun_at, refused): (Duration, u32),
    counted: Option<Counted>,
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
    let until = said.unwrap_or(now + UNSAID);
    let rest = match &outcome {
        Err(fault) if !fault.is_outage() => logins.rests.after(refused, fault.wait()),
        _ => Duration::ZERO,
    };
    drop(counted);
    Landed { begun_at, at: logins.clock.monotonic(), rest, until, outcome }
}

impl ResolveCachedIdentity for Logins {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        components: &'a RuntimeComponents,
        _: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let first = self.choose(&resolver, components);
        if let Use::Now(identity) = first {
            return IdentityFuture::ready(Ok(identity));
        }
        IdentityFuture::new(self.wait(first, resolver, components))
    }
}

impl Logins {
    /// The credentials that come of `chosen`.
    async fn wait(
        &self,
        mut chosen: Use,
        resolver: SharedIdentityResolver,
        components: &RuntimeComponents,
    ) -> std::result::Result<Identity, BoxError> {
        let came_at = self.0.clock.monotonic();
        loop {
            let flight = match chosen {
                Use::Now(identity) => return Ok(identity),
                Use::Renewing(identity, flight) => {
                    let landed = Timeout::new(flight, self.0.clock.sleep(EARLY_WAIT)).await;
                    let renewed = landed.ok().and_then(|landed| landed.outcome.ok());
                    return Ok(renewed.unwrap_or(identity));
                }
                Use::Login(flight) => flight,
            };
            match flight.await {
                // Whoever came later had more time, above all where nobody drove it on meanwhile.
                Landed { begun_at, outcome: Err(fault), .. }
                    if fault.kind == ErrorKind::TimedOut && begun_at < came_at =>
                {
                    chosen = self.choose(&resolver, components);
                }
                landed => return landed.outcome.map_err(BoxError::from),
            }
        }
    }
}

/// Without the credentials.
impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("number", &self.number()).finish_non_exhaustive()
    }
}
