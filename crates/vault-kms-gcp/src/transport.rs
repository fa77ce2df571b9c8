//! The way to the service: gRPC channels with our roots, timeouts and proxy, or what the caller brought.
//!
//! Left to `tonic`: connecting when the first call comes and again when a connection is lost. Left to
//! `client.rs`: what each request carries, its token included. Calls that failed are never repeated here.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, Uri};
use tonic::body::Body;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::Service;
use tower::util::BoxCloneSyncService;
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation, Result};

use crate::error::invalid;
use crate::{GcpCredentials, GcpKmsConfig, proxy};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What calls go through. Every answer is looked at: see [`HttpFailure`].
#[derive(Clone)]
pub(crate) struct Transport {
    way: Way,
    /// By which a date is how long from now.
    clock: Arc<dyn Clock>,
}

#[derive(Clone)]
enum Way {
    /// Our own, by its name: a box around it would cost each call two allocations.
    Channel(Channel),
    /// The caller's.
    Injected(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>),
}

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

/// Connections are asked for a sign of life this often, while calls wait.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Longest time for that sign; a read timeout that is shorter holds instead.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The configured connections, at least one. Nothing is connected yet.
pub(crate) fn connect(config: &GcpKmsConfig) -> Result<(Transport, Vec<Transport>)> {
    let uri: Uri = config
        .endpoint
        .parse()
        .map_err(|_| invalid("the endpoint is no URL; it is https://host[:port]"))?;
    check_endpoint(&uri, &config.credentials)?;
    // Once for all connections: the system's roots are read from files.
    let endpoint = endpoint(&uri, config)?;
    let own = |channel| Transport { way: Way::Channel(channel), clock: Arc::clone(&config.clock) };
    let connection = || match &config.proxy {
        Some(proxy) => {
            let connector = proxy::connector(proxy, &uri)?;
            Ok(own(endpoint.connect_with_connector_lazy(connector)))
        }
        None => Ok(own(endpoint.connect_lazy())),
    };
    let first = connection()?;
    let more: Result<_> = (1..config.connections).map(|_| connection()).collect();
    Ok((first, more?))
}

/// Makes any service that speaks gRPC the way to the service.
pub(crate) fn injected<S>(service: S, clock: Arc<dyn Clock>) -> Transport
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    use tower::ServiceExt as _;
    let way = Way::Injected(BoxCloneSyncService::new(service.map_err(Into::into)));
    Transport { way, clock }
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

fn endpoint(uri: &Uri, config: &GcpKmsConfig) -> Result<Endpoint> {
    let endpoint = Endpoint::from(uri.clone())
        .user_agent(USER_AGENT)
        .map_err(|_| unusable("the name of this client"))?
        .connect_timeout(config.connect_timeout)
        // An idle connection is kept in the tables of routers between, or found dead before it is used again.
        .tcp_keepalive(Some(KEEP_ALIVE))
        .tcp_keepalive_interval(Some(KEEP_ALIVE_ANSWER))
        .tcp_keepalive_retries(Some(3))
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(config.read_timeout.min(KEEP_ALIVE_ANSWER));
    if uri.scheme_str() != Some("https") {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().timeout(config.connect_timeout);
    let tls = match &config.roots_pem {
        Some(pem) => tls.ca_certificate(checked_roots(pem)?),
        None => tls.with_native_roots(),
    };
    endpoint.tls_config(tls).map_err(|_| {
        unusable("the TLS settings (without roots of its own it needs those of the system)")
    })
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

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = TransportError;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.way {
            Way::Channel(channel) => channel.poll_ready(cx).map_err(Into::into),
            Way::Injected(service) => service.poll_ready(cx),
        }
        .map_err(TransportError)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let answer = match &mut self.way {
            Way::Channel(channel) => Answer::Channel(channel.call(request)),
            Way::Injected(service) => Answer::Injected(service.call(request)),
        };
        Answering { answer, clock: Arc::clone(&self.clock) }
    }
}

/// An answer on its way. It keeps the HTTP status and `retry-after` of what a load balancer answered, which
/// gRPC would lose.
pub(crate) struct Answering {
    answer: Answer,
    clock: Arc<dyn Clock>,
}

enum Answer {
    Channel(<Channel as Service<Request<Body>>>::Future),
    Injected(Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Body>, TransportError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let answer = match &mut this.answer {
            Answer::Channel(answer) => ready!(Pin::new(answer).poll(cx)).map_err(Into::into),
            Answer::Injected(answer) => ready!(answer.as_mut().poll(cx)),
        };
        let of_the_service = |answer| of_the_service(answer, &*this.clock);
        Poll::Ready(answer.and_then(of_the_service).map_err(TransportError))
    }
}

fn of_the_service(
    mut answer: Response<Body>,
    clock: &dyn Clock,
) -> Result<Response<Body>, BoxError> {
    let wait = answer.headers().get(RETRY_AFTER).and_then(|value| retry_after(value, clock));
    if answer.status().is_success() || answer.headers().contains_key("grpc-status") {
        if let Some(wait) = wait {
            answer.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
        }
        return Ok(answer);
    }
    Err(HttpFailure { status: answer.status().as_u16(), retry_after: wait }.into())
}

/// How long to wait: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &HeaderValue, clock: &dyn Clock) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| Some(http_date(text)?.duration_since(clock.now()).unwrap_or_default()))
}

/// The time that HTTP writes as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc2822;
    OffsetDateTime::parse(text, &Rfc2822).ok().map(SystemTime::from)
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

    #[test]
    fn a_time_to_wait_is_seconds_or_a_date() {
        let clock = FixedClock;
        let wait = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap(), &clock);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        let dated = |status| {
            let answer = Response::builder().status(status);
            answer.header(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT").body(Body::empty()).unwrap()
        };
        let answer = of_the_service(dated(200), &clock).unwrap();
        assert_eq!(answer.headers()[RETRY_AFTER], "60", "gRPC's answers leave here in seconds");
        let failure = of_the_service(dated(503), &clock).unwrap_err();
        let failure = failure.downcast_ref::<HttpFailure>().unwrap();
        assert_eq!(failure.retry_after, Some(Duration::from_secs(60)));
    }

    /// A minute before the date of RFC 9110's examples.
    #[derive(Debug)]
    struct FixedClock;

    impl Clock for FixedClock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_717)
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) -> vault_crypto_core::Sleep {
            Box::pin(std::future::pending())
        }
    }
}
