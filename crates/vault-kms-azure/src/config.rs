//! Which vault to speak to, as whom, and over what: a plain builder.
//!
//! Left to others: reading configuration files.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{Clock, RandomSource, Result, SystemClock, SystemRandom};

use crate::client::invalid;
use crate::credentials::AzureCredentials;

/// The cloud that a vault is in: where logins go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AzureCloud {
    /// Azure, with `login.microsoftonline.com`.
    #[default]
    Public,
    /// Azure for the US government, with `login.microsoftonline.us`.
    UsGovernment,
    /// Azure in China, with `login.chinacloudapi.cn`.
    China,
    /// Another one, such as Azure Stack.
    Custom {
        /// Where logins go: `https://login.example`.
        authority: String,
    },
}

/// Settings of an [`AzureKmsProvider`](crate::AzureKmsProvider).
#[non_exhaustive]
pub struct AzureKmsConfig {
    pub(crate) vault_url: String,
    /// `None` beside a client that logs in by itself.
    pub(crate) credentials: Option<Arc<AzureCredentials>>,
    pub(crate) cloud: AzureCloud,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) resolved: Vec<(String, SocketAddr)>,
    pub(crate) proxy: Option<String>,
    pub(crate) max_idle: usize,
    pub(crate) idle_timeout: Duration,
    #[cfg(feature = "admin")]
    pub(crate) hsm_keys: bool,
    pub(crate) verify_challenge: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl AzureKmsConfig {
    /// The vault at `vault_url` (`https://name.vault.azure.net`), with this login.
    #[must_use]
    pub fn new(vault_url: impl Into<String>, credentials: AzureCredentials) -> Self {
        Self { credentials: Some(Arc::new(credentials)), ..Self::for_client(vault_url) }
    }

    /// For [`with_client`](crate::AzureKmsProvider::with_client) with a client of that vault: it has a login, a
    /// cloud, roots, addresses and a proxy of its own.
    #[must_use]
    pub fn for_client(vault_url: impl Into<String>) -> Self {
        Self {
            vault_url: vault_url.into(),
            credentials: None,
            cloud: AzureCloud::Public,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            roots: None,
            resolved: Vec::new(),
            proxy: None,
            max_idle: 64,
            idle_timeout: Duration::from_secs(60),
            #[cfg(feature = "admin")]
            hsm_keys: false,
            verify_challenge: true,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }

    /// Time-outs that let no call succeed.
    pub(crate) fn check(&self) -> Result<()> {
        let waits = [self.connect_timeout, self.read_timeout, self.call_timeout];
        if waits.contains(&Duration::ZERO) {
            return Err(invalid("a time-out of nothing lets no call succeed"));
        }
        Ok(())
    }

    /// Settings that a ready client would leave unheard.
    pub(crate) fn check_beside_client(&self) -> Result<()> {
        self.check()?;
        let login = self.credentials.is_some() || self.cloud != AzureCloud::Public;
        let way = self.roots.is_some() || self.proxy.is_some() || !self.resolved.is_empty();
        if login || way || !self.verify_challenge {
            return Err(invalid(
                "a ready client has its own login, cloud, roots, addresses, proxy and checks; begin with AzureKmsConfig::for_client",
            ));
        }
        Ok(())
    }

    /// The cloud to log in to. The default is the public one.
    #[must_use]
    pub fn with_cloud(mut self, cloud: AzureCloud) -> Self {
        self.cloud = cloud;
        self
    }

    /// How long a connection may take to be made. The default is 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the vault may be silent. The default is 10 s.
    #[must_use]
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// How long a call of a trait may take in all: with its login, its challenge, and whatever requests stand
    /// behind it. The default is 30 s.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Trusts these certificate authorities (PEM, one or more) instead of the system's, for the vault and
    /// for the login.
    #[must_use]
    pub fn with_tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Reaches `host` at `address`: a private endpoint without its DNS zone. Certificates are still verified for
    /// the name. It holds for the host that is named and no other, so a login service behind such an address is
    /// named by itself; of two addresses for one host the last counts. A proxy looks names up itself.
    #[must_use]
    pub fn with_resolved(mut self, host: impl Into<String>, address: SocketAddr) -> Self {
        self.resolved.push((host.into(), address));
        self
    }

    /// Goes through this proxy, to the vault and to the login service. Managed identities never do, and the
    /// environment's proxies are never taken (the program `az` reads them itself).
    #[must_use]
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// How many idle connections are kept, and for how long. The default is 64 and 60 s.
    #[must_use]
    pub fn with_pool(mut self, max_idle: usize, idle_timeout: Duration) -> Self {
        self.max_idle = max_idle;
        self.idle_timeout = idle_timeout;
        self
    }

    /// Makes new keys in a hardware security module (`RSA-HSM`; a Premium vault or a Managed HSM).
    #[cfg(feature = "admin")]
    #[must_use]
    pub fn with_hsm_keys(mut self, hsm: bool) -> Self {
        self.hsm_keys = hsm;
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws data keys. It must be as good as the system's generator.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }
}

impl fmt::Debug for AzureKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureKmsConfig")
            .field("vault_url", &self.vault_url)
            .field("credentials", &self.credentials)
            .field("cloud", &self.cloud)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("own_roots", &self.roots.is_some())
            .field("proxy", &self.proxy.is_some())
            .field("verify_challenge", &self.verify_challenge)
            .finish_non_exhaustive()
    }
}

/// What weakens a check, by name.
pub mod danger {
    use super::AzureKmsConfig;

    /// Sends tokens to a vault whose challenge names a resource that its own host does not belong to: only
    /// for emulators. A server that is not the vault could then have the token. Said in the log.
    #[must_use]
    pub fn without_challenge_verification(mut config: AzureKmsConfig) -> AzureKmsConfig {
        tracing::warn!(
            vault = %config.vault_url,
            "danger::without_challenge_verification: the vault's challenge is not verified"
        );
        config.verify_challenge = false;
        config
    }
}
