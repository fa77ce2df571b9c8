//! The connection that engines work over: requests with a valid token, and questions about the server.
//!
//! Left to others: everything that an engine's answers mean.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use serde::{Deserialize, Serialize};
use vault_crypto_core::{Clock, Result};

use crate::attempt::within;
use crate::login::{Login, look_up_self};
use crate::server::{self, Body};
use crate::session::Sessions;
use crate::transport::{Request, Transport};
use crate::{
    VaultAnswer, VaultConnectionConfig, VaultFailure, VaultFailureKind, VaultHealth, VaultMount,
    buffer,
};

/// A connection to a server, or to a cluster. Clones share everything.
///
/// It needs a tokio runtime with I/O and time, and spawns nothing. It repeats no request, with one
/// exception: one that was refused because its token had ended, which did nothing, is sent once more with a
/// new token.
#[derive(Clone)]
pub struct VaultConnection(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) transport: Arc<Transport>,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Arc<dyn Clock>,
    server_name: String,
    namespace: Option<VaultMount>,
    call_timeout: Duration,
}

impl VaultConnection {
    /// Checks the settings. Nothing is sent yet: the first request logs in.
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work.
    #[expect(
        clippy::unused_async,
        reason = "the connections of other services are made over the network"
    )]
    pub async fn connect(config: VaultConnectionConfig) -> Result<Self> {
        config.check()?;
        let transport = Arc::new(Transport::new(&config)?);
        let server_name = config.server_name.unwrap_or_else(|| transport.address().host());
        let login = Login::new(config.credentials);
        let VaultConnectionConfig { namespace, clock, call_timeout, random, .. } = config;
        let sessions = Sessions::new(login, call_timeout, clock.clone(), random);
        let inner = Inner { transport, sessions, clock, server_name, namespace, call_timeout };
        Ok(Self(Arc::new(inner)))
    }

    /// What the server is called in key ids.
    #[must_use]
    pub fn server_name(&self) -> &str {
        &self.0.server_name
    }

    /// The namespace that it works in.
    #[must_use]
    pub fn namespace(&self) -> Option<&VaultMount> {
        self.0.namespace.as_ref()
    }

    /// What tells it the time.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// What `work` answers; `None` if the time-out of a whole call
    /// ([`with_call_timeout`](VaultConnectionConfig::with_call_timeout)) ends first. For engines that need
    /// several requests for one call.
    pub async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        within(&*self.0.clock, self.0.call_timeout, work).await
    }

    /// Reads `segments` under `mount`.
    ///
    /// # Errors
    /// As the server says, or the way to it; so do all requests here.
    pub async fn get(
        &self,
        mount: &VaultMount,
        segments: &[&str],
    ) -> Result<VaultAnswer, VaultFailure> {
        self.request(Method::GET, mount, segments, None, None).await
    }

    /// Lists what lies under `segments`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn list(
        &self,
        mount: &VaultMount,
        segments: &[&str],
    ) -> Result<VaultAnswer, VaultFailure> {
        self.request(Method::GET, mount, segments, Some("list=true"), None).await
    }

    /// Sends `body` as JSON; its bytes are wiped when they are sent.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post(
        &self,
        mount: &VaultMount,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<VaultAnswer, VaultFailure> {
        self.request(Method::POST, mount, segments, None, Some(encode(body)?)).await
    }

    /// The same with the method PUT.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put(
        &self,
        mount: &VaultMount,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<VaultAnswer, VaultFailure> {
        self.request(Method::PUT, mount, segments, None, Some(encode(body)?)).await
    }

    /// Deletes what is at `segments`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(
        &self,
        mount: &VaultMount,
        segments: &[&str],
    ) -> Result<VaultAnswer, VaultFailure> {
        self.request(Method::DELETE, mount, segments, None, None).await
    }

    /// Whose token this is, as the server names it, with its policies: for people.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn who_am_i(&self) -> Result<String, VaultFailure> {
        #[derive(Deserialize)]
        struct Data {
            display_name: String,
            #[serde(default)]
            entity_id: String,
            #[serde(default)]
            policies: Vec<String>,
        }
        let answer = self.get(&VaultMount::new("auth/token")?, &["lookup-self"]).await?;
        let Data { display_name, entity_id, policies } = answer.data()?;
        let entity = if entity_id.is_empty() { "without an entity" } else { entity_id.as_str() };
        let told = format!("{display_name} ({entity}; policies {})", policies.join(", "));
        Ok(told.chars().filter(|c| !c.is_control()).take(512).collect())
    }

    /// The server's clock, to the second.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn server_time(&self) -> Result<Option<SystemTime>, VaultFailure> {
        Ok(self.health().await?.server_time)
    }

    /// What state the server is in; sealed or standing by is an answer, not a failure.
    ///
    /// # Errors
    /// As [`get`](Self::get); no token is needed.
    pub async fn health(&self) -> Result<VaultHealth, VaultFailure> {
        let asked_at = self.0.clock.monotonic();
        let (answer, date) = self.limited(server::ask(&self.0.transport)).await?;
        let latency = self.0.clock.monotonic().saturating_sub(asked_at);
        Ok(answer.read::<Body<'_>>()?.health(date, latency))
    }

    /// Gets a token now, to see whether the login works, and asks the server whether it is valid.
    ///
    /// Where a login was refused just now and the credentials are the same, the same failure comes back without
    /// a request, for a second at first and a minute at last.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn log_in(&self) -> Result<(), VaultFailure> {
        self.limited(self.proven_login()).await
    }

    async fn proven_login(&self) -> Result<(), VaultFailure> {
        let Inner { transport, sessions, .. } = &*self.0;
        let session = sessions.current(transport).await?;
        match look_up_self(transport, &session.token).await {
            Ok(_) => Ok(()),
            Err(failure) if sessions.is_dead(transport, &session, &failure).await => {
                sessions.replace(transport, &session).await.map(drop)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Revokes the token, with everything leased under it, if a login of this connection got it; a token that
    /// was given is only forgotten. The next request logs in again.
    ///
    /// # Errors
    /// As [`get`](Self::get); the token is forgotten all the same.
    pub async fn log_out(&self) -> Result<(), VaultFailure> {
        let Inner { transport, sessions, .. } = &*self.0;
        let Some(session) = sessions.take().filter(|_| sessions.owns_its_token()) else {
            return Ok(());
        };
        let path = VaultMount::new("auth/token")?.path(&["revoke-self"])?;
        let request =
            Request { method: Method::POST, path, query: None, body: None, namespace: true };
        let revoked = self.limited(transport.send(&request, Some(&session.token))).await?.success();
        match revoked {
            // They are kept nowhere, and end by themselves.
            Err(failure) if failure.says("batch tokens cannot be revoked") => Ok(()),
            revoked => revoked.map(drop),
        }
    }

    /// One limit of time for a request with the login before it and the one after it.
    pub(crate) async fn limited<T>(
        &self,
        work: impl Future<Output = Result<T, VaultFailure>>,
    ) -> Result<T, VaultFailure> {
        let late = || Err(VaultFailure::new(VaultFailureKind::TimedOut, "no answer in time"));
        self.in_time(work).await.unwrap_or_else(late)
    }

    async fn request(
        &self,
        method: Method,
        mount: &VaultMount,
        segments: &[&str],
        query: Option<&'static str>,
        body: Option<Bytes>,
    ) -> Result<VaultAnswer, VaultFailure> {
        let path = mount.path(segments)?;
        let request = Request { method, path, query, body, namespace: true };
        self.limited(self.answered(request)).await
    }

    async fn answered(&self, request: Request) -> Result<VaultAnswer, VaultFailure> {
        let Inner { transport, sessions, .. } = &*self.0;
        let session = sessions.current(transport).await?;
        let sent = sessions.beside(transport.send(&request, Some(&session.token)));
        let failure = match sent.await?.success() {
            Ok(body) => return Ok(VaultAnswer::new(body)),
            Err(failure) => failure,
        };
        if !sessions.is_dead(transport, &session, &failure).await {
            return Err(failure);
        }
        let fresh = sessions.replace(transport, &session).await?;
        Ok(VaultAnswer::new(transport.send(&request, Some(&fresh.token)).await?.success()?))
    }
}

fn encode(body: &impl Serialize) -> Result<Bytes, VaultFailure> {
    let refused = || VaultFailure::new(VaultFailureKind::InvalidInput, "the request is no JSON");
    buffer::json(body).ok_or_else(refused)
}

impl fmt::Debug for VaultConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultConnection")
            .field("server_name", &self.0.server_name)
            .field("namespace", &self.0.namespace)
            .field("address", &format_args!("{}", self.0.transport.address()))
            .finish_non_exhaustive()
    }
}
