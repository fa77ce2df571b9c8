//! One request and its answer over HTTP. No retries; redirects within the cluster only; nothing of an
//! answer's body in any error.
//!
//! Left to others: tokens and when to log in (`session`), what the answers mean.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy, Response};
use url::Url;
use vault_crypto_core::{Clock, Result, SecureBytes};

use crate::address::{Address, invalid};
use crate::buffer::{WipedBuffer, wipe_piece};
use crate::config::ClientIdentity;
use crate::date::{http_date, retry_after};
use crate::token::Token;
use crate::{VaultConnectionConfig, VaultFailure, VaultFailureKind};

/// Longest answer in bytes that is read.
const MAX_ANSWER_LEN: usize = 8 * 1_024 * 1_024;
const USUAL_ANSWER_LEN: usize = 2_048;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Agents and proxies can be told to want it, against requests that a web page made.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// Has a standby send on what it would pass on.
const NOT_PASSED_ON: HeaderName = HeaderName::from_static("x-vault-no-request-forwarding");

/// What is asked; cheap to send a second time.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<&'static str>,
    pub(crate) body: Option<Bytes>,
    /// Whether it is meant for the namespace; some of the system's paths exist outside only.
    pub(crate) namespace: bool,
}

/// What came back, whatever its status.
pub(crate) struct Raw {
    pub(crate) status: u16,
    pub(crate) date: Option<SystemTime>,
    pub(crate) body: SecureBytes,
    retry_after: Option<Duration>,
}

impl Raw {
    /// The body of a success.
    pub(crate) fn success(self) -> Result<SecureBytes, VaultFailure> {
        match self.status {
            200..=299 => Ok(self.body),
            status => Err(VaultFailure::of_status(status, self.retry_after, self.body)),
        }
    }
}

/// The client and the addresses it may talk to.
pub(crate) struct Transport {
    client: Client,
    address: Address,
    others: Vec<Address>,
    namespace: Option<HeaderValue>,
    /// There is none, or the server has namespaces.
    pub(crate) namespace_proved: AtomicBool,
    /// For logins whose answer must not be given up for being late.
    patient: Option<Client>,
    clock: Arc<dyn Clock>,
}

impl Transport {
    pub(crate) fn new(config: &VaultConnectionConfig) -> Result<Self> {
        let address = Address::parse(&config.address, config.plain_http)?;
        let others = config.other_addresses.iter();
        let others =
            others.map(|other| Address::parse(other, config.plain_http)).collect::<Result<_>>()?;
        let namespace =
            config.namespace.as_ref().map(|namespace| HeaderValue::from_str(namespace.as_str()));
        let namespace =
            namespace.transpose().map_err(|_| invalid("the namespace fits into no header"))?;
        if config.plain_http && address.is_plain() && !address.is_loopback() {
            tracing::warn!(
                "the token and every key cross the network readable: plain http is allowed"
            );
        }
        let spent_at_once = config.credentials.is_spent_at_once();
        let (client, patient) = match &config.http_client {
            Some(client) => (client.clone(), None),
            None => {
                let patient = spent_at_once.then(|| builder(config)).transpose()?;
                (impatient(builder(config)?, config)?, patient.map(built).transpose()?)
            }
        };
        let namespace_proved = AtomicBool::new(namespace.is_none());
        let clock = Arc::clone(&config.clock);
        Ok(Self { client, address, others, namespace, namespace_proved, patient, clock })
    }

