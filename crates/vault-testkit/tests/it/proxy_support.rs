//! A server that echoes and a client that keeps its connection, to have a proxy between.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use vault_testkit::tls::TestCa;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Answers `echo METHOD PATH BODY`; a gRPC call gets its own message and `grpc-status` 0 after it.
pub(super) struct Echo {
    pub(super) addr: SocketAddr,
    pub(super) seen: Arc<AtomicU64>,
}

impl Echo {
    pub(super) async fn start(tls: Option<&TestCa>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(AtomicU64::new(0));
        let config = tls.map(|ca| ca.issue(&["echo.test"]).server_config(&[b"h2", b"http/1.1"]));
        let counted = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (config, seen) = (config.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    match config {
                        Some(config) => {
                            serve(TlsAcceptor::from(config).accept(tcp).await.unwrap(), seen).await;
                        }
                        None => serve(tcp, seen).await,
                    }
                });
            }
        });
        Self { addr, seen }
    }

    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

async fn serve<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(io: T, seen: Arc<AtomicU64>) {
    let service = service_fn(move |request: Request<Incoming>| {
        seen.fetch_add(1, Ordering::SeqCst);
        echo(request)
    });
    drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await);
}

async fn echo(
    request: Request<Incoming>,
) -> Result<Response<http_body_util::combinators::BoxBody<Bytes, Failure>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let grpc = parts.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    let answer = if grpc {
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
        body.map_err(|never| match never {}).boxed()
    } else {
        let path = parts.uri.path_and_query().unwrap();
        let text = format!("echo {} {path} {}", parts.method, String::from_utf8_lossy(&body));
        Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
    };
    let mut response = Response::new(answer);
    if let Some(kind) = parts.headers.get("content-type") {
        response.headers_mut().insert("content-type", kind.clone());
    }
    Ok(response)
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A client on one connection.
pub(super) enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(super) async fn http1(addr: SocketAddr) -> Result<Self, Failure> {
        Self::http1_on(TcpStream::connect(addr).await?).await
    }

    async fn http1_on<T>(io: T) -> Result<Self, Failure>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        tokio::spawn(connection);
        Ok(Self::One(sender))
    }

    pub(super) async fn http2(addr: SocketAddr) -> Result<Self, Failure> {
        let io = TokioIo::new(TcpStream::connect(addr).await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Ok(Self::Two(sender))
    }

    pub(super) async fn https(addr: SocketAddr, name: &str, ca: &TestCa) -> Result<Self, Failure> {
        let connector = TlsConnector::from(ca.client_config(&[b"http/1.1"]));
        let tcp = TcpStream::connect(addr).await?;
        Self::http1_on(connector.connect(name.to_owned().try_into()?, tcp).await?).await
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> Result<Reply, Failure> {
        self.call(path, "text/plain", body.as_bytes().to_vec()).await
    }

    /// The message in a frame, as gRPC has it.
    pub(super) async fn grpc(&mut self, path: &str, message: &[u8]) -> Result<Reply, Failure> {
        let len = u32::try_from(message.len())?.to_be_bytes();
        self.call(path, "application/grpc", [&[0], &len[..], message].concat()).await
    }

    async fn call(&mut self, path: &str, kind: &str, body: Vec<u8>) -> Result<Reply, Failure> {
        let uri = match self {
            Self::One(_) => path.to_owned(),
            Self::Two(_) => format!("http://echo.test{path}"),
        };
        let request = Request::post(uri).header("content-type", kind);
        let answer = match self {
            Self::One(sender) => {
                let request = request.header("host", "echo.test").body(Full::new(body.into()))?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => sender.send_request(request.body(Full::new(body.into()))?).await?,
        };
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned();
        let (status, headers) = (parts.status.as_u16(), parts.headers);
        Ok(Reply { status, headers, trailers, body: body.to_bytes().to_vec() })
    }
}
