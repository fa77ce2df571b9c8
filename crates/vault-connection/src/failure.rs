//! What can go wrong between us and the server, classified once. What the server said is kept to be
//! recognised, and never shown: it may repeat what it was sent.
//!
//! Left to others: what a status means for one engine; they ask [`VaultFailure::says`].

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, SecureBytes};
use zeroize::Zeroizing;

use crate::VaultAnswer;

/// The kinds of failure that the server or the way to it can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VaultFailureKind {
    /// 400, and any 4xx without a kind of its own, in Vault's own form: the request can never work.
    Rejected,
    /// 401 or 403: the token may not do this, or is no longer valid.
    PermissionDenied,
    /// 404 in Vault's own form: no such thing, or no such mount.
    NotFound,
    /// 405 in Vault's own form, 501: this server does not have that.
    NotSupported,
    /// 412: the node that answered has not caught up with an earlier write.
    NotCaughtUp,
    /// 413: the request is too large.
    TooLarge,
    /// 429: a quota of the server.
    Throttled,
    /// 503 of a server that is sealed.
    Sealed,
    /// 5xx, 472, 473: the server cannot answer now.
    Unavailable,
    /// No answer within the time-outs; 408 and 504.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// The server's TLS certificate is not one that we trust for this name.
    Untrusted,
    /// The answer is not what such a request is answered with: of another form, a 4xx of something between, or longer
    /// than 8 MiB.
    Unreadable,
    /// A redirect that is not followed.
    Redirected,
    /// Refused here, before any request.
    InvalidInput,
}

/// A request that failed. Clones share one failure.
#[derive(Clone)]
pub struct VaultFailure(Arc<Inner>);

struct Inner {
    kind: VaultFailureKind,
    status: Option<u16>,
    detail: Option<Cow<'static, str>>,
    said: Zeroizing<String>,
    retry_after: Option<Duration>,
    answer: Option<VaultAnswer>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    login: bool,
}

