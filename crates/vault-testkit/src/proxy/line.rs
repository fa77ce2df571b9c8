//! One connection of a client: TLS if there is any, HTTP of either version, and its end, which may be
//! sudden.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::forward;
use super::raw;
use super::shared::Shared;

/// A connection, as those see it who serve its calls.
pub(super) struct Line {
    pub(super) shared: Arc<Shared>,
    pub(super) number: u64,
    abrupt: AtomicBool,
    ended: Notify,
}

impl Line {
    /// Counts as open until it is dropped.
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        shared.open.fetch_add(1, Ordering::SeqCst);
        let (abrupt, ended) = (AtomicBool::new(false), Notify::new());
        Arc::new(Self { shared: Arc::clone(shared), number, abrupt, ended })
    }

    /// Resets the connection (RST, not FIN). Never returns: the call ends with its connection.
    pub(super) async fn reset(&self) -> Infallible {
        self.abrupt.store(true, Ordering::SeqCst);
        self.ended.notify_one();
        std::future::pending().await
    }
}

/// Serves the connection until one side ends it, or [`Shared::hang_up`] does.
pub(super) async fn serve(line: Arc<Line>, tcp: TcpStream, mut generation: watch::Receiver<u64>) {
    // Small answers must not wait for each other; without it they only come later.
    drop(tcp.set_nodelay(true));
    let wire = Wire { tcp, line: Arc::clone(&line) };
    tokio::select! {
        () = speak(Arc::clone(&line), wire) => {}
        () = line.ended.notified() => {}
        () = async {
            drop(generation.changed().await);
            line.abrupt.store(true, Ordering::SeqCst);
        } => {}
    }
    line.shared.open.fetch_sub(1, Ordering::SeqCst);
}

async fn speak(line: Arc<Line>, wire: Wire) {
    if line.shared.upstream.is_raw() {
        raw::pass(&line, wire).await;
    } else if let Some(config) = line.shared.tls() {
        // A client that refuses the certificate is what some tests are about.
        if let Ok(stream) = TlsAcceptor::from(config).accept(wire).await {
            speak_http(line, stream).await;
        }
    } else {
        speak_http(line, wire).await;
    }
}

async fn speak_http<T>(line: Arc<Line>, stream: T)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| forward::handle(Arc::clone(&line), request));
    let builder = Builder::new(TokioExecutor::new());
    // Its error is what a client or a fault did to the connection.
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

/// The socket, which is reset when it is dropped after [`Line::reset`].
pub(super) struct Wire {
    tcp: TcpStream,
    line: Arc<Line>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.line.abrupt.load(Ordering::SeqCst) {
            // Where the socket is closed already there is nothing to reset.
            drop(self.tcp.set_zero_linger());
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
