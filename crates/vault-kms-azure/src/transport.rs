//! What the SDK sends over: one pool of connections for the vault, one for logins.
//!
//! The vault's speaks to the configured host and port alone, whatever link an answer gives, and tells the login which
//! tokens the vault took. Neither reads more than a megabyte. Left to others: settings (`client`), what an
//! answer of the vault means (`error`).

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Bytes;
use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::headers::{AUTHORIZATION, HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request};
use vault_crypto_core::Clock;

use crate::error::WireFault;
use crate::error::login::{self, Door};
use crate::login::Login;
use crate::names::Vault;

/// Longest answer in bytes. A page of 25 keys has some tens of thousands.
const MAX_ANSWER_LEN: usize = 1 << 20;

/// To the vault. It keeps tokens from whatever host and port a `nextLink` names.
pub(crate) struct VaultTransport {
    wire: Wire,
    vault: Vault,
    login: Login,
}

impl VaultTransport {
    pub(crate) fn new(wire: Wire, vault: Vault, login: Login) -> Self {
        Self { wire, vault, login }
    }
}

#[async_trait]
impl HttpClient for VaultTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        if !self.vault.is_at(request.url()) {
            return Err(failed(WireFault::ForeignHost));
        }
        let answer = self.wire.send(request).await.map_err(failed)?;
        if let Some(shown) = request.headers().get_optional_str(&AUTHORIZATION) {
            self.login.judged(shown, answer.status);
        }
        Ok(answer.into_sdk())
    }
}

/// To whoever gives tokens. An answer that is no success is classified here, where its status is known: the
/// SDK looks for a body of its own liking first.
pub(crate) struct LoginTransport {
    wire: Wire,
    door: Door,
    clock: Arc<dyn Clock>,
}

impl LoginTransport {
    pub(crate) fn new(wire: Wire, door: Door, clock: Arc<dyn Clock>) -> Self {
        Self { wire, door, clock }
    }
}

#[async_trait]
impl HttpClient for LoginTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.wire.send(request).await.map_err(failed)?;
        if !(200..300).contains(&answer.status) {
            let Answer { status, headers, body } = &answer;
            let fault = login::refused(self.door, *status, headers, body, &*self.clock);
            return Err(azure_core::Error::new(SdkErrorKind::Credential, fault));
        }
        Ok(answer.into_sdk())
    }
}

impl fmt::Debug for VaultTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultTransport").field("vault", &self.vault).finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginTransport").field("door", &self.door).finish_non_exhaustive()
    }
}

fn failed(fault: WireFault) -> azure_core::Error {
    let kind = match fault {
        WireFault::Unreachable | WireFault::Untrusted => SdkErrorKind::Connection,
        _ => SdkErrorKind::Io,
    };
    azure_core::Error::new(kind, fault)
}

/// One pool of connections.
pub(crate) struct Wire(reqwest::Client);

/// A whole answer.
struct Answer {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Answer {
    fn into_sdk(self) -> AsyncRawResponse {
        AsyncRawResponse::from_bytes(self.status.into(), self.headers, self.body)
    }
}

impl Wire {
    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self(http)
    }

    async fn send(&self, request: &Request) -> Result<Answer, WireFault> {
        let method = method(request.method()).ok_or(WireFault::NotSent)?;
        let mut sending = self.0.request(method, request.url().clone());
        for (name, value) in request.headers().iter() {
            sending = sending.header(name.as_str(), value.as_str());
        }
        let Body::Bytes(body) = request.body() else { return Err(WireFault::NotSent) };
        let sending = sending.body(body.clone()).build().map_err(|_| WireFault::NotSent)?;
        let mut answer = self.0.execute(sending).await.map_err(|error| fault(&error))?;
        let (status, headers) = (answer.status().as_u16(), headers(answer.headers()));
        // Most answers come in one piece, which is taken as it is.
        let (mut first, mut whole) = (Bytes::new(), Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault(&error))? {
            if first.len() + whole.len() + chunk.len() > MAX_ANSWER_LEN {
                return Err(WireFault::TooLong);
            }
            if first.is_empty() && whole.is_empty() {
                first = chunk;
                continue;
            }
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&chunk);
        }
        let body = if whole.is_empty() { first } else { whole.into() };
        Ok(Answer { status, headers, body })
    }
}

fn method(method: Method) -> Option<reqwest::Method> {
    Some(match method {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Patch => reqwest::Method::PATCH,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        _ => return None,
    })
}

/// The headers that somebody reads, the SDK or we; one that is no text is left out.
fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    use reqwest::header::{DATE, RETRY_AFTER, WWW_AUTHENTICATE};
    let mut headers = Headers::new();
    for name in [DATE, RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = map.get(&name).and_then(|value| value.to_str().ok()) {
            let name = HeaderName::from(name.as_str().to_owned());
            headers.insert(name, HeaderValue::from(value.to_owned()));
        }
    }
    headers
}

/// Reads what went wrong out of the chain of causes and leaves its texts behind.
fn fault(error: &reqwest::Error) -> WireFault {
    match () {
        () if is_of_tls(error) => WireFault::Untrusted,
        () if error.is_timeout() => WireFault::TimedOut,
        () if error.is_connect() => WireFault::Unreachable,
        () => WireFault::Broken,
    }
}

/// Whether TLS ended it. An `io::Error` hides the error that it carries from `source`.
fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || inside.is_some_and(|inside| is_of_tls(inside))
        || error.source().is_some_and(is_of_tls)
}