impl VaultFailure {
    pub(crate) fn new(kind: VaultFailureKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            status: None,
            detail: Some(detail.into()),
            said: Zeroizing::default(),
            retry_after: None,
            answer: None,
            source: None,
            login: false,
        }))
    }

    /// What a status other than success means.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>, body: SecureBytes) -> Self {
        let said = said(&body);
        let kind = kind_of(status, said.as_ref().map(|said| said.as_str()));
        let said = said.unwrap_or_default();
        // A deleted version of a secret is 404 with its metadata.
        let answer = (status == 404).then(|| VaultAnswer::new(body)).filter(VaultAnswer::has_data);
        let (detail, source, login) = (None, None, false);
        Self(Arc::new(Inner {
            kind,
            status: Some(status),
            detail,
            said,
            retry_after,
            answer,
            source,
            login,
        }))
    }

    pub(crate) fn with_source(self, source: impl Error + Send + Sync + 'static) -> Self {
        self.changed(|inner| inner.source = Some(Arc::new(source)))
    }

    /// The same failure, met while logging in.
    pub(crate) fn while_logging_in(self) -> Self {
        self.changed(|inner| inner.login = true)
    }

    pub(crate) fn explained(self, detail: &'static str) -> Self {
        self.changed(|inner| inner.detail = Some(Cow::Borrowed(detail)))
    }

    /// Whether the server said no, and would say it again.
    pub(crate) fn is_refusal(&self) -> bool {
        use VaultFailureKind as Kind;
        matches!(
            self.0.kind,
            Kind::Rejected
                | Kind::PermissionDenied
                | Kind::NotFound
                | Kind::NotSupported
                | Kind::TooLarge
        )
    }

    fn changed(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut shared = self.0;
        if let Some(inner) = Arc::get_mut(&mut shared) {
            change(inner);
        }
        Self(shared)
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> VaultFailureKind {
        self.0.kind
    }

    /// The status of the server's answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// How long the server asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether one of the server's errors holds `known`, a text that its source code has. There is no way
    /// to see what it says otherwise.
    #[must_use]
    pub fn says(&self, known: &str) -> bool {
        self.0.said.contains(known)
    }

    /// The answer beside the failure, where the server gave one: a deleted version of a secret is "not
    /// found" with its metadata.
    #[must_use]
    pub fn answer(&self) -> Option<&VaultAnswer> {
        self.0.answer.as_ref()
    }

    /// Whether it was the login that failed, not the request.
    #[must_use]
    pub fn was_login(&self) -> bool {
        self.0.login
    }

    /// The same as the error of every vaultkit crate; nothing that the server said is in it.
    #[must_use]
    pub fn to_error(&self, operation: Operation) -> CryptoError {
        self.to_error_of(self.error_kind(), operation)
    }

    /// The same with a kind that the caller knows better.
    #[must_use]
    pub fn to_error_of(&self, kind: ErrorKind, operation: Operation) -> CryptoError {
        let mut error = CryptoError::new(kind, operation).with_detail(self.sentence());
        if let Some(wait) = self.0.retry_after {
            error = error.with_retry_after(wait);
        }
        if let Some(source) = &self.0.source {
            error =
                error.with_source(Box::new(Shared(source.clone())) as Box<dyn Error + Send + Sync>);
        }
        error
    }

    fn error_kind(&self) -> ErrorKind {
        use VaultFailureKind as Kind;
        match self.0.kind {
            // Wrong login data is 400: that is no wrong argument of the caller's.
            Kind::Rejected if self.0.login => ErrorKind::PermissionDenied,
            Kind::Rejected | Kind::InvalidInput => ErrorKind::InvalidInput,
            Kind::PermissionDenied => ErrorKind::PermissionDenied,
            Kind::NotFound if self.0.login => ErrorKind::PermissionDenied,
            Kind::NotFound => ErrorKind::KeyNotFound,
            Kind::NotSupported => ErrorKind::Unsupported,
            Kind::TooLarge => ErrorKind::LimitExceeded,
            Kind::Throttled => ErrorKind::Throttled,
            Kind::TimedOut => ErrorKind::TimedOut,
            // Nothing was sent to a server that has not proved its name, an answer that is none was made by
            // nobody or by something between, and asking again is harmless.
            Kind::NotCaughtUp
            | Kind::Sealed
            | Kind::Unavailable
            | Kind::Unreachable
            | Kind::Untrusted
            | Kind::Unreadable
            | Kind::Redirected => ErrorKind::Unavailable,
        }
    }

    fn sentence(&self) -> String {
        let what: &str = match &self.0.detail {
            Some(detail) => detail,
            None => sentence_of(self.0.kind),
        };
        let doing = if self.0.login { "while logging in: " } else { "" };
        match self.0.status {
            Some(status) => format!("{doing}{what} (status {status})"),
            None => format!("{doing}{what}"),
        }
    }
}

const fn sentence_of(kind: VaultFailureKind) -> &'static str {
    use VaultFailureKind as Kind;
    match kind {
        Kind::Rejected => "the server refuses the request",
        Kind::PermissionDenied => "the token's policies do not allow this",
        Kind::NotFound => "the server has nothing at this path; is the engine mounted there?",
        Kind::NotSupported => "the server does not have this operation",
        Kind::NotCaughtUp => "the node that answered has not caught up with an earlier write",
        Kind::TooLarge => "the request is too large for the server",
        Kind::Throttled => "a quota of the server is used up",
        Kind::Sealed => "the server is sealed; somebody has to unseal it",
        Kind::Unavailable => "the server cannot answer now",
        Kind::TimedOut => "no answer in time",
        Kind::Unreachable => "no connection to the server",
        Kind::Untrusted => "the server's TLS certificate is not trusted",
        Kind::Unreadable => "the answer is not one of Vault's; did something between answer?",
        Kind::Redirected => "the server redirects to an address that is not allowed",
        Kind::InvalidInput => "the request cannot be made",
    }
}

