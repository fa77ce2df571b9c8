//! Which key ring to use, over which connection and as whom.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{Clock, KeyId, RandomSource, Result, SystemClock, SystemRandom};

use crate::GcpCredentials;
use crate::error::invalid;
use crate::names::{KeyName, RingName};

const ENDPOINT: &str = "https://cloudkms.googleapis.com";
const DAY: Duration = Duration::from_secs(86_400);

/// Settings of a [`GcpKmsProvider`](crate::GcpKmsProvider).
///
/// By default: Google's global endpoint, the system's TLS roots, application default credentials, one
/// HTTP/2 connection, 5 s to connect, 10 s for each request, 30 s for a whole call.
#[derive(Clone)]
pub struct GcpKmsConfig {
    pub(crate) key_ring: String,
    pub(crate) endpoint: String,
    pub(crate) credentials: GcpCredentials,
    pub(crate) roots_pem: Option<Vec<u8>>,
    pub(crate) proxy: Option<String>,
    pub(crate) connections: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) destroy_delay: Option<Duration>,
    pub(crate) hsm: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl GcpKmsConfig {
    /// Keys of the ring `projects/P/locations/L/keyRings/R`, with or without `gcp-kms://` in front. Bare key
    /// names are keys of this ring, new keys are made in it, and `list_keys` lists it; keys of other rings are
    /// used by their full names.
    #[must_use]
    pub fn new(key_ring: impl Into<String>) -> Self {
        Self {
            key_ring: key_ring.into(),
            endpoint: ENDPOINT.to_owned(),
            credentials: GcpCredentials::ApplicationDefault,
            roots_pem: None,
            proxy: None,
            connections: 1,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            destroy_delay: None,
            hsm: false,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }

    /// Keys of the ring that this key is in: `gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    ///
    /// # Errors
    /// `InvalidInput` unless it is a key's full name.
    pub fn for_key(key_id: &str) -> Result<Self> {
        let full = "name the key in full: projects/P/locations/L/keyRings/R/cryptoKeys/K";
        let (ring, _) = key_id.split_once("/cryptoKeys/").ok_or_else(|| invalid(full))?;
        KeyName::parse(&KeyId::new(key_id), &RingName::parse(ring)?)?;
        Ok(Self::new(ring))
    }

    /// Another endpoint: a regional one, a private one, an emulator. `https`, or plain `http` on loopback.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Who asks.
    #[must_use]
    pub fn with_credentials(mut self, credentials: GcpCredentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// Trusts these authorities (PEM, one or more) and no others, at the service. Not together with a login that
    /// asks somewhere else: see [`with_proxy`](Self::with_proxy).
    #[must_use]
    pub fn with_tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots_pem = Some(pem.into());
        self
    }

    /// Connects through an HTTP proxy (`http://host:port`, by `CONNECT`).
    ///
    /// Refused together with a login that asks other services for its tokens: a federation, and application
    /// default credentials that are not a service account's key or the machine's. Google's login library makes
    /// those connections, with the system's roots and through the proxy that the environment names
    /// (`HTTPS_PROXY`), and can be told neither. A login made with it and
    /// [`Injected`](GcpCredentials::Injected) is the caller's to answer for.
    #[must_use]
    pub fn with_proxy(mut self, proxy: impl Into<String>) -> Self {
        self.proxy = Some(proxy.into());
        self
    }

    /// How many HTTP/2 connections calls take turns on, 1 to 64. One carries some hundred calls at a time.
    #[must_use]
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Longest time to connect, TLS included.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Longest time for one request, its answer and the login before it included: gRPC does not tell a service
    /// that is silent from one that works. Most calls make one; describing a key takes two, and what changes all
    /// of a key's versions one for each.
    #[must_use]
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Longest time for a whole call, its login and all its requests included.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How long versions of *new* keys wait for their destruction: whole days, 1 to 120. Google's default is 30
    /// days, and what a key has it keeps for ever.
    #[must_use]
    pub fn with_destroy_delay_days(mut self, days: u32) -> Self {
        self.destroy_delay = Some(DAY * days);
        self
    }

    /// Makes *new* keys in Google's HSM.
    #[must_use]
    pub fn with_hsm(mut self, hsm: bool) -> Self {
        self.hsm = hsm;
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws data keys, which this service does not make. It must be as good as the system's generator.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }

    /// What can be said of the settings without a connection.
    pub(crate) fn check(&self) -> Result<RingName> {
        let zero = [self.connect_timeout, self.read_timeout, self.call_timeout];
        if zero.contains(&Duration::ZERO) {
            return Err(invalid("a timeout of nothing lets no call succeed"));
        }
        if !(1..=64).contains(&self.connections) {
            return Err(invalid("1 to 64 connections"));
        }
        let delays = DAY..=DAY * 120;
        if self.destroy_delay.is_some_and(|delay| !delays.contains(&delay)) {
            return Err(invalid("versions of a key wait 1 to 120 days for their destruction"));
        }
        RingName::parse(&self.key_ring)
    }

    /// What can be said of them beside connections that this crate makes.
    pub(crate) fn check_way(&self) -> Result<()> {
        let ways = self.proxy.is_some() || self.roots_pem.is_some();
        if ways && self.credentials.asks_elsewhere() {
            return Err(invalid(
                "this login asks other services for its tokens, past the given proxy and roots; take a service account's key, the machine's account, or credentials of your own",
            ));
        }
        Ok(())
    }

    /// What can be said of them beside a connection that the caller made.
    pub(crate) fn check_beside_a_client(&self) -> Result<()> {
        let ignored = [
            ("endpoint", self.endpoint != ENDPOINT),
            ("login", !matches!(self.credentials, GcpCredentials::ApplicationDefault)),
            ("TLS roots", self.roots_pem.is_some()),
            ("proxy", self.proxy.is_some()),
            ("number of connections", self.connections != 1),
        ];
        match ignored.iter().find(|(_, is_given)| *is_given) {
            Some((what, _)) => Err(invalid(format!(
                "the {what} of the configuration would be ignored: a ready client has its own"
            ))),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for GcpKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKmsConfig")
            .field("key_ring", &self.key_ring)
            .field("endpoint", &self.endpoint)
            .field("credentials", &self.credentials)
            .field("own_roots", &self.roots_pem.is_some())
            .field("proxy", &self.proxy.is_some())
            .field("connections", &self.connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}
