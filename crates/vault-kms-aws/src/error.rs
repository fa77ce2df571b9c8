//! Which [`ErrorKind`] each failure of AWS is, told in one table.
//!
//! Deliberately absent: the service's own words, bodies, tokens and ciphertexts. Of an answer only its error
//! code is looked at, and what is said of it is said here; the SDK's errors hold bodies, so none is kept as a
//! source.

use std::borrow::Cow;
use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::date_time::Format;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation};

mod login;

pub(crate) use login::{Shown, of_login, of_role};

use ErrorKind::{
    AuthenticationFailed, Conflict, InvalidInput, KeyNotFound, KeyUnusable, LimitExceeded,
    PermissionDenied, Throttled, TimedOut, Unavailable, Unsupported,
};

/// One error code of the service.
type Code = (&'static str, ErrorKind, &'static str);

const CLOCK: &str = "the signature is not accepted; check the secret access key, and that this machine's clock is right";
const LOGIN: &str = "these credentials are not valid, or no longer; log in anew";
const SLOWER: &str = "fewer requests are asked for";
const STATE: &str =
    "the key's state forbids this; describe it, then enable it or cancel its deletion";
const STORE: &str = "the custom key store behind this key does not answer";
const WRONG: &str = "the service refuses an argument of this request";

/// The codes of AWS KMS and of STS that are told apart. README.md shows the same table.
pub(crate) const CODES: &[Code] = &[
    ("InvalidCiphertextException", AuthenticationFailed, ""),
    ("IncorrectKeyException", AuthenticationFailed, ""),
    ("NotFoundException", KeyNotFound, "there is no such key in this account and region"),
    ("DisabledException", KeyUnusable, "the key is disabled; enable it to use it"),
    ("KMSInvalidStateException", KeyUnusable, STATE),
    ("InvalidKeyUsageException", KeyUnusable, "the key is not one for encrypting and decrypting"),
    ("AlreadyExistsException", Conflict, "a key of this name exists already"),
    ("ConflictException", Conflict, "somebody else changes the key at this moment"),
    ("LimitExceededException", LimitExceeded, "a quota of the account or of the key is used up"),
    ("InvalidAliasNameException", InvalidInput, WRONG),
    ("InvalidArnException", InvalidInput, "this is not the ARN of a key"),
    ("InvalidMarkerException", InvalidInput, WRONG),
    ("MalformedPolicyDocumentException", InvalidInput, WRONG),
    ("TagException", InvalidInput, "the service does not take one of these labels"),
    ("ValidationException", InvalidInput, WRONG),
    ("ValidationError", InvalidInput, WRONG),
    ("UnsupportedOperationException", Unsupported, "this kind of key cannot do that"),
    ("UnknownOperationException", Unsupported, "the service does not know this operation"),
    (
        "AccessDeniedException",
        PermissionDenied,
        "this identity may not do that; see the minimum rights in the documentation",
    ),
    (
        "AccessDenied",
        PermissionDenied,
        "this identity may not do that; see the minimum rights in the documentation",
    ),
    ("OptInRequired", PermissionDenied, "the account is not subscribed to the service"),
    (
        "RegionDisabledException",
        PermissionDenied,
        "STS is not enabled in this region for the account; enable it, or ask another endpoint of STS",
    ),
    ("ExpiredTokenException", PermissionDenied, LOGIN),
    ("ExpiredToken", PermissionDenied, LOGIN),
    ("UnrecognizedClientException", PermissionDenied, LOGIN),
    ("InvalidClientTokenId", PermissionDenied, LOGIN),
    ("InvalidIdentityToken", PermissionDenied, "the web identity token is not accepted"),
    (
        "IDPRejectedClaim",
        PermissionDenied,
        "the identity provider does not vouch for the web identity token",
    ),
    ("MissingAuthenticationToken", PermissionDenied, LOGIN),
    ("MissingAuthenticationTokenException", PermissionDenied, LOGIN),
    ("IncompleteSignature", PermissionDenied, CLOCK),
    ("IncompleteSignatureException", PermissionDenied, CLOCK),
    ("InvalidSignatureException", PermissionDenied, CLOCK),
    ("SignatureDoesNotMatch", PermissionDenied, CLOCK),
    ("RequestExpired", PermissionDenied, CLOCK),
    ("RequestTimeTooSkewed", PermissionDenied, CLOCK),
    ("Throttling", Throttled, SLOWER),
    ("ThrottlingException", Throttled, SLOWER),
    ("ThrottledException", Throttled, SLOWER),
    ("RequestLimitExceeded", Throttled, SLOWER),
    ("RequestThrottled", Throttled, SLOWER),
    ("RequestThrottledException", Throttled, SLOWER),
    ("TooManyRequestsException", Throttled, SLOWER),
    ("SlowDown", Throttled, SLOWER),
    ("RequestTimeout", TimedOut, "the service waited for the request and gave up"),
    ("RequestTimeoutException", TimedOut, "the service waited for the request and gave up"),
    (
        "DependencyTimeoutException",
        Unavailable,
        "a system behind the service did not answer in time",
    ),
    ("KMSInternalException", Unavailable, "the service failed inside"),
    ("KeyUnavailableException", Unavailable, "the key cannot be reached at the moment"),
    ("InternalFailure", Unavailable, "the service failed inside"),
    ("InternalError", Unavailable, "the service failed inside"),
    ("ServiceUnavailable", Unavailable, "the service is not ready"),
    ("ServiceUnavailableException", Unavailable, "the service is not ready"),
    ("IDPCommunicationError", Unavailable, "STS cannot reach the identity provider"),
    ("CloudHsmClusterInvalidConfigurationException", Unavailable, STORE),
    ("CloudHsmClusterNotActiveException", Unavailable, STORE),
    ("CustomKeyStoreInvalidStateException", Unavailable, STORE),
    ("CustomKeyStoreNotFoundException", Unavailable, STORE),
    ("XksProxyUriUnreachableException", Unavailable, STORE),
];