/// `said` is what Vault says of it; `None` where somebody else answered, who does not know what Vault has.
fn kind_of(status: u16, said: Option<&str>) -> VaultFailureKind {
    use VaultFailureKind as Kind;
    let sealed =
        |said: &str| said.contains("Vault is sealed") || said.contains("OpenBao is sealed");
    match status {
        401 | 403 => Kind::PermissionDenied,
        408 | 504 => Kind::TimedOut,
        412 => Kind::NotCaughtUp,
        413 => Kind::TooLarge,
        429 => Kind::Throttled,
        501 => Kind::NotSupported,
        503 if said.is_some_and(sealed) => Kind::Sealed,
        // A standby of a replica, which the load balancer should not have asked.
        472 | 473 | 500.. => Kind::Unavailable,
        400..=499 if said.is_none() => Kind::Unreadable,
        404 => Kind::NotFound,
        405 => Kind::NotSupported,
        400..=499 => Kind::Rejected,
        300..=399 => Kind::Redirected,
        _ => Kind::Unreadable,
    }
}

/// The server's `errors`, one a line; `None` for what is no answer of Vault's. One without `errors` has the number
/// that Vault gives to each request.
fn said(body: &SecureBytes) -> Option<Zeroizing<String>> {
    #[derive(Deserialize)]
    struct Told {
        errors: Option<Vec<Zeroizing<String>>>,
        request_id: Option<IgnoredAny>,
    }
    let told = serde_json::from_slice::<Told>(body.as_slice()).ok()?;
    let errors = match (told.errors, told.request_id) {
        (None, None) => return None,
        (errors, _) => errors.unwrap_or_default(),
    };
    let mut said = Zeroizing::new(String::with_capacity(body.len()));
    for error in errors {
        said.push_str(&error);
        said.push('\n');
    }
    Some(said)
}

impl fmt::Display for VaultFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl fmt::Debug for VaultFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultFailure")
            .field("kind", &self.0.kind)
            .field("status", &self.0.status)
            .field("login", &self.0.login)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl Error for VaultFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A refusal before any request.
impl From<CryptoError> for VaultFailure {
    fn from(error: CryptoError) -> Self {
        let detail = error.detail().unwrap_or("it can never work").to_owned();
        Self::new(VaultFailureKind::InvalidInput, detail)
    }
}

/// One source of several errors.
struct Shared(Arc<dyn Error + Send + Sync>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> ErrorKind {
        let body = SecureBytes::new(body.as_bytes().to_vec());
        VaultFailure::of_status(status, None, body).to_error(Operation::Decrypt).kind()
    }

    #[test]
    fn what_something_between_answers_says_nothing_of_the_key() {
        for body in
            ["", "<html>not found</html>", "{}", r#"{"error":"x"}"#, "[]", "404 page not found"]
        {
            for status in [400, 404, 405, 409, 418, 422, 500, 502, 503] {
                assert_eq!(kind(status, body), ErrorKind::Unavailable, "{status} {body}");
            }
            assert_eq!(kind(403, body), ErrorKind::PermissionDenied);
        }
        for body in [r#"{"errors":[]}"#, r#"{"errors":["x"]}"#, r#"{"request_id":"x","data":null}"#]
        {
            assert_eq!(kind(400, body), ErrorKind::InvalidInput, "{body}");
            assert_eq!(kind(404, body), ErrorKind::KeyNotFound, "{body}");
            assert_eq!(kind(405, body), ErrorKind::Unsupported, "{body}");
        }
    }

    #[test]
    fn what_means_the_same_of_everybody_has_one_kind() {
        for body in ["<html></html>", r#"{"errors":["x"]}"#] {
            for status in [408, 504] {
                assert_eq!(kind(status, body), ErrorKind::TimedOut);
            }
            assert_eq!(kind(413, body), ErrorKind::LimitExceeded);
            assert_eq!(kind(429, body), ErrorKind::Throttled);
        }
    }
}
