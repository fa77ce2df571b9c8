//! Builds the SDK's clients: transport, time-outs, login. The SDK's own retries are off, because the
//! decorators of core retry and know what must not be.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kms as kms;
use aws_sdk_kms::config::SharedHttpClient;
use aws_smithy_async::time::TimeSource;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_types::service_config::ServiceConfigKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use vault_crypto_core::{Clock, Result};

use crate::config::{AwsKmsConfig, check_endpoint, setting};
use crate::credentials::{AwsCredentials, Checked, Source};
use crate::limit::ShortAnswers;
use crate::login::{Role, WebIdentity, session_name, sts_client};
use crate::renewal::Logins;

/// The clients of one provider.
pub(crate) struct Connection {
    kms: kms::Client,
    region: Option<String>,
    /// What STS is asked with; an injected client has none.
    sts: Option<aws_sdk_sts::Client>,
    logins: Logins,
    can_log_in_anew: bool,
}

impl Connection {
    /// Builds the clients; asks nobody, unless the region has to be found out from the machine.
    pub(crate) async fn open(config: AwsKmsConfig) -> Result<Self> {
        config.check()?;
        let logins = Logins::new(&config, config.credentials.token_file())?;
        let can_log_in_anew = config.credentials.can_change();
        let (endpoint, sts_endpoint) = (config.endpoint.clone(), config.sts_endpoint.clone());
        let calls = timeouts(&config).build();
        let sdk = sdk_config(config, logins.clone()).await?;
        let provider = sdk.credentials_provider();
        let sts = sts_client(&sdk, sts_endpoint.as_deref(), provider);
        let region = sdk.region().map(|region| region.as_ref().to_owned());
        let own = kms::config::Builder::from(&sdk).timeout_config(calls);
        let mut own = own.interceptor(ShortAnswers);
        if endpoint.is_some() {
            own.set_endpoint_url(endpoint);
        }
        let kms = kms::Client::from_conf(own.build());
        Ok(Self { kms, region, sts: Some(sts), logins, can_log_in_anew })
    }

    /// Takes a client as it is, but for retries, time-outs that it leaves open, and where credentials are kept.
    pub(crate) fn with_client(client: &kms::Client, config: &AwsKmsConfig) -> Result<Self> {
        config.check_beside_client()?;
        let old = client.config();
        let mut calls =
            old.timeout_config().cloned().unwrap_or_else(|| TimeoutConfig::builder().build());
        calls.take_defaults_from(&timeouts(config).build());
        let logins = Logins::new(config, None)?;
        let new = old.to_builder().retry_config(RetryConfig::disabled()).timeout_config(calls);
        let new = new.identity_cache(logins.clone()).interceptor(ShortAnswers);
        let region = old.region().map(|region| region.as_ref().to_owned());
        let kms = kms::Client::from_conf(new.build());
        Ok(Self { kms, region, sts: None, logins, can_log_in_anew: true })
    }

    pub(crate) fn client(&self) -> kms::Client {
        self.kms.clone()
    }

    /// The credentials of login number `refused` were refused: whether the next call has others.
    pub(crate) fn log_in_anew(&self, refused: u64) -> bool {
        self.can_log_in_anew && self.logins.give_up(refused)
    }

    /// What has to be driven on beside a call.
    pub(crate) fn logins(&self) -> &Logins {
        &self.logins
    }

    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub(crate) fn sts(&self) -> Option<&aws_sdk_sts::Client> {
        self.sts.as_ref()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.logins.end();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("region", &self.region).finish_non_exhaustive()
    }
}

async fn sdk_config(config: AwsKmsConfig, logins: Logins) -> Result<SdkConfig> {
    // Calls of ours have a deadline of their own; a login that nobody waits for any more has this one.
    let timeouts = timeouts(&config).operation_timeout(config.call_timeout).build();
    let http = http_client(&config)?;
    let clock = SdkClock(config.clock.clone());
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.clone())
        // A stalled answer ends with the call's deadline; to watch its speed costs every call.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http.clone())
        .time_source(clock.clone())
        .identity_cache(logins)
        .no_credentials();
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Source::Profile(name) = &config.credentials.0 {
        loader = loader.profile_name(name);
    }
    // Only what was asked for: these also come from the environment and the profile.
    if config.fips {
        loader = loader.use_fips(true);
    }
    if config.dual_stack {
        loader = loader.use_dual_stack(true);
    }
    let sdk = loader.load().await;
    for (service, own) in [("KMS", &config.endpoint), ("STS", &config.sts_endpoint)] {
        if let Some(url) = found_endpoint(&sdk, service).filter(|_| own.is_none()) {
            check_endpoint(&url)?;
        }
    }
    let Some(region) = sdk.region().cloned() else {
        return Err(setting(
            "no region is configured; set one, or AWS_REGION, or one in the profile",
        ));
    };
    let own = ProviderConfig::without_region()
        .with_region(Some(region))
        .with_use_fips(sdk.use_fips())
        .with_use_dual_stack(sdk.use_dual_stack())
        .with_retry_config(RetryConfig::disabled())
        .with_timeout_config(timeouts)
        .with_http_client(http)
        .with_time_source(clock);
    let login = Login { sdk: &sdk, own: &own, config: &config };
    let provider = login.provider(&config.credentials).await?;
    Ok(sdk.clone().into_builder().credentials_provider(provider).build())
}

