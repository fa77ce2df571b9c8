//! The one table from Key Vault's answers to `ErrorKind`, and how a failure of the SDK is read.
//!
//! Nothing that a server wrote comes out of here: of an answer, the status stays, and the code if this
//! table knows it. The README shows the table.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::RETRY_AFTER;
use azure_core::time::parse_rfc7231;
use azure_security_keyvault_keys::models::{KeyVaultError, KeyVaultErrorError};
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation};

/// Longest wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Deepest nesting of `innererror` that is read.
const MAX_DEPTH: usize = 4;

/// status, code (`""`: any), kind, what to do. The more specific code of an answer is looked up first.
type Row = (u16, &'static str, ErrorKind, &'static str);
const TABLE: &[Row] = &[
    (400, "BadParameter", ErrorKind::InvalidInput, "the vault does not take these parameters"),
    (400, "", ErrorKind::InvalidInput, "the vault does not take this request"),
    (
        401,
        "",
        ErrorKind::PermissionDenied,
        "the vault does not accept the token; see the login and its tenant",
    ),
    (
        403,
        "KeyDisabled",
        ErrorKind::KeyUnusable,
        "the key or this version is disabled; enable it to use it",
    ),
    (403, "KeyNotYetValid", ErrorKind::KeyUnusable, "the key is not valid yet"),
    (403, "KeyExpired", ErrorKind::KeyUnusable, "the key has expired for this; rotate it"),
    (
        403,
        "KeyOperationForbidden",
        ErrorKind::KeyUnusable,
        "the key's own list of operations lacks this one",
    ),
    (
        403,
        "ForbiddenByFirewall",
        ErrorKind::PermissionDenied,
        "the vault's firewall refuses this network",
    ),
    (
        403,
        "ForbiddenByConnection",
        ErrorKind::PermissionDenied,
        "the vault is reached by private endpoints alone",
    ),
    (403, "ForbiddenByRbac", ErrorKind::PermissionDenied, "no role of this login allows this"),
    (
        403,
        "ForbiddenByPolicy",
        ErrorKind::PermissionDenied,
        "the vault's access policy does not allow this",
    ),
    (
        403,
        "AccessDenied",
        ErrorKind::PermissionDenied,
        "the vault's access policy does not allow this",
    ),
    (403, "", ErrorKind::PermissionDenied, "the vault does not allow this to this login"),
    (404, "", ErrorKind::KeyNotFound, "the vault has no such key or version"),
    (405, "", ErrorKind::Unsupported, "the vault does not have this operation"),
    (408, "", ErrorKind::TimedOut, "the vault says that it took too long"),
    (
        409,
        "ObjectIsDeletedButRecoverable",
        ErrorKind::Conflict,
        "a deleted key of this name can be recovered",
    ),
    (409, "ObjectIsBeingDeleted", ErrorKind::Conflict, "the key is being deleted"),
    (409, "ObjectIsBeingRecovered", ErrorKind::Conflict, "the key is being recovered"),
    (409, "", ErrorKind::Conflict, "the key is in another state, or somebody else changes it"),
    (413, "", ErrorKind::InvalidInput, "the request is too large for the vault"),
    (429, "", ErrorKind::Throttled, "the vault asks for fewer requests"),
    (501, "", ErrorKind::Unsupported, "the vault does not have this operation"),
    (504, "", ErrorKind::TimedOut, "the vault did not answer in time"),
];
const BROKEN: &str = "the vault failed or is not ready";
const NOT_UNDERSTOOD: &str = "the vault's answer is not understood";

