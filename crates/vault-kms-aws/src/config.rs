//! What an [`AwsKmsProvider`](crate::AwsKmsProvider) needs to know: who asks, whom, over what.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{
    Clock, Operation, RandomSource, Result, SecureString, SystemClock, SystemRandom,
};

use crate::AwsCredentials;
use crate::error::invalid;

/// Where AWS KMS is and how to reach it. All has a default: the default chain of credentials, the region of
/// the environment or profile, the region's own endpoint, and finite time-outs.
///
/// ```
/// use std::time::Duration;
/// use vault_kms_aws::{AssumeRole, AwsCredentials, AwsKmsConfig};
///
/// let role = AssumeRole::new("arn:aws:iam::111122223333:role/app").with_external_id("shared-with-them".to_owned());
/// let config = AwsKmsConfig::new()
///     .with_region("eu-west-1")
///     .with_credentials(AwsCredentials::default_chain().assume_role(role))
///     .with_call_timeout(Duration::from_secs(5));
/// assert!(!format!("{config:?}").contains("shared-with-them"));
/// ```
pub struct AwsKmsConfig {
    pub(crate) credentials: AwsCredentials,
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) sts_endpoint: Option<String>,
    pub(crate) fips: bool,
    pub(crate) dual_stack: bool,
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) proxy: Option<SecureString>,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) idle_connections: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
}

impl AwsKmsConfig {
    /// All defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            credentials: AwsCredentials::default_chain(),
            region: None,
            endpoint: None,
            sts_endpoint: None,
            fips: false,
            dual_stack: false,
            roots: None,
            proxy: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(30),
            idle_connections: 64,
            idle_timeout: Duration::from_secs(60),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
        }
    }

    /// Who asks. By default whoever the default chain finds.
    #[must_use]
    pub fn with_credentials(mut self, credentials: AwsCredentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// The region whose keys are asked, such as `eu-west-1`.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Another address of KMS: a VPC endpoint, an emulator. `https://`; plain `http://` only to this machine.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Another address of STS, which gives the credentials of roles; the same rules.
    #[must_use]
    pub fn with_sts_endpoint(mut self, url: impl Into<String>) -> Self {
        self.sts_endpoint = Some(url.into());
        self
    }

    /// Asks the region's FIPS endpoints.
    #[must_use]
    pub fn with_fips(mut self, fips: bool) -> Self {
        self.fips = fips;
        self
    }

    /// Asks the region's endpoints that answer over IPv6 too.
    #[must_use]
    pub fn with_dual_stack(mut self, dual_stack: bool) -> Self {
        self.dual_stack = dual_stack;
        self
    }

    /// Trusts these certificates (PEM, one or more) *instead of* the system's.
    #[must_use]
    pub fn with_tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Goes through this HTTP proxy; `user:password@` in it is used and not shown. No variable of the
    /// environment is read for it. Plain `http`, to this machine or its metadata service, goes past it.
    #[must_use]
    pub fn with_proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(SecureString::new(url));
        self
    }

    /// How long a connection may take to be made: 5 s by default.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an answer may take to begin: 10 s by default. What follows its beginning has the call's time.
    #[must_use]
    pub fn with_read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// How long a whole call may take, login and all: 30 s by default.
    #[must_use]
    pub fn with_call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// How many connections are kept open when nobody needs them, and for how long: 64 and 60 s by default.
    #[must_use]
    pub fn with_pool(mut self, connections: usize, timeout: Duration) -> Self {
        self.idle_connections = connections;
        self.idle_timeout = timeout;
        self
    }

    /// The clock that signatures and the age of credentials go by.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The generator that sessions without a name are named by.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }

    /// What can be told wrong before anything is built. The SDK panics on some of it.
    pub(crate) fn check(&self) -> Result<()> {
        for url in [&self.endpoint, &self.sts_endpoint].into_iter().flatten() {
            check_endpoint(url)?;
        }
        let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let region = self.region.as_deref();
        if region.is_some_and(|region| region.is_empty() || !region.bytes().all(label)) {
            return Err(setting("a region is named like eu-west-1"));
        }
        let times = [self.connect_timeout, self.read_timeout, self.call_timeout];
        if times.contains(&Duration::ZERO) {
            return Err(setting("a time-out is longer than nothing"));
        }
        self.credentials.check()
    }

    /// That nothing is asked for which a ready-made client has settled.
    pub(crate) fn check_beside_client(&self) -> Result<()> {
        let endpoint =
            [&self.region, &self.endpoint, &self.sts_endpoint].iter().any(|it| it.is_some());
        let route = self.roots.is_some() || self.proxy.is_some() || self.fips || self.dual_stack;
        if endpoint || route || !self.credentials.is_default() {
            return Err(setting(
                "a ready-made client has its own credentials, region, endpoints, roots and proxy; set them there",
            ));
        }
        self.check()
    }
}

impl Default for AwsKmsConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Neither credentials nor the proxy's address, which may hold a password.
impl fmt::Debug for AwsKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsConfig")
            .field("credentials", &self.credentials)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("sts_endpoint", &self.sts_endpoint)
            .field("fips", &self.fips)
            .field("dual_stack", &self.dual_stack)
            .field("own_roots", &self.roots.is_some())
            .field("proxy", &self.proxy.is_some())
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}

/// A data key travels in these answers, so nobody but this machine may see it unencrypted.
pub(crate) fn check_endpoint(url: &str) -> Result<()> {
    let clean = url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains(['@', '?', '#']);
    let authority = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    let secure = url.strip_prefix("https://").is_some_and(|rest| !authority(rest).is_empty());
    let local = url.strip_prefix("http://").is_some_and(|rest| {
        let authority = authority(rest);
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &authority,
        };
        ["127.0.0.1", "localhost", "[::1]"].contains(&host)
    });
    if clean && (secure || local) {
        return Ok(());
    }
    Err(setting(
        "an endpoint is an https:// address; http:// only on this machine (127.0.0.1, localhost, [::1])",
    ))
}

pub(crate) fn setting(detail: &'static str) -> vault_crypto_core::CryptoError {
    invalid(Operation::Configure, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_keys_go_unencrypted_to_nobody_else() {
        for good in [
            "https://kms.example",
            "https://[::1]:1/x",
            "http://127.0.0.1:4566",
            "http://localhost",
            "http://[::1]:9/",
        ] {
            assert!(check_endpoint(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "kms.example",
            "http://kms.example",
            "http://127.0.0.1.evil.example",
            "http://localhost@evil.example",
            "https://",
            "ftp://127.0.0.1",
            "https://a b",
            "https://a\n",
            "http://localhost:80:evil.example",
        ];
        for bad in bad {
            assert!(check_endpoint(bad).is_err(), "{bad:?}");
        }
    }
}
