//! Which server, how to log in, and how far to trust the way there. A plain builder; `connection` uses it.
//!
//! Left to others: the environment (`env`).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{
    Clock, RandomSource, Result, SecureBytes, SecureString, SystemClock, SystemRandom,
};
use zeroize::Zeroizing;

use crate::address::invalid;
use crate::{VaultCredentials, VaultMount};

/// Settings of a [`VaultConnection`](crate::VaultConnection).
///
/// Every wait is finite: 5 s to connect, 10 s for the next byte, 30 s for a whole call, unless told
/// otherwise. Without roots of its own it trusts those of the system. It asks no environment variable
/// (see [`from_env`](Self::from_env)) and uses no proxy that it was not given.
pub struct VaultConnectionConfig {
    pub(crate) address: String,
    pub(crate) credentials: VaultCredentials,
    pub(crate) server_name: Option<String>,
    pub(crate) namespace: Option<VaultMount>,
    pub(crate) other_addresses: Vec<String>,
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) identity: Option<ClientIdentity>,
    pub(crate) proxy: Option<SecureString>,
    pub(crate) http_client: Option<reqwest::Client>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) idle_connections: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) plain_http: bool,
    pub(crate) any_certificate: bool,
    /// `VAULT_SKIP_VERIFY`, or a client that was taken over, said so; not enough by itself.
    pub(crate) skip_verify_asked: bool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl VaultConnectionConfig {
    /// The server at `address` (`https://vault.example.com:8200`).
    #[must_use]
    pub fn new(address: impl Into<String>, credentials: VaultCredentials) -> Self {
        Self {
            address: address.into(),
            credentials,
            server_name: None,
            namespace: None,
            other_addresses: Vec::new(),
            roots: None,
            identity: None,
            proxy: None,
            http_client: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            idle_connections: 64,
            idle_timeout: Duration::from_secs(60),
            plain_http: false,
            any_certificate: false,
            skip_verify_asked: false,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }

    /// What the server is called in key ids: a name that stays when the server moves (1 to 128 lowercase
    /// letters, digits or `.-`). The address's host unless given.
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Works in this namespace. A server without namespaces (the community edition of Vault) would ignore it, so
    /// the server is asked for its edition before the first login, once, and refused if it has none.
    #[must_use]
    pub fn with_namespace(mut self, namespace: VaultMount) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// Another address of the same cluster, as its nodes name each other (`api_addr`), which a standby may
    /// redirect to. Redirects to any other are refused: the token goes along.
    ///
    /// Name all nodes or none. With none, a standby passes requests on to the active node. With some, it is told to
    /// send on what is no reading instead, so that a broken way between two nodes never has it done twice.
    #[must_use]
    pub fn with_cluster_address(mut self, address: impl Into<String>) -> Self {
        self.other_addresses.push(address.into());
        self
    }

    /// Trusts these certificates (PEM) and no others.
    #[must_use]
    pub fn with_tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Shows this certificate to the server: its chain and private key, PEM, one after the other.
    #[must_use]
    pub fn with_client_identity(mut self, pem: SecureBytes) -> Self {
        self.identity = Some(ClientIdentity::Pem(pem));
        self
    }

    /// Goes through the proxy at this URL.
    #[must_use]
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(SecureString::new(url));
        self
    }

    /// Sends over this client, with its TLS settings, proxy, time-outs and pool. Of what is given here only the
    /// time-out of a whole call holds beside them, and roots, an identity or a proxy beside it are refused. So is a client
    /// that follows redirects by itself, because the token would go along: build it with
    /// `reqwest::redirect::Policy::none()`.
    #[must_use]
    pub fn with_http_client(mut self, client: reqwest::Client) -> Self {
        self.http_client = Some(client);
        self
    }

    /// How long a connection may take to be made.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may be silent.
    #[must_use]
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// How long a call may take in all, with its login and the requests behind it.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Keeps at most `connections` open that nobody uses, and none longer than `timeout`.
    #[must_use]
    pub fn with_pool(mut self, connections: usize, timeout: Duration) -> Self {
        self.idle_connections = connections;
        self.idle_timeout = timeout;
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws the times of renewal.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }

    /// Danger: takes `http://` to another machine. The token and every key cross the network readable.
    #[must_use]
    pub fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Danger: takes any certificate, so that whoever sits between can read the token and every key. A
    /// warning is logged at each connect. The only way to turn verification off.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.any_certificate = true;
        self
    }

    /// Checks what needs no network.
    pub(crate) fn check(&self) -> Result<()> {
        let waits = [self.connect_timeout, self.read_timeout, self.call_timeout];
        if waits.iter().any(Duration::is_zero) {
            return Err(invalid("a time-out of zero lets nothing through"));
        }
        if self.skip_verify_asked && !self.any_certificate {
            return Err(invalid(
                "VAULT_SKIP_VERIFY, or a client that was taken over, asks to trust any server; undo that and \
                 give the server's roots, or call `danger_accept_any_certificate`",
            ));
        }
        self.check_http_client()?;
        if matches!(self.credentials, VaultCredentials::TlsCertificate { .. })
            && self.identity.is_none()
            && self.http_client.is_none()
        {
            return Err(invalid("the login by TLS certificate needs `with_client_identity`"));
        }
        match &self.server_name {
            Some(name) if !is_server_name(name) => Err(invalid(
                "a server's name has 1 to 128 lowercase letters, digits or .- and begins with a letter or digit",
            )),
            _ => Ok(()),
        }
    }

    fn check_http_client(&self) -> Result<()> {
        let Some(client) = &self.http_client else { return Ok(()) };
        if self.roots.is_some()
            || self.identity.is_some()
            || self.proxy.is_some()
            || self.any_certificate
        {
            return Err(invalid(
                "a ready HTTP client has TLS settings and a proxy of its own; give them to its builder",
            ));
        }
        // The one place where the library tells it. Should it ever tell it otherwise, every client is refused.
        let told = Zeroizing::new(format!("{client:?}"));
        if !told.contains("redirect_policy: \"Policy(None)\"") {
            return Err(invalid(
                "the HTTP client follows redirects, and the token would go along; build it with \
                 `redirect(Policy::none())`",
            ));
        }
        Ok(())
    }
}

/// What the client shows of itself.
pub(crate) enum ClientIdentity {
    /// Chain and key as text.
    Pem(SecureBytes),
    /// Made already.
    #[cfg(feature = "vaultrs")]
    Made(reqwest::Identity),
}

pub(crate) fn is_server_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=128).contains(&name.len())
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || b".-".contains(&byte))
}

impl fmt::Debug for VaultConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultConnectionConfig")
            .field("server_name", &self.server_name)
            .field("namespace", &self.namespace)
            .field("credentials", &self.credentials)
            .field("plain_http", &self.plain_http)
            .field("any_certificate", &self.any_certificate)
            .finish_non_exhaustive()
    }
}