/// What went wrong in one call, read out of the SDK's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    pub(crate) status: Option<u16>,
    code: &'static str,
    says: &'static str,
    retry_after: Option<Duration>,
    logging_in: bool,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, says: &'static str) -> Self {
        Self { kind, status: None, code: "", says, retry_after: None, logging_in: false }
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(ErrorKind::TimedOut, "no answer within the time for a call")
    }

    /// An answer that is not what was asked for.
    pub(crate) fn not_understood() -> Self {
        Self::new(ErrorKind::Unavailable, NOT_UNDERSTOOD)
    }

    /// Not the bytes, the key or the version of sealing: one answer that says no more.
    pub(crate) fn not_authentic() -> Self {
        Self::new(ErrorKind::AuthenticationFailed, "")
    }

    /// An answer that names another key or version than the asked one.
    pub(crate) fn of_another_key() -> Self {
        Self::not_authentic()
    }

    pub(crate) fn no_such_version() -> Self {
        Self::new(ErrorKind::KeyNotFound, "the vault does not have the version that wrapped this")
    }

    /// The vault refused the parameters: of a ciphertext, because it is not one of this key.
    pub(crate) fn is_bad_parameter(&self) -> bool {
        self.status == Some(400) && self.kind == ErrorKind::InvalidInput && !self.logging_in
    }

    /// The vault does not know the key or the version.
    pub(crate) fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::KeyNotFound && !self.logging_in
    }

    /// The key is on its way out or back.
    pub(crate) fn is_mid_deletion(&self) -> bool {
        self.status == Some(409) && self.code.starts_with("Object")
    }

    /// The vault has said no, so it has done nothing.
    #[cfg(feature = "admin")]
    pub(crate) fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status) && status != 408)
    }

    /// Refused, and the answer does not tell whether by right or by the key's state.
    pub(crate) fn is_unexplained_refusal(&self) -> bool {
        self.status == Some(403) && self.code.is_empty() && !self.logging_in
    }

    /// The vault is there and the login good, but it lacks a right.
    pub(crate) fn is_refused_by_right(&self) -> bool {
        let by_network = ["ForbiddenByFirewall", "ForbiddenByConnection"].contains(&self.code);
        self.status == Some(403) && !by_network && !self.logging_in
    }

    pub(crate) fn into_error(self, operation: Operation) -> CryptoError {
        let operation = if self.logging_in { Operation::LogIn } else { operation };
        if self.kind == ErrorKind::AuthenticationFailed {
            return CryptoError::authentication_failed(operation);
        }
        let mut error = CryptoError::new(self.kind, operation).with_detail(self.says);
        if let Some(wait) = self.retry_after {
            error = error.with_retry_after(wait);
        }
        match self.status {
            Some(status) => error.with_source(Answer { status, code: self.code }),
            None => error,
        }
    }
}

/// Reads the SDK's error. `clock` turns a `Retry-After` that is a date into a wait.
pub(crate) fn classify(error: &azure_core::Error, clock: &dyn Clock) -> Fault {
    let mut fault = innermost(error, clock, 0);
    fault.logging_in = matches!(error.kind(), SdkErrorKind::Credential);
    if fault.logging_in {
        fault.says = match fault.kind {
            ErrorKind::Throttled => "the login service asks for fewer requests",
            ErrorKind::TimedOut => "the login service did not answer in time",
            ErrorKind::Unavailable => "the login service cannot be reached or failed",
            _ if fault.status.is_some() => "the login service refused these credentials",
            _ => fault.says,
        };
        if fault.status.is_some_and(|status| (400..500).contains(&status))
            && fault.kind != ErrorKind::Throttled
        {
            fault.kind = ErrorKind::PermissionDenied;
        }
    }
    fault
}

