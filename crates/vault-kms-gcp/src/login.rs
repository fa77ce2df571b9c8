//! The login that calls carry, and a new one after a refusal.
//!
//! Left to Google's library, which `credentials.rs` sets up: fetching, caching and renewing tokens. What it
//! does not do: ask again after its login service refused it for good, even if the account was only disabled
//! for a minute. Such a login is thrown away here, and the next one begins with the files as they are then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gcloud_sdk::GoogleAuthHeaders;
use http::HeaderMap;
use tonic::Status;
use vault_crypto_core::{Clock, ErrorKind, Result};

use crate::GcpCredentials;
use crate::error::{Verb, classify};

/// Refused logins are begun anew no sooner: accounts are locked for asking too often.
const PAUSE: Duration = Duration::from_secs(30);

/// A login of ours.
pub(crate) struct Login {
    credentials: GcpCredentials,
    clock: Arc<dyn Clock>,
    current: Mutex<Current>,
}

struct Current {
    headers: Arc<GoogleAuthHeaders>,
    begun: Duration,
}

impl Login {
    /// Sets a login up; Google's library may begin to fetch a token.
    pub(crate) fn new(credentials: GcpCredentials, clock: Arc<dyn Clock>) -> Result<Self> {
        let headers = Arc::new(GoogleAuthHeaders::from(credentials.build()?));
        let current = Mutex::new(Current { headers, begun: clock.monotonic() });
        Ok(Self { credentials, clock, current })
    }

    /// The headers that say who asks.
    pub(crate) async fn headers(&self) -> Result<Arc<HeaderMap>, Status> {
        let headers = Arc::clone(&self.current().headers);
        headers.headers().await.map_err(|error| {
            let status = Status::from_error(Box::new(error));
            if classify(&status, Verb::Other).kind() == ErrorKind::PermissionDenied {
                self.begin_anew(&headers);
            }
            status
        })
    }

    /// For the calls after this one, unless somebody else has done it.
    fn begin_anew(&self, refused: &Arc<GoogleAuthHeaders>) {
        let mut current = self.current();
        let now = self.clock.monotonic();
        let soon = now.saturating_sub(current.begun) < PAUSE;
        if soon || !Arc::ptr_eq(&current.headers, refused) {
            return;
        }
        current.begun = now;
        // A file that cannot be read now is read again later; until then the refusal stands.
        if let Ok(credentials) = self.credentials.build() {
            current.headers = Arc::new(GoogleAuthHeaders::from(credentials));
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
