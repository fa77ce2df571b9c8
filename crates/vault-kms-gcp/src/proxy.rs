//! Connections through an HTTP proxy, by `CONNECT` (RFC 9110, section 9.3.6).
//!
//! Left to others: TLS, which runs from here to the service, inside; and proxies that want a login.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::Service;
use tower::util::service_fn;
use vault_crypto_core::Result;

use crate::error::invalid;

/// Longest answer of a proxy that is read before it is given up.
const MAX_ANSWER_LEN: usize = 8_192;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

/// Connects to `target`'s host through the proxy at `http://host:port`.
pub(crate) fn connector(
    proxy: &str,
    target: &Uri,
) -> Result<
    impl Service<Uri, Response = TokioIo<TcpStream>, Error = io::Error, Future = Connecting>
    + Send
    + use<>,
> {
    let wanted = "the proxy is http://host:port";
    let proxy: Uri = proxy.parse().map_err(|_| invalid(wanted))?;
    let plain =
        proxy.scheme_str() == Some("http") && proxy.path() == "/" && proxy.query().is_none();
    let authority = proxy.authority().filter(|a| plain && !a.as_str().contains('@'));
    let authority = authority.ok_or_else(|| invalid(wanted))?;
    let at = Arc::new((bare(authority.host()).to_owned(), authority.port_u16().unwrap_or(80)));
    let port =
        target.port_u16().unwrap_or(if target.scheme_str() == Some("http") { 80 } else { 443 });
    let to = Arc::new(format!("{}:{port}", target.host().unwrap_or_default()));
    Ok(service_fn(move |_: Uri| -> Connecting {
        let (at, to) = (Arc::clone(&at), Arc::clone(&to));
        Box::pin(async move {
            let stream = TcpStream::connect((at.0.as_str(), at.1)).await?;
            stream.set_nodelay(true)?;
            tunnel(stream, &to).await.map(TokioIo::new)
        })
    }))
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn tunnel(mut stream: TcpStream, to: &str) -> io::Result<TcpStream> {
    let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the answer is the service's already.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAX_ANSWER_LEN {
            return Err(io::Error::other("the proxy answers no HTTP"));
        }
        answer.push(stream.read_u8().await?);
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let accepted = line.starts_with(b"HTTP/1.") && line.get(8..11) == Some(b" 20".as_slice());
    if accepted { Ok(stream) } else { Err(io::Error::other("the proxy refuses the connection")) }
}