/// The SDK wraps one error into another; the innermost says what happened.
fn innermost(error: &azure_core::Error, clock: &dyn Clock, depth: usize) -> Fault {
    if let SdkErrorKind::HttpResponse { status, raw_response, .. } = error.kind() {
        return of_answer(u16::from(*status), raw_response.as_deref(), clock);
    }
    let cause = error.get_ref();
    if let Some(fault) = cause.and_then(|cause| cause.downcast_ref::<WireFault>()) {
        return fault.into();
    }
    if let Some(fault) = cause.and_then(|cause| cause.downcast_ref::<LoginFault>()) {
        return Fault::new(ErrorKind::PermissionDenied, fault.says());
    }
    if let Some(inner) = cause.and_then(|cause| cause.downcast_ref::<azure_core::Error>())
        && depth < MAX_DEPTH
    {
        return innermost(inner, clock, depth + 1);
    }
    match error.kind() {
        SdkErrorKind::Connection => (&WireFault::Unreachable).into(),
        SdkErrorKind::Io => (&WireFault::Broken).into(),
        SdkErrorKind::DataConversion => Fault::not_understood(),
        SdkErrorKind::Credential => Fault::new(
            ErrorKind::PermissionDenied,
            "the login failed on this machine; see its settings, files and programs",
        ),
        _ => Fault::new(
            ErrorKind::PermissionDenied,
            "the vault's challenge does not fit its address; is this the vault?",
        ),
    }
}

fn of_answer(status: u16, answer: Option<&RawResponse>, clock: &dyn Clock) -> Fault {
    let codes = answer.map(codes_of).unwrap_or_default();
    let specific = codes.iter().rev().find_map(|code| row(status, code));
    let (code, kind, says) = match specific.or_else(|| row(status, "")) {
        Some((_, code, kind, says)) => (*code, *kind, *says),
        None if status >= 500 => ("", ErrorKind::Unavailable, BROKEN),
        None if status >= 400 => {
            ("", ErrorKind::InvalidInput, "the vault does not take this request")
        }
        None => ("", ErrorKind::Unavailable, NOT_UNDERSTOOD),
    };
    let retry_after = answer.and_then(|answer| retry_after(answer, clock));
    Fault { kind, status: Some(status), code, says, retry_after, logging_in: false }
}

fn row(status: u16, code: &str) -> Option<&'static Row> {
    TABLE.iter().find(|(of, name, ..)| (*of, *name) == (status, code))
}

/// `code` and the codes of the errors inside, outermost first.
fn codes_of(answer: &RawResponse) -> Vec<String> {
    let body = answer.body();
    let mut next = azure_core::json::from_json::<_, KeyVaultError>(body.as_ref())
        .ok()
        .and_then(|body| body.error);
    let mut codes = Vec::new();
    while let Some(KeyVaultErrorError { code, inner_error, .. }) = next
        && codes.len() < MAX_DEPTH
    {
        codes.push(code.unwrap_or_default());
        next = inner_error.map(|inner| *inner);
    }
    codes.retain(|code| !code.is_empty());
    codes
}

/// RFC 9110 section 10.2.3: seconds or a date.
fn retry_after(answer: &RawResponse, clock: &dyn Clock) -> Option<Duration> {
    let text = answer.headers().get_optional_str(&RETRY_AFTER)?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = std::time::SystemTime::from(parse_rfc7231(text).ok()?);
            at.duration_since(clock.now()).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// What stays of the vault's answer: the cause of the error.
#[derive(Debug)]
struct Answer {
    status: u16,
    code: &'static str,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { "without a known code" } else { self.code };
        write!(f, "HTTP status {} {code}", self.status)
    }
}

impl StdError for Answer {}

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireFault {
    TimedOut,
    Unreachable,
    Untrusted,
    Broken,
    TooLong,
    ForeignHost,
    NotSent,
}

impl WireFault {
    fn says(self) -> &'static str {
        match self {
            Self::TimedOut => "no answer in time",
            Self::Unreachable => "no connection; see the address, the network and the proxy",
            Self::Untrusted => {
                "the server's certificate is not trusted for its name; is this the vault?"
            }
            Self::Broken => "the connection broke before the whole answer was there",
            Self::TooLong => "the answer is longer than any of Key Vault's",
            Self::ForeignHost => "an answer led to another host than the vault's",
            Self::NotSent => "the request could not be put together",
        }
    }
}

