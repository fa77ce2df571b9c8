//! The way to the service: gRPC channels with our roots, timeouts and proxy, each call with its token.
//!
//! Left to `tonic`: connecting when the first call comes and again when a connection is lost. Calls that
//! failed are never repeated here.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use gcloud_sdk::{GoogleAuthHeaders, GoogleAuthMiddlewareLayer};
use http::{Request, Response, Uri};
use tonic::body::Body;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use crate::error::invalid;
use crate::{GcpCredentials, GcpKmsConfig, proxy};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What calls go through: a channel, the login around it, and [`Observed`] around both.
pub(crate) type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, TransportError>;

/// Why there is no answer. What is inside is looked at by `error.rs`, and goes no further.
pub(crate) struct TransportError(BoxError);

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportError")
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer")
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.as_ref())
    }
}

/// Idle connections are asked for a sign of life this often, while calls wait.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// The configured connections. Nothing is connected yet, but the login may have started its task.
pub(crate) fn connect(
    config: &GcpKmsConfig,
) -> Result<(Transport, Vec<Transport>, Arc<GoogleAuthHeaders>)> {
    let uri: Uri = config
        .endpoint
        .parse()
        .map_err(|_| invalid("the endpoint is no URL; it is https://host[:port]"))?;
    check_endpoint(&uri, &config.credentials)?;
    let headers = Arc::new(GoogleAuthHeaders::from(config.credentials.build()?));
    let connection = || {
        let layer = GoogleAuthMiddlewareLayer::new(Arc::clone(&headers), None)
            .map_err(|_| unusable("the headers of calls"))?;
        Ok(boxed(layer.layer(channel(&uri, config)?)))
    };
    let more: Result<_> = (1..config.connections).map(|_| connection()).collect();
    let first: Result<_> = connection();
    Ok((first?, more?, headers))
}

/// Makes any service that speaks gRPC the way to the service.
pub(crate) fn boxed<S>(service: S) -> Transport
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(Observed(service))
}

fn check_endpoint(uri: &Uri, credentials: &GcpCredentials) -> Result<()> {
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(invalid("the endpoint is https://host[:port], without a user"));
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err(invalid("the endpoint has no path"));
    }
    let plain = uri.scheme_str() == Some("http");
    if !plain && uri.scheme_str() != Some("https") {
        return Err(invalid("the endpoint is https://host[:port]"));
    }
    if plain && !is_loopback(host) {
        return Err(invalid("plain http only to this machine itself; elsewhere use https"));
    }
    if !plain && matches!(credentials, GcpCredentials::Anonymous) {
        return Err(invalid("anonymous calls only to an emulator on plain http; name a login"));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn channel(uri: &Uri, config: &GcpKmsConfig) -> Result<Channel> {
    let mut endpoint = Endpoint::from(uri.clone())
        .connect_timeout(config.connect_timeout)
        .tcp_keepalive(Some(KEEP_ALIVE * 2))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(config.read_timeout);
    if uri.scheme_str() == Some("https") {
        let tls = ClientTlsConfig::new().timeout(config.connect_timeout);
        let tls = match &config.roots_pem {
            Some(pem) => tls.ca_certificate(checked_roots(pem)?),
            None => tls.with_webpki_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(|_| unusable("the TLS settings"))?;
    }
    match &config.proxy {
        Some(proxy) => Ok(endpoint.connect_with_connector_lazy(proxy::connector(proxy, uri)?)),
        None => Ok(endpoint.connect_lazy()),
    }
}

/// A file with no certificate in it would mean that no server is trusted, told only at the first call.
fn checked_roots(pem: &[u8]) -> Result<Certificate> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(Certificate::from_pem(pem)),
        _ => Err(invalid("the TLS roots are certificates in PEM, at least one")),
    }
}

fn unusable(what: &str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
        .with_detail(format!("{what} cannot be used"))
}

/// An HTTP answer that is not the service's: gRPC has status 200 whatever happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HttpFailure {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.status)
    }
}

impl Error for HttpFailure {}

/// Keeps the HTTP status and `retry-after` of what a load balancer answered, which gRPC would lose.
#[derive(Debug, Clone)]
struct Observed<S>(S);

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, TransportError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready(cx).map_err(|error| TransportError(error.into()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await.map_err(|error| TransportError(error.into()))?;
            if answer.status().is_success() || answer.headers().contains_key("grpc-status") {
                return Ok(answer);
            }
            let header = answer.headers().get(http::header::RETRY_AFTER);
            let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
            let status = answer.status().as_u16();
            let retry_after = seconds.map(Duration::from_secs);
            Err(TransportError(HttpFailure { status, retry_after }.into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_travel_over_tls_or_not_at_all() {
        let check = |endpoint: &str, credentials| {
            let uri: Uri = endpoint.parse().unwrap();
            check_endpoint(&uri, &credentials).is_ok()
        };
        use GcpCredentials::{Anonymous, ApplicationDefault};
        assert!(check("https://cloudkms.googleapis.com", ApplicationDefault));
        assert!(check("https://cloudkms.googleapis.com:443/", ApplicationDefault));
        for loopback in ["http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9"] {
            assert!(check(loopback, Anonymous) && check(loopback, ApplicationDefault));
        }
        assert!(!check("http://cloudkms.googleapis.com", ApplicationDefault));
        assert!(!check("http://127.0.0.1.example.com", Anonymous));
        assert!(!check("https://127.0.0.1:9", Anonymous));
        for wrong in
            ["https://u:p@host", "https://host/v1", "https://host/?x", "ftp://host", "host"]
        {
            assert!(!check(wrong, ApplicationDefault), "{wrong}");
        }
    }
}