    /// The client itself, with its pool.
    #[cfg(feature = "vaultrs")]
    pub(crate) fn http(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_ref()?.to_str().ok()
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends it once; a second time only where a node of the cluster sends on to another one and nothing was done.
    ///
    /// Vault's standby sends on what it failed to pass on too, although the active node may have done it before
    /// the way there broke (`forwardRequest` in its `http/handler.go`). So what changes something is sent on only
    /// from a node that was told not to pass it on.
    pub(crate) async fn send(
        &self,
        request: &Request,
        token: Option<&Token>,
    ) -> Result<Raw, VaultFailure> {
        self.send_by(&self.client, request, token).await
    }

    /// The same, for as long as somebody waits, where what is shown is spent with the request.
    pub(crate) async fn send_patiently(
        &self,
        request: &Request,
        token: Option<&Token>,
    ) -> Result<Raw, VaultFailure> {
        self.send_by(self.patient.as_ref().unwrap_or(&self.client), request, token).await
    }

    async fn send_by(
        &self,
        client: &Client,
        request: &Request,
        token: Option<&Token>,
    ) -> Result<Raw, VaultFailure> {
        let url = self.address.url(&request.path, request.query);
        let url = url.ok_or_else(|| {
            VaultFailure::new(VaultFailureKind::InvalidInput, "the path makes no URL")
        })?;
        let first = self.execute(client, request, url.clone(), token).await?;
        if !matches!(
            first.status(),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        ) {
            return self.read(first).await;
        }
        if !self.may_be_sent_on(request) {
            return Err(VaultFailure::new(
                VaultFailureKind::Redirected,
                "the server did not pass the request on to the active node, and it may have been done; name all nodes \
                 with `with_cluster_address`, or give the address of the active one",
            ));
        }
        let onward = self.onward(&url, first.headers())?;
        let second = self.execute(client, request, onward, token).await?;
        self.read(second).await
    }

    async fn execute(
        &self,
        client: &Client,
        request: &Request,
        url: Url,
        token: Option<&Token>,
    ) -> Result<Response, VaultFailure> {
        let mut ready = reqwest::Request::new(request.method.clone(), url);
        let headers = ready.headers_mut();
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(token) = token {
            headers.insert(TOKEN, token.header());
        }
        if let Some(namespace) = self.namespace.as_ref().filter(|_| request.namespace) {
            headers.insert(NAMESPACE, namespace.clone());
        }
        if request.method != Method::GET && self.may_be_sent_on(request) {
            headers.insert(NOT_PASSED_ON, HeaderValue::from_static("true"));
        }
        *ready.body_mut() = request.body.clone().map(Into::into);
        client.execute(ready).await.map_err(failed)
    }

    async fn read(&self, mut response: Response) -> Result<Raw, VaultFailure> {
        let headers = response.headers();
        let text = |name| headers.get(name)?.to_str().ok();
        let date = text(DATE).and_then(http_date);
        let retry_after = text(RETRY_AFTER).and_then(|text| retry_after(text, self.clock.now()));
        let announced = text(CONTENT_LENGTH).and_then(|len| len.parse::<usize>().ok());
        let status = response.status().as_u16();
        let room = announced.unwrap_or(USUAL_ANSWER_LEN).min(MAX_ANSWER_LEN);
        let mut body = WipedBuffer::with_capacity(room);
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(piece.len()) > MAX_ANSWER_LEN {
                return Err(VaultFailure::new(
                    VaultFailureKind::Unreadable,
                    "the answer has more than 8 MiB",
                ));
            }
            body.extend(&piece);
            wipe_piece(piece);
        }
        Ok(Raw { status, date, body: body.into_secure(), retry_after })
    }

    /// Where no other node is named, a standby has to pass on what changes something.
    fn may_be_sent_on(&self, request: &Request) -> bool {
        request.method == Method::GET || !self.others.is_empty()
    }

    /// Where a redirect leads, if the token may go there: the same path of an address that was given.
    fn onward(&self, from: &Url, headers: &HeaderMap) -> Result<Url, VaultFailure> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| from.join(location).ok());
        let known = |target: &Url| {
            std::iter::once(&self.address)
                .chain(&self.others)
                .any(|address| address.same_origin(target))
                && target.path() == from.path()
                && target.query() == from.query()
        };
        target.filter(known).ok_or_else(|| {
            VaultFailure::new(
                VaultFailureKind::Redirected,
                "the server redirects to an address that is not allowed; name it with `with_cluster_address`, \
                 or give the address of the active node",
            )
        })
    }
}