/// The endpoint that the environment or the profile names for a service, as the SDK looks for it.
fn found_endpoint(sdk: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url");
    let own = key.build().ok().and_then(|key| sdk.service_config()?.load_config(key));
    own.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// What a login is built from.
struct Login<'a> {
    sdk: &'a SdkConfig,
    own: &'a ProviderConfig,
    config: &'a AwsKmsConfig,
}

impl Login<'_> {
    async fn provider(&self, credentials: &AwsCredentials) -> Result<SharedCredentialsProvider> {
        // From the base to the last role: a chain of roles is a list, not a tree.
        let (mut base, mut roles) = (credentials, Vec::new());
        while let Source::Role(below, role) = &base.0 {
            roles.push(role.clone());
            base = below;
        }
        let mut provider = self.base(base).await?;
        for role in roles.into_iter().rev() {
            let sts = self.sts(Some(provider));
            let session_name = session_name(role.session_name.clone(), &*self.config.random)?;
            let clock = self.config.clock.clone();
            provider = checked(Role { sts, role: role.clone(), session_name, clock });
        }
        Ok(provider)
    }

    async fn base(&self, credentials: &AwsCredentials) -> Result<SharedCredentialsProvider> {
        Ok(match &credentials.0 {
            Source::Profile(name) => checked(
                ProfileFileCredentialsProvider::builder()
                    .configure(self.own)
                    .profile_name(name)
                    .build(),
            ),
            Source::WebIdentity { role_arn, token_file, session_name: given } => {
                checked(WebIdentity {
                    sts: self.sts(None),
                    role_arn: role_arn.clone(),
                    token_file: token_file.clone(),
                    session_name: session_name(given.clone(), &*self.config.random)?,
                    clock: self.config.clock.clone(),
                })
            }
            Source::Fixed { access_key_id, secret_access_key, session_token } => {
                let token = session_token.as_ref().map(|token| token.as_str().to_owned());
                let secret = secret_access_key.as_str();
                checked(Credentials::new(access_key_id, secret, token, None, "vaultkit"))
            }
            Source::DefaultChain | Source::Role(..) => {
                let mut chain = DefaultCredentialsChain::builder().configure(self.own.clone());
                // Known by now; without it the chain asks the machine for one, with all of its patience.
                chain.set_region(self.sdk.region().cloned());
                checked(chain.build().await)
            }
        })
    }

    fn sts(&self, base: Option<SharedCredentialsProvider>) -> aws_sdk_sts::Client {
        sts_client(self.sdk, self.config.sts_endpoint.as_deref(), base)
    }
}

fn checked(
    provider: impl aws_credential_types::provider::ProvideCredentials + 'static,
) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Checked(SharedCredentialsProvider::new(provider)))
}

fn timeouts(config: &AwsKmsConfig) -> TimeoutConfigBuilder {
    TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
}

fn http_client(config: &AwsKmsConfig) -> Result<SharedHttpClient> {
    let tls = TlsContext::builder().with_trust_store(trust_store(config)?).build();
    let tls = tls.map_err(|_| setting("these TLS settings cannot be used"))?;
    let proxy = match &config.proxy {
        // Plain http goes to this machine and to its metadata service, which would tell a proxy whose it is and
        // whose credentials these are. The cause of a failure may repeat the address, and with it a password.
        Some(url) => ProxyConfig::https(url.as_str())
            .map_err(|_| setting("the proxy's address is not a URL"))?,
        None => ProxyConfig::disabled(),
    };
    let (most, idle) = (config.idle_connections, config.idle_timeout);
    Ok(Builder::new().build_with_connector_fn(move |settings, _| {
        let connector = Connector::builder()
            .proxy_config(proxy.clone())
            .pool_max_idle_per_host(most)
            .pool_idle_timeout(idle);
        let connector = match settings {
            Some(settings) => connector.connector_settings(settings.clone()),
            None => connector,
        };
        connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls.clone()).build()
    }))
}

fn trust_store(config: &AwsKmsConfig) -> Result<TrustStore> {
    let Some(pem) = &config.roots else {
        // Without TLS nobody is trusted, and the system's roots, which may be none, are not read.
        let plain = [&config.endpoint, &config.sts_endpoint]
            .map(|url| url.as_deref().is_some_and(is_plain));
        return Ok(if plain == [true, true] { TrustStore::empty() } else { TrustStore::default() });
    };
    check_roots(pem)?;
    Ok(TrustStore::empty().with_pem_certificate(pem.clone()))
}

fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// The SDK panics on certificates that it cannot read.
fn check_roots(pem: &[u8]) -> Result<()> {
    let refused = || setting("the TLS roots are not certificates in PEM");
    let certificates: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| refused())?;
    if certificates.is_empty() {
        return Err(refused());
    }
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|_| refused())?;
    }
    Ok(())
}

/// The SDK's view of our clock.
#[derive(Debug, Clone)]
struct SdkClock(Arc<dyn Clock>);

impl TimeSource for SdkClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}