/// Longest time that a service is believed when it asks to be left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// The codes that other credentials of the same identity may cure.
const STALE_LOGIN: &[&str] = &[
    "ExpiredTokenException",
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
];

/// What is known of a call that failed.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// New credentials of the same identity may help.
    pub(crate) stale_login: bool,
    /// The service knows who asks, and says that they may not.
    pub(crate) forbidden: bool,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { kind, detail, retry_after: None, stale_login: false, forbidden: false }
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(TimedOut, "the service did not answer in time")
    }

    /// What `error` means; `now` is the wall clock's, for a `Retry-After` that names a time.
    pub(crate) fn of<E: ProvideErrorMetadata>(
        error: &SdkError<E, HttpResponse>,
        now: SystemTime,
    ) -> Self
    where
        SdkError<E, HttpResponse>: Error + 'static,
    {
        if let Some(login) = chain(error).find_map(|error| error.downcast_ref::<Self>()) {
            return login.clone();
        }
        let mut fault = match error {
            SdkError::ServiceError(answer) => {
                of_answer(answer.err().code(), answer.raw().status().as_u16())
            }
            SdkError::TimeoutError(_) => Self::timed_out(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::timed_out(),
            SdkError::DispatchFailure(failure) if failure.is_user() => Self::new(
                InvalidInput,
                "the request could not be formed; check the endpoint and the credentials",
            ),
            SdkError::DispatchFailure(_) => of_transport(error),
            SdkError::ResponseError(answer) => of_unreadable(answer.raw().status().as_u16()),
            _ => Self::new(
                InvalidInput,
                "the request could not be formed; check the endpoint and the region",
            ),
        };
        fault.retry_after = error.raw_response().and_then(|answer| retry_after(answer, now));
        fault
    }

    /// The error of `operation` on `key_id`.
    pub(crate) fn into_error(self, operation: Operation, key_id: Option<&KeyId>) -> CryptoError {
        let mut error = CryptoError::new(self.kind, operation).with_detail(self.detail);
        if let Some(key_id) = key_id {
            error = error.with_key_id(key_id);
        }
        match self.retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        }
    }

    /// How long whoever failed asks to be left alone.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether nobody said no: nobody was there, or not in time.
    pub(crate) fn is_outage(&self) -> bool {
        [Unavailable, TimedOut].contains(&self.kind)
    }

    /// What a person reads.
    pub(crate) fn sentence(&self) -> &str {
        &self.detail
    }
}

/// So that a failed login can go through the SDK, and be found again by [`Fault::of`].
impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for Fault {}

fn of_answer(code: Option<&str>, status: u16) -> Fault {
    // Whoever says these, and in whatever words: the service or something before it.
    match status {
        408 | 504 => return Fault::timed_out(),
        413 => return Fault::new(LimitExceeded, "the request is too long (HTTP 413)"),
        501 => return Fault::new(Unsupported, "the service does not have this operation"),
        _ => {}
    }
    let known = CODES.iter().find(|(known, ..)| Some(*known) == code);
    let Some((known, kind, advice)) = known else {
        return of_status(status, code.is_some());
    };
    let mut fault = Fault::new(*kind, format!("AWS says {known}: {advice}"));
    fault.stale_login = STALE_LOGIN.contains(known);
    fault.forbidden = known.starts_with("AccessDenied");
    fault
}

