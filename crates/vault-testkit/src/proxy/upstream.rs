//! The server behind the proxy: where it is, what it speaks, and the connections to it.
//!
//! Connections are kept and used again, whatever happens on the client's side.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderName, Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::answer::Answer;
use super::body::{BodyError, boxed};

type Request1 = http1::SendRequest<Full<Bytes>>;
type Request2 = http2::SendRequest<Full<Bytes>>;

/// A server. `"http://127.0.0.1:8200"` and a socket address become one that speaks plain HTTP:
/// HTTP/2 for gRPC, HTTP/1.1 for all else.
pub struct Upstream {
    addr: String,
    kind: Kind,
    idle: Mutex<Vec<Request1>>,
    shared: Mutex<Option<Request2>>,
}

enum Kind {
    Plain,
    Raw,
    Tls { name: ServerName<'static>, roots: Arc<RootCertStore> },
}

impl Upstream {
    fn new(addr: String, kind: Kind) -> Self {
        Self { addr, kind, idle: Mutex::default(), shared: Mutex::default() }
    }

    /// A server that speaks HTTP over TLS, is called `name` and is trusted by `ca_pem` alone.
    ///
    /// # Errors
    /// For a name or a root that is none.
    pub fn https(addr: SocketAddr, name: &str, ca_pem: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        Ok(Self::new(addr.to_string(), Kind::Tls { name, roots: Arc::new(roots) }))
    }

    /// A server that speaks anything: the proxy passes bytes, and a rule is about a connection.
    #[must_use]
    pub fn raw(addr: SocketAddr) -> Self {
        Self::new(addr.to_string(), Kind::Raw)
    }

    pub(super) fn is_raw(&self) -> bool {
        matches!(self.kind, Kind::Raw)
    }

    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect(&self.addr).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    /// Calls the server. A kept connection that turns out to be closed is no failure.
    pub(super) async fn send(&self, parts: &Parts, body: &Bytes) -> Result<Answer, BodyError> {
        let kind = parts.headers.get(header::CONTENT_TYPE);
        let grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if grpc { self.send_http2(parts, body).await } else { self.send_http1(parts, body).await }
    }

    async fn send_http1(&self, parts: &Parts, body: &Bytes) -> Result<Answer, BodyError> {
        loop {
            let kept = lock(&self.idle).pop();
            let (mut sender, fresh) = match kept {
                Some(kept) => (kept, false),
                None => (self.open_http1().await?, true),
            };
            if sender.ready().await.is_err() && !fresh {
                continue;
            }
            match sender.try_send_request(origin_form(parts, body)?).await {
                Ok(answer) => {
                    let answer = Answer::collect(answer.map(boxed)).await?;
                    lock(&self.idle).push(sender);
                    return Ok(answer);
                }
                Err(failed) if !fresh && failed.message().is_some() => {}
                Err(failed) => return Err(failed.into_error().into()),
            }
        }
    }

    async fn send_http2(&self, parts: &Parts, body: &Bytes) -> Result<Answer, BodyError> {
        loop {
            let kept = lock(&self.shared).clone().filter(|kept| !kept.is_closed());
            let (mut sender, fresh) = match kept {
                Some(kept) => (kept, false),
                None => (self.open_http2().await?, true),
            };
            match sender.try_send_request(absolute_form(parts, body)?).await {
                Ok(answer) => return Answer::collect(answer.map(boxed)).await,
                Err(failed) if !fresh && failed.message().is_some() => {
                    *lock(&self.shared) = None;
                }
                Err(failed) => return Err(failed.into_error().into()),
            }
        }
    }

    async fn open_http1(&self) -> Result<Request1, BodyError> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(self.open(b"http/1.1").await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn open_http2(&self) -> Result<Request2, BodyError> {
        let io = TokioIo::new(self.open(b"h2").await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        *lock(&self.shared) = Some(sender.clone());
        Ok(sender)
    }

    async fn open(&self, protocol: &[u8]) -> Result<Box<dyn Stream>, BodyError> {
        let tcp = self.connect().await?;
        let Kind::Tls { name, roots } = &self.kind else { return Ok(Box::new(tcp)) };
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(Arc::clone(roots))
                .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Box::new(connector.connect(name.clone(), tcp).await?))
    }
}

impl From<&str> for Upstream {
    /// # Panics
    /// For `https://`: a server behind TLS needs its root, [`Upstream::https`].
    fn from(url: &str) -> Self {
        assert!(!url.starts_with("https://"), "a server behind TLS needs `Upstream::https`");
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let authority = rest.split('/').next().unwrap_or_default();
        Self::new(authority.to_owned(), Kind::Plain)
    }
}

impl From<String> for Upstream {
    fn from(url: String) -> Self {
        Self::from(url.as_str())
    }
}

impl From<SocketAddr> for Upstream {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.to_string(), Kind::Plain)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("addr", &self.addr).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Headers of one connection, not of the message (RFC 9110 section 7.6.1).
pub(super) const OF_ONE_CONNECTION: [HeaderName; 4] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The call as HTTP/1.1 has it: the host in a header.
fn origin_form(parts: &Parts, body: &Bytes) -> Result<Request<Full<Bytes>>, BodyError> {
    let mut request = plain(parts, body);
    *request.uri_mut() = path(parts).into();
    if let (false, Some(host)) = (parts.headers.contains_key(header::HOST), parts.uri.authority()) {
        request.headers_mut().insert(header::HOST, host.as_str().parse()?);
    }
    Ok(request)
}

/// The call as HTTP/2 has it: the host in the URI.
fn absolute_form(parts: &Parts, body: &Bytes) -> Result<Request<Full<Bytes>>, BodyError> {
    let mut request = plain(parts, body);
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = match (parts.uri.authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, host) => host.unwrap_or("localhost").parse::<Authority>()?,
    };
    let scheme = parts.uri.scheme_str().unwrap_or("http");
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path(parts));
    *request.uri_mut() = uri.build()?;
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
    Ok(request)
}

fn plain(parts: &Parts, body: &Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.clone()));
    *request.method_mut() = parts.method.clone();
    *request.headers_mut() = parts.headers.clone();
    for name in OF_ONE_CONNECTION {
        request.headers_mut().remove(name);
    }
    request
}

fn path(parts: &Parts) -> PathAndQuery {
    parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