fn builder(config: &VaultConnectionConfig) -> Result<ClientBuilder> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(config.connect_timeout)
        .pool_max_idle_per_host(config.idle_connections)
        .pool_idle_timeout(config.idle_timeout)
        .tls_backend_rustls();
    builder = match &config.proxy {
        Some(url) => builder
            .proxy(Proxy::all(url.as_str()).map_err(|_| invalid("the proxy's address is no URL"))?),
        None => builder.no_proxy(),
    };
    if let Some(pem) = &config.roots {
        let roots = Certificate::from_pem_bundle(pem).ok().filter(|roots| !roots.is_empty());
        builder = builder.tls_certs_only(
            roots.ok_or_else(|| invalid("the TLS roots are no certificates in PEM"))?,
        );
    }
    if let Some(identity) = &config.identity {
        builder = builder.identity(made(identity)?);
    }
    if config.any_certificate {
        tracing::warn!(
            "the server's certificate is not verified: whoever sits between reads every key"
        );
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    Ok(builder)
}

fn impatient(builder: ClientBuilder, config: &VaultConnectionConfig) -> Result<Client> {
    built(builder.read_timeout(config.read_timeout).timeout(config.call_timeout))
}

fn built(builder: ClientBuilder) -> Result<Client> {
    builder
        .build()
        .map_err(|_| invalid("the TLS settings make no client; do roots, certificate and key fit?"))
}

fn made(identity: &ClientIdentity) -> Result<Identity> {
    match identity {
        ClientIdentity::Pem(pem) => Identity::from_pem(pem.as_slice()).map_err(|_| {
            invalid("the client's identity is no certificate chain and private key in PEM")
        }),
        #[cfg(feature = "vaultrs")]
        ClientIdentity::Made(identity) => Ok(identity.clone()),
    }
}

/// Why there is no answer. The library's error names the URL, and is kept without it.
pub(crate) fn failed(error: reqwest::Error) -> VaultFailure {
    use VaultFailureKind as Kind;
    if let Some(reason) = untrusted(&error) {
        return VaultFailure::new(Kind::Untrusted, reason);
    }
    if error.is_timeout() {
        return VaultFailure::new(Kind::TimedOut, "no answer in time");
    }
    if error.is_connect() {
        return VaultFailure::new(Kind::Unreachable, "no connection to the server")
            .with_source(cause(&error));
    }
    VaultFailure::new(Kind::Unreachable, "the connection broke").with_source(cause(&error))
}

/// The system's reason, of which the kind is enough: texts further down may hold what was sent.
fn cause(error: &reqwest::Error) -> io::Error {
    let io = chain(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    io.map_or(io::ErrorKind::Other, io::Error::kind).into()
}

/// What the certificate lacks, if that is why.
fn untrusted(error: &reqwest::Error) -> Option<&'static str> {
    use rustls::CertificateError as Lack;
    let tls = chain(error).find_map(innermost)?;
    Some(match tls {
        rustls::Error::InvalidCertificate(Lack::Expired | Lack::ExpiredContext { .. }) => {
            "the server's TLS certificate has expired, or this machine's clock is wrong"
        }
        rustls::Error::InvalidCertificate(Lack::NotValidYet | Lack::NotValidYetContext { .. }) => {
            "the server's TLS certificate is not valid yet, or this machine's clock is wrong"
        }
        rustls::Error::InvalidCertificate(
            Lack::NotValidForName | Lack::NotValidForNameContext { .. },
        ) => "the server's TLS certificate is for another name than the address's",
        rustls::Error::InvalidCertificate(Lack::UnknownIssuer) => {
            "the server's TLS certificate is from an unknown authority; give its roots (`with_tls_roots`)"
        }
        rustls::Error::InvalidCertificate(Lack::Revoked) => {
            "the server's TLS certificate is revoked"
        }
        rustls::Error::InvalidCertificate(_) => "the server's TLS certificate is not valid",
        rustls::Error::PeerIncompatible(_) => {
            "the server and this machine have no TLS version and cipher in common"
        }
        rustls::Error::InvalidMessage(_) => {
            "what answers at this address and port does not speak TLS"
        }
        rustls::Error::AlertReceived(_) => {
            "the server refuses the TLS connection; does it want a client certificate?"
        }
        _ => return None,
    })
}

/// An I/O error hides what it is made of from `source`, and may be made of another one.
fn innermost<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = cause.downcast_ref() {
        return Some(tls);
    }
    innermost(cause.downcast_ref::<io::Error>()?.get_ref()?)
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    fn source<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        (*error).source()
    }
    std::iter::successors(Some(error), source)
}
