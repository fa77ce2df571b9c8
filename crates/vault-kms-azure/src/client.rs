//! Builds the SDK's client over a transport of our own: roots, proxy, time-outs; no retries.
//!
//! Left to others: what goes over it (`transport`), and what an answer means (`error`).

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport};
use azure_security_keyvault_keys::KeyClientOptions;
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation, Result};

use crate::config::{AzureCloud, AzureKmsConfig};
use crate::credentials::AzureCredentials;
use crate::login::Login;
use crate::names::Vault;
use crate::transport::{LoginTransport, VaultTransport, Wire};

/// As good as no limit: with a longer one the HTTP client panics.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the SDK's client for the vault is built with.
pub(crate) fn key_options(
    config: &AzureKmsConfig,
    vault: &Vault,
    login: Login,
) -> Result<KeyClientOptions> {
    let builder = builder(config)?.https_only(true).read_timeout(config.read_timeout.min(NEVER));
    let http = builder.build().map_err(|_| unusable_settings())?;
    let transport = VaultTransport::new(Wire::new(http), vault.clone(), login);
    Ok(KeyClientOptions {
        client_options: client_options(config, transport),
        verify_challenge_resource: Some(config.verify_challenge),
        ..KeyClientOptions::default()
    })
}

/// What logins go over. Their time is limited as a whole by who logs in: an answer that nobody has looked at
/// yet is not late.
pub(crate) fn login_options(
    config: &AzureKmsConfig,
    credentials: &AzureCredentials,
) -> Result<ClientOptions> {
    let builder = builder(config)?;
    // The metadata service is on this very machine, and speaks plain HTTP there.
    let local = matches!(credentials, AzureCredentials::ManagedIdentity { .. });
    let builder = if local { builder.no_proxy() } else { builder.https_only(true) };
    let http = builder.build().map_err(|_| unusable_settings())?;
    let clock = Arc::clone(&config.clock);
    Ok(client_options(config, LoginTransport::new(Wire::new(http), credentials.door(), clock)))
}

fn client_options(config: &AzureKmsConfig, transport: impl HttpClient + 'static) -> ClientOptions {
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(transport))),
        cloud: Some(Arc::new(match &config.cloud {
            AzureCloud::Public => CloudConfiguration::AzurePublic,
            AzureCloud::UsGovernment => CloudConfiguration::AzureGovernment,
            AzureCloud::China => CloudConfiguration::AzureChina,
            AzureCloud::Custom { authority } => {
                let mut custom = CustomConfiguration::default();
                custom.authority_host.clone_from(authority);
                CloudConfiguration::Custom(custom)
            }
        })),
        ..ClientOptions::default()
    }
}

fn builder(config: &AzureKmsConfig) -> Result<reqwest::ClientBuilder> {
    config.check()?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_rustls()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(config.connect_timeout.min(NEVER))
        .pool_max_idle_per_host(config.max_idle)
        .pool_idle_timeout(config.idle_timeout.min(NEVER));
    if let Some(pem) = &config.roots {
        let roots = reqwest::Certificate::from_pem_bundle(pem).ok().filter(|all| !all.is_empty());
        builder = builder.tls_certs_only(roots.ok_or_else(|| {
            invalid("the root certificates are not certificates in PEM; give one or more")
        })?);
    }
    for (host, address) in &config.resolved {
        builder = builder.resolve(host, *address);
    }
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy);
        builder = builder.proxy(proxy.map_err(|_| invalid("the proxy's address is no URL"))?);
    }
    Ok(builder)
}

/// `call`, given up after `limit`.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    call: impl Future<Output = T>,
) -> Option<T> {
    let (mut call, mut sleep) = (pin!(call), clock.sleep(limit));
    std::future::poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

pub(crate) fn invalid(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}

pub(crate) fn unusable_settings() -> CryptoError {
    invalid("no client can be built with these settings; look at roots, proxy and authority")
}
