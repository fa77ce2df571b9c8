//! The sockets: HTTP/1.1 and HTTP/2 over TLS for the vault and the login server, plain HTTP for the metadata
//! service, on a thread with a runtime of its own that ends with the fake.
//!
//! Left to the handlers: what is answered.
#![expect(clippy::expect_used, reason = "a test cannot go on without its server")]

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;

/// More than any request of the protocol needs.
const MAX_BODY: usize = 1 << 20;

/// A request, read to its end.
pub(super) struct Heard {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    headers: http::HeaderMap,
    body: Bytes,
}

/// What answers requests.
pub(super) type Handler = Arc<dyn Fn(&Heard) -> Answer + Send + Sync>;

impl Heard {
    /// The path without its empty segments: a client that names no version leaves one
    /// (`/keys/NAME//wrapkey`), and the service takes both.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A server that runs until this is dropped.
pub(super) struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Binds a port of loopback: `port`, or a free one for 0.
pub(super) fn bind(port: u16) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port of loopback");
    let addr = listener.local_addr().expect("a bound socket has an address");
    (listener, addr)
}

/// Answers what comes to `secure` (with `tls`) and to `plain` until it is dropped.
pub(super) fn serve(
    secure: (TcpListener, Arc<ServerConfig>, Handler),
    plain: (TcpListener, Handler),
) -> Running {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads for the fake");
        runtime.block_on(async {
            let (listener, tls, handler) = secure;
            tokio::spawn(accept(listener, Some(TlsAcceptor::from(tls)), handler));
            tokio::spawn(accept(plain.0, None, plain.1));
            // Ends with an error if the sender is gone, which is an end too.
            let _ = stopped.await;
        });
        // Cuts off what is under way, as a server does that is killed.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    });
    Running { stop: Some(stop), thread: Some(thread) }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler) {
    listener.set_nonblocking(true).expect("a socket that was just bound");
    let listener = tokio::net::TcpListener::from_std(listener).expect("the same");
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let (tls, handler) = (tls.clone(), handler.clone());
        tokio::spawn(async move {
            match tls {
                None => talk(TokioIo::new(stream), false, handler).await,
                Some(tls) => {
                    // A client that does not trust the certificate goes away here.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    talk(TokioIo::new(stream), http2, handler).await;
                }
            }
        });
    }
}

async fn talk(io: impl Read + Write + Unpin + Send + 'static, http2: bool, handler: Handler) {
    let service = service_fn(move |request| respond(request, handler.clone()));
    // However the client ends the connection, it is over.
    if http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(io, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
    }
}

async fn respond(
    request: Request<Incoming>,
    handler: Handler,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(response(super::answer::bad_parameter("The request is too large.")));
    };
    let heard = Heard {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    // Making a key takes up to seconds: not on a thread that others wait for.
    let answer = tokio::task::spawn_blocking(move || handler(&heard)).await;
    Ok(response(answer.unwrap_or_else(|_| Answer::json(500, String::new()))))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = Full::new(Bytes::from(answer.body));
    response.body(body).expect("headers of the fake's own making")
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
