//! A client for these tests: one request a connection, no SDK.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use vault_testkit::fakes::azure::FakeKeyVault;

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) headers: http::HeaderMap,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The inner code of an error, or its code.
    pub(super) fn code(&self) -> String {
        let error = &self.json()["error"];
        let code = error["innererror"]["code"].as_str().or(error["code"].as_str());
        code.unwrap_or_default().to_owned()
    }
}

/// One request in TLS to a server named `host` at `addr`.
pub(super) fn ask(
    addr: std::net::SocketAddr,
    (host, ca_pem): (&str, &str),
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut request = http::Request::builder().method(method).uri(target).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    run(async move {
        let stream = TcpStream::connect(addr).await?;
        let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        exchange(stream, request).await.map_err(std::io::Error::other)
    })
}

/// One request without TLS.
pub(super) fn ask_plain(
    addr: std::net::SocketAddr,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = http::Request::builder().uri(target).header("host", "169.254.169.254");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).unwrap();
    run(async move {
        let stream = TcpStream::connect(addr).await.unwrap();
        exchange(stream, request).await.unwrap()
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn exchange(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Full<Bytes>>,
) -> hyper::Result<Answer> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        body: String::from_utf8(body.to_vec()).unwrap(),
        headers: head.headers,
    })
}

/// What these tests do with a vault, with a good token.
pub(super) trait Asks {
    fn try_call(&self, method: &str, path: &str, body: &str) -> std::io::Result<Answer>;

    fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.try_call(method, path, body).unwrap()
    }

    /// Creates an RSA key and gives the path of its first version.
    fn create(&self, name: &str) -> String {
        let answer = self.call("POST", &format!("/keys/{name}/create"), r#"{"kty":"RSA"}"#);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let id = answer.json()["key"]["kid"].as_str().unwrap().to_owned();
        format!("/{}", id.splitn(4, '/').last().unwrap())
    }

    /// Uses the key at `path` and gives the value of the answer.
    fn used(&self, path: &str, operation: &str, value: &str) -> Result<String, String> {
        let body = format!(r#"{{"alg":"RSA-OAEP-256","value":"{value}"}}"#);
        let answer = self.call("POST", &format!("{path}/{operation}"), &body);
        if answer.status == 200 {
            return Ok(answer.json()["value"].as_str().unwrap().to_owned());
        }
        Err(answer.code())
    }
}

impl Asks for FakeKeyVault {
    fn try_call(&self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let bearer = format!("Bearer {}", self.token(std::time::Duration::from_secs(60)));
        let query = if path.contains('?') { "" } else { "?api-version=2025-07-01" };
        let target = format!("{path}{query}");
        let (host, ca) = (self.host(), self.ca_pem());
        let headers = [("authorization", bearer.as_str())];
        ask(self.addr(), (&host, &ca), method, &target, &headers, body)
    }
}
