//! The login that calls carry, and a new one after a refusal.
//!
//! Left to Google's library, which `credentials.rs` sets up: fetching, caching and renewing tokens. What it
//! does not do: hear that the service refuses a token before its end; ask again after its login service refused
//! it for good, even if the account was only disabled for a minute; ask sooner than after ten seconds where that
//! service was away for one. Such a login is thrown away here, and the next one begins with the files as they are
//! then. What a login service says of when to come back, the library does not tell.

use std::hash::RandomState;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gcloud_sdk::GoogleAuthHeaders;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::{Code, Status};
use vault_crypto_core::{Clock, ErrorKind, RandomSource, Result};

use crate::error::{Verb, classify};
use crate::{GcpCredentials, GcpKmsConfig};

/// After a refusal, doubled with each one that follows: accounts are locked for asking too often.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// After an outage, for each new login leaves a task of the library's behind for some seconds.
const REST_OF_OUTAGE: Duration = Duration::from_millis(100);

/// A login of ours.
pub(crate) struct Login {
    credentials: GcpCredentials,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    marks: RandomState,
    current: Mutex<Current>,
}

struct Current {
    begun: Arc<Begun>,
    /// What its files said then.
    mark: u64,
    /// Until when it stays although it failed; unknown until somebody has seen it fail.
    rests_until: Option<Duration>,
    /// Logins refused in a row.
    refused: u32,
}

/// One login of the library's.
struct Begun {
    headers: GoogleAuthHeaders,
    /// The service has taken one of its tokens.
    taken: AtomicBool,
}

/// What a request carries to say who asks, and the login that it comes from.
pub(crate) struct Pass {
    begun: Arc<Begun>,
    pub(crate) headers: Arc<HeaderMap>,
}

impl Login {
    /// Sets a login up; Google's library may begin to fetch a token.
    pub(crate) fn new(config: &GcpKmsConfig) -> Result<Self> {
        let (credentials, marks) = (config.credentials.clone(), RandomState::new());
        let current = Current {
            mark: credentials.mark(&marks),
            begun: Begun::new(&credentials)?,
            rests_until: None,
            refused: 0,
        };
        let (clock, random) = (Arc::clone(&config.clock), Arc::clone(&config.random));
        Ok(Self { credentials, clock, random, marks, current: Mutex::new(current) })
    }

    /// The headers that say who asks.
    pub(crate) async fn pass(&self) -> Result<Pass, Status> {
        let begun = Arc::clone(&self.current().begun);
        match begun.pass().await {
            Err(status) => match self.after(&begun, is_refusal(&status)) {
                Some(next) => self.pass_of(&next).await,
                None => Err(status),
            },
            pass => pass,
        }
    }

    /// Whether the service refuses the token that a request carried. It did nothing then.
    pub(crate) fn refused<A>(&self, pass: &Pass, answer: &Result<A, Status>) -> bool {
        let taken = &pass.begun.taken;
        match answer {
            Ok(_) if !taken.load(Ordering::Relaxed) => taken.store(true, Ordering::Relaxed),
            Err(status) => return status.code() == Code::Unauthenticated,
            Ok(_) => {}
        }
        false
    }

    /// What to carry instead of what was refused; `None` while it is too soon for a new login.
    pub(crate) async fn pass_after(&self, refused: &Pass) -> Option<Result<Pass, Status>> {
        // The library may have renewed the token meanwhile.
        if let Ok(renewed) = refused.begun.pass().await
            && renewed.token() != refused.token()
        {
            return Some(Ok(renewed));
        }
        let next = self.after(&refused.begun, true)?;
        Some(self.pass_of(&next).await)
    }

    /// Of a login that was begun just now: its failure is noted, not met with another one.
    async fn pass_of(&self, begun: &Arc<Begun>) -> Result<Pass, Status> {
        let pass = begun.pass().await;
        if let Err(status) = &pass {
            self.after(begun, is_refusal(status));
        }
        pass
    }

    /// The login in the place of one that failed; `None` while it is too soon for one.
    fn after(&self, failed: &Arc<Begun>, is_refused: bool) -> Option<Arc<Begun>> {
        let mut current = self.current();
        if !Arc::ptr_eq(&current.begun, failed) {
            return Some(Arc::clone(&current.begun));
        }
        let (now, mark) = (self.clock.monotonic(), self.credentials.mark(&self.marks));
        if failed.taken.load(Ordering::Relaxed) {
            // It was good once: the token is at fault, and the next one may be better.
            current.refused = 0;
        } else {
            let until = current.rests_until.unwrap_or_else(|| {
                current.refused = current.refused.saturating_add(u32::from(is_refused));
                now + if is_refused { self.rest(current.refused) } else { REST_OF_OUTAGE }
            });
            current.rests_until = Some(until);
            if now < until && mark == current.mark {
                return None;
            }
        }
        // A file that cannot be read now is read again later; until then the failure stands.
        current.begun = Begun::new(&self.credentials).ok()?;
        (current.mark, current.rests_until) = (mark, None);
        Some(Arc::clone(&current.begun))
    }

    /// From half to the whole of what this many refusals cost, so that a fleet does not come back together.
    fn rest(&self, refused: u32) -> Duration {
        let doubled = 1_u32.checked_shl(refused.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = REST.saturating_mul(doubled).min(LONGEST_REST);
        let mut byte = [u8::MAX];
        if self.random.fill(&mut byte).is_err() {
            return whole;
        }
        whole.mul_f64(0.5 + f64::from(u8::from_le_bytes(byte)) / 510.0)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    fn new(credentials: &GcpCredentials) -> Result<Arc<Self>> {
        let headers = GoogleAuthHeaders::from(credentials.build()?);
        Ok(Arc::new(Self { headers, taken: AtomicBool::new(false) }))
    }

    async fn pass(self: &Arc<Self>) -> Result<Pass, Status> {
        let headers = self.headers.headers().await;
        let headers = headers.map_err(|error| Status::from_error(Box::new(error)))?;
        Ok(Pass { begun: Arc::clone(self), headers })
    }
}

impl Pass {
    fn token(&self) -> Option<&http::HeaderValue> {
        self.headers.get(AUTHORIZATION)
    }
}

fn is_refusal(status: &Status) -> bool {
    classify(status, Verb::Other).kind() == ErrorKind::PermissionDenied
}