/// No code, or one that the table does not have: the status says the rest.
fn of_status(status: u16, has_code: bool) -> Fault {
    match status {
        401 | 403 => {
            Fault::new(PermissionDenied, format!("AWS refuses this identity (HTTP {status})"))
        }
        429 => Fault::new(Throttled, SLOWER),
        500.. => Fault::new(Unavailable, format!("the service failed (HTTP {status})")),
        _ if has_code => {
            let detail = format!(
                "the service refuses the call by an error that is not known here (HTTP {status})"
            );
            Fault::new(InvalidInput, detail)
        }
        _ => Fault::new(
            Unavailable,
            format!("this is no answer of AWS (HTTP {status}); check the endpoint"),
        ),
    }
}

/// An answer came, but not one of the protocol, or not all of it.
fn of_unreadable(status: u16) -> Fault {
    match status {
        400.. => of_answer(None, status),
        _ => Fault::new(
            Unavailable,
            "the answer was cut off or is not one of AWS KMS; check the endpoint",
        ),
    }
}

/// Nothing came back.
fn of_transport(error: &(dyn Error + 'static)) -> Fault {
    let tls = chain(error).find_map(|error| error.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => Fault::new(
            Unavailable,
            "the server's certificate is not accepted; check the endpoint's name, the roots and this machine's clock",
        ),
        Some(_) => Fault::new(
            Unavailable,
            "the server does not speak TLS as it should; check the endpoint",
        ),
        None => Fault::new(
            Unavailable,
            "the service cannot be reached, or the connection broke before it answered",
        ),
    }
}

/// The error and all below it. `io::Error::source` skips its own payload, so that is looked at first.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    })
}

/// The header `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date; never more than a day.
fn retry_after(answer: &HttpResponse, now: SystemTime) -> Option<Duration> {
    let wait = wait_of(answer.headers().get("retry-after")?.trim(), now)?;
    Some(wait.min(LONGEST_WAIT))
}

fn wait_of(value: &str, now: SystemTime) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    http_date(value)?.duration_since(now).ok()
}

/// A date as HTTP headers write it.
pub(crate) fn http_date(value: &str) -> Option<SystemTime> {
    let parsed = aws_smithy_types::DateTime::from_str(value, Format::HttpDate).ok()?;
    SystemTime::try_from(parsed).ok()
}

/// An argument or a setting that can never work.
pub(crate) fn invalid(operation: Operation, detail: impl Into<Cow<'static, str>>) -> CryptoError {
    CryptoError::new(InvalidInput, operation).with_detail(detail)
}

/// An answer that the service never gives, so that it was damaged on its way: the next may be whole.
pub(crate) fn broken_answer(
    operation: Operation,
    key_id: &KeyId,
    detail: &'static str,
) -> CryptoError {
    CryptoError::new(Unavailable, operation).with_key_id(key_id).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let table = include_str!("../README.md");
        for (code, kind, _) in CODES {
            let row = table.lines().find(|line| line.contains(&format!("`{code}`")));
            let row = row.unwrap_or_else(|| panic!("{code} is not in README.md"));
            assert!(row.starts_with(&format!("| `{kind:?}`")), "{code} is in the row: {row}");
        }
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_by_its_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(wait_of("7", now), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        for value in ["", "-1", "soon", "Sun, 06 Nov 1994 08:48:37 GMT"] {
            assert_eq!(wait_of(value, now), None, "{value:?}");
        }
        assert!(wait_of("99999999999999999999", now) > Some(LONGEST_WAIT));
    }

    #[test]
    fn no_code_stands_twice() {
        let mut codes: Vec<&str> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_code_decides_before_the_status_unless_the_operation_is_missing() {
        assert_eq!(of_answer(Some("ThrottlingException"), 400).kind, Throttled);
        assert_eq!(of_answer(Some("InternalFailure"), 501).kind, Unsupported);
        assert_eq!(of_answer(Some("Unheard"), 503).kind, Unavailable);
        assert_eq!(of_answer(None, 404).kind, Unavailable);
        for code in [None, Some("ValidationException"), Some("Unheard")] {
            assert_eq!(of_answer(code, 413).kind, LimitExceeded);
            assert_eq!(of_answer(code, 408).kind, TimedOut);
            assert_eq!(of_answer(code, 504).kind, TimedOut);
        }
        assert_eq!(of_answer(Some("Unheard"), 400).kind, InvalidInput);
        assert!(of_answer(Some("ExpiredTokenException"), 400).stale_login);
        assert!(!of_answer(Some("AccessDeniedException"), 400).stale_login);
        assert!(of_answer(Some("AccessDeniedException"), 400).forbidden);
    }
}
