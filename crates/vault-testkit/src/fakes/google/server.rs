//! A listening socket on loopback, a thread with its own runtime behind it, and their end.
//!
//! Left to others: what the requests say.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// What answers on a server's connections.
pub(super) trait Serve: Send + Sync + 'static {
    /// Serves a connection until either side ends it.
    fn connection<S>(self: Arc<Self>, stream: S) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static;
}

/// A server that runs until it is dropped.
pub(super) struct Server {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    pub(super) port: u16,
}

/// Keeps a port for a server that is to come back: nobody else gets it, and connections are refused.
pub(super) struct Reserved {
    socket: TcpSocket,
}

impl Reserved {
    pub(super) fn new(port: u16) -> io::Result<Self> {
        bound(port).map(|socket| Self { socket })
    }
}

fn bound(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

impl Server {
    /// Listens when it returns. `port` is one kept for it, or any.
    pub(super) fn start(
        service: Arc<impl Serve>,
        tls: Option<Arc<ServerConfig>>,
        port: Option<Reserved>,
    ) -> io::Result<Self> {
        let socket = port.map_or_else(|| bound(0), |reserved| Ok(reserved.socket))?;
        let port = socket.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let (tell, listens) = mpsc::channel();
        let thread = thread::Builder::new().name("fake-cloud-kms".into()).spawn(move || {
            runtime.block_on(async {
                match socket.listen(1024) {
                    Ok(listener) => {
                        let _ = tell.send(Ok(()));
                        tokio::select! {
                            () = accept(listener, service, tls) => {}
                            _ = ended => {}
                        }
                    }
                    Err(error) => drop(tell.send(Err(error))),
                }
            });
            // Dropping the runtime drops every connection where it stands.
        })?;
        listens.recv().map_err(io::Error::other)??;
        Ok(Self { end: Some(end), thread: Some(thread), port })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, service: Arc<impl Serve>, tls: Option<Arc<ServerConfig>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let service = Arc::clone(&service);
        match tls.clone().map(TlsAcceptor::from) {
            None => drop(tokio::spawn(service.connection(stream))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    service.connection(stream).await;
                }
            })),
        }
    }
}