impl From<&WireFault> for Fault {
    fn from(fault: &WireFault) -> Self {
        let kind = match fault {
            WireFault::TimedOut => ErrorKind::TimedOut,
            WireFault::ForeignHost => ErrorKind::PermissionDenied,
            WireFault::NotSent => ErrorKind::Internal,
            // Of a server with a wrong certificate nothing is known, not even that it is the vault.
            WireFault::Unreachable | WireFault::Untrusted => ErrorKind::Unavailable,
            WireFault::Broken | WireFault::TooLong => ErrorKind::Unavailable,
        };
        Self::new(kind, fault.says())
    }
}

impl fmt::Display for WireFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}

impl StdError for WireFault {}

/// What is wrong with a login's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginFault {
    NotAToken,
}

impl LoginFault {
    fn says(self) -> &'static str {
        match self {
            Self::NotAToken => {
                "the login gave a token with blanks, line breaks or other strange characters"
            }
        }
    }
}

impl fmt::Display for LoginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}

impl StdError for LoginFault {}

#[cfg(test)]
mod tests {
    use azure_core::http::StatusCode;
    use azure_core::http::headers::Headers;
    use vault_crypto_core::SystemClock;

    use super::*;

    fn answered(status: u16, body: &'static str, retry_after: Option<&'static str>) -> Fault {
        let mut headers = Headers::new();
        if let Some(wait) = retry_after {
            headers.insert(RETRY_AFTER, wait);
        }
        let status = StatusCode::from(status);
        let raw = RawResponse::from_bytes(status, headers, body.as_bytes());
        let kind = SdkErrorKind::HttpResponse {
            status,
            error_code: None,
            raw_response: Some(Box::new(raw)),
        };
        classify(&azure_core::Error::new(kind, "a server's words"), &SystemClock::new())
    }

    #[test]
    fn the_most_specific_code_decides() {
        let disabled =
            r#"{"error":{"code":"Forbidden","message":"m","innererror":{"code":"KeyDisabled"}}}"#;
        assert_eq!(answered(403, disabled, None).kind, ErrorKind::KeyUnusable);
        let policy = r#"{"error":{"code":"Forbidden","message":"m","innererror":{"code":"ForbiddenByPolicy"}}}"#;
        assert_eq!(answered(403, policy, None).kind, ErrorKind::PermissionDenied);
        let new = r#"{"error":{"code":"Forbidden","innererror":{"code":"NeverSeen"}}}"#;
        assert!(answered(403, new, None).is_unexplained_refusal());
    }

    #[test]
    fn whatever_the_body_is_the_status_is_classified() {
        for body in
            ["", "<html>", "{}", "[]", "null", r#"{"error":null}"#, r#"{"error":{"code":7}}"#]
        {
            for (status, kind) in [
                (401, ErrorKind::PermissionDenied),
                (404, ErrorKind::KeyNotFound),
                (429, ErrorKind::Throttled),
                (500, ErrorKind::Unavailable),
                (503, ErrorKind::Unavailable),
                (409, ErrorKind::Conflict),
                (418, ErrorKind::InvalidInput),
                (302, ErrorKind::Unavailable),
                (201, ErrorKind::Unavailable),
            ] {
                assert_eq!(answered(status, body, None).kind, kind, "{status} {body}");
            }
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_and_believed_within_reason() {
        let wait = |text| answered(429, "", Some(text)).retry_after;
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }

    #[test]
    fn no_word_of_the_server_is_in_the_error() {
        let body = r#"{"error":{"code":"hunter2secret","message":"hunter2secret"}}"#;
        for status in [400, 401, 403, 404, 409, 418, 429, 500] {
            let error = answered(status, body, None).into_error(Operation::Encrypt);
            let mut text = format!("{error} {error:?}");
            let mut cause = StdError::source(&error);
            while let Some(error) = cause {
                text += &format!("{error} {error:?}");
                cause = error.source();
            }
            assert!(!text.contains("hunter2") && !text.contains("words"), "{text}");
        }
    }
}
