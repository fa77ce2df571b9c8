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
        let login = Arc::clone(&self.current().headers);
        match fetch(&login).await {
            Err(status) if classify(&status, Verb::Other).kind() == ErrorKind::PermissionDenied => {
                let Some(next) = self.begin_anew(&login) else { return Err(status) };
                fetch(&next).await
            }
            fetched => fetched,
        }
    }

    /// The login in the place of one that was refused; `None` while it is too soon for one.
    fn begin_anew(&self, refused: &Arc<GoogleAuthHeaders>) -> Option<Arc<GoogleAuthHeaders>> {
        let mut current = self.current();
        let now = self.clock.monotonic();
        if Arc::ptr_eq(&current.headers, refused) {
            if now.saturating_sub(current.begun) < PAUSE {
                return None;
            }
            current.begun = now;
            // A file that cannot be read now is read again later; until then the refusal stands.
            let credentials = self.credentials.build().ok()?;
            current.headers = Arc::new(GoogleAuthHeaders::from(credentials));
        }
        Some(Arc::clone(&current.headers))
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(login: &GoogleAuthHeaders) -> Result<Arc<HeaderMap>, Status> {
    login.headers().await.map_err(|error| Status::from_error(Box::new(error)))
}
