//! Builds the SDK's client over a transport of our own: roots, proxy, time-outs, limits; no retries.
//!
//! The transport speaks to the configured vault alone, whatever link an answer gives, and reads no more
//! than a megabyte. Left to others: what an answer means.

use std::error::Error as StdError;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, HttpClient, Method, Request, RetryOptions, Transport,
};
use azure_security_keyvault_keys::KeyClientOptions;
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation, Result};

use crate::config::{AzureCloud, AzureKmsConfig};
use crate::credentials::AzureCredentials;
use crate::error::WireFault;
use crate::names::Vault;

/// Longest answer in bytes. A page of 25 keys has some tens of thousands.
const MAX_ANSWER_LEN: usize = 1 << 20;

/// What the SDK's client for the vault is built with.
pub(crate) fn key_options(config: &AzureKmsConfig, vault: &Vault) -> Result<KeyClientOptions> {
    let http = builder(config)?.https_only(true).build().map_err(|_| unusable_settings())?;
    let wire = Wire { http, only_host: Some(vault.host().to_owned()) };
    Ok(KeyClientOptions {
        client_options: client_options(config, wire),
        verify_challenge_resource: Some(config.verify_challenge),
        ..KeyClientOptions::default()
    })
}

/// What logins go over.
pub(crate) fn login_options(config: &AzureKmsConfig) -> Result<ClientOptions> {
    let builder = builder(config)?;
    // The metadata service is on this very machine, and speaks plain HTTP there.
    let local = matches!(config.credentials, AzureCredentials::ManagedIdentity { .. });
    let builder = if local { builder.no_proxy() } else { builder.https_only(true) };
    let http = builder.build().map_err(|_| unusable_settings())?;
    Ok(client_options(config, Wire { http, only_host: None }))
}

fn client_options(config: &AzureKmsConfig, wire: Wire) -> ClientOptions {
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(wire))),
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
    let waits = [config.connect_timeout, config.read_timeout, config.call_timeout];
    if waits.contains(&Duration::ZERO) {
        return Err(invalid("a time-out of nothing lets no call succeed"));
    }
    let mut builder = reqwest::Client::builder()
        .tls_backend_rustls()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
        .timeout(config.call_timeout)
        .pool_max_idle_per_host(config.max_idle)
        .pool_idle_timeout(config.idle_timeout);
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

/// One connection pool. `only_host` keeps tokens from whatever host a `nextLink` names.
struct Wire {
    http: reqwest::Client,
    only_host: Option<String>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("only_host", &self.only_host).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        self.send(request).await.map_err(|fault| {
            let kind = match fault {
                WireFault::Unreachable | WireFault::Untrusted => SdkErrorKind::Connection,
                _ => SdkErrorKind::Io,
            };
            azure_core::Error::new(kind, fault)
        })
    }
}

impl Wire {
    async fn send(&self, request: &Request) -> Result<AsyncRawResponse, WireFault> {
        let url = request.url();
        if self.only_host.as_deref().is_some_and(|host| url.host_str() != Some(host)) {
            return Err(WireFault::ForeignHost);
        }
        let method = method(request.method()).ok_or(WireFault::NotSent)?;
        let mut sending = self.http.request(method, url.clone());
        for (name, value) in request.headers().iter() {
            sending = sending.header(name.as_str(), value.as_str());
        }
        let Body::Bytes(body) = request.body() else { return Err(WireFault::NotSent) };
        let sending = sending.body(body.clone()).build().map_err(|_| WireFault::NotSent)?;
        let mut answer = self.http.execute(sending).await.map_err(|error| fault(&error))?;
        let status = answer.status().as_u16().into();
        let headers = headers(answer.headers());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_LEN {
                return Err(WireFault::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

fn method(method: Method) -> Option<reqwest::Method> {
    Some(match method {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Patch => reqwest::Method::PATCH,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        _ => return None,
    })
}

/// A header that is no text is left out; none that matters is.
fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            let name = HeaderName::from(name.as_str().to_owned());
            headers.insert(name, HeaderValue::from(value.to_owned()));
        }
    }
    headers
}

/// Reads what went wrong out of the chain of causes and leaves its texts behind.
fn fault(error: &reqwest::Error) -> WireFault {
    match () {
        () if is_of_tls(error) => WireFault::Untrusted,
        () if error.is_timeout() => WireFault::TimedOut,
        () if error.is_connect() => WireFault::Unreachable,
        () => WireFault::Broken,
    }
}

/// Whether TLS ended it. An `io::Error` hides the error that it carries from `source`.
fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || inside.is_some_and(|inside| is_of_tls(inside))
        || error.source().is_some_and(is_of_tls)
}

pub(crate) fn invalid(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}

pub(crate) fn unusable_settings() -> CryptoError {
    invalid("no client can be built with these settings; look at roots, proxy and authority")
}
