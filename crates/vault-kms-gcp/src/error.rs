//! Which `ErrorKind` each answer of the service is, said once; the README's table is this file.
//!
//! Nothing that the service or a proxy wrote goes into an error: neither the status's message nor its
//! details, headers or body. What is kept is the status code, and how long the service asks to be left alone.
//! Left to others: naming the operation and the key, which the callers know.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use gcloud_sdk::google::rpc;
use tonic::{Code, Status, TimeoutExpired};
use vault_crypto_core::{CryptoError, ErrorKind, Operation};

use crate::names::KeyName;
use crate::transport::HttpFailure;

/// What was asked: the same status means another thing on another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Opening a ciphertext: the service says `INVALID_ARGUMENT` of bytes that are not authentic.
    Open,
    /// Everything else.
    Other,
}

/// What the service said, without a word of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Status(Code),
    Http(u16),
    Login,
    Tls,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "gRPC status {} ({code:?})", i32::from(*code)),
            Self::Http(status) => write!(f, "HTTP status {status} where gRPC was expected"),
            Self::Login => f.write_str("no access token"),
            Self::Tls => f.write_str("no trusted TLS connection"),
        }
    }
}

impl Error for Answer {}

/// An argument or a setting that can never work.
pub(crate) fn invalid(detail: impl Into<std::borrow::Cow<'static, str>>) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}

/// Something that this service, or this provider, does not have.
pub(crate) fn unsupported(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, Operation::Configure).with_detail(detail)
}

/// An answer that cannot be the service's. Asking again may bring a good one.
pub(crate) fn broken_answer(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, Operation::Configure).with_detail(detail)
}

/// The answer names another key than the one that was asked for.
pub(crate) fn another_key(asked: &KeyName, answered: &str) -> CryptoError {
    if asked.is_by_another_project_name(answered) {
        return invalid(
            "the service answered for another key, or names this one's project otherwise: a project has an id and a number; write the one that the service does",
        );
    }
    broken_answer("the service answered for another key")
}

/// An error that comes when a part of the work is done already, which it must say.
#[cfg(feature = "admin")]
pub(crate) fn after(done: impl fmt::Display, error: CryptoError) -> CryptoError {
    let detail = match error.detail() {
        Some(detail) => format!("{done}: {detail}"),
        None => done.to_string(),
    };
    error.with_detail(detail)
}

/// Checksums did not match, several times over.
pub(crate) fn damaged() -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, Operation::Configure).with_detail(
        "the checksums of request or answer did not match, three times; something between here and Google damages bytes",
    )
}

/// Whether the service found that our bytes were damaged on their way, by the field's name in the answer.
///
/// Google says so with `INVALID_ARGUMENT`, as it does of ciphertexts that are not authentic. Its words are
/// looked at here, and nowhere repeated.
pub(crate) fn request_was_damaged(status: &Status) -> bool {
    status.code() == Code::InvalidArgument && status.message().contains("crc32c")
}

/// The error of a failed call.
pub(crate) fn classify(status: &Status, verb: Verb) -> CryptoError {
    let (kind, detail, answer) = match outside_the_service(status) {
        Some(found) => found,
        None => {
            let (kind, detail) = of_code(status.code(), verb);
            (kind, detail, Answer::Status(status.code()))
        }
    };
    if kind == ErrorKind::AuthenticationFailed {
        return CryptoError::authentication_failed(Operation::Configure);
    }
    let operation = match answer {
        Answer::Login => Operation::LogIn,
        _ => Operation::Configure,
    };
    let mut error = CryptoError::new(kind, operation).with_source(answer);
    if let Some(detail) = detail {
        error = error.with_detail(detail);
    }
    match retry_after(status) {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Google's statuses (<https://cloud.google.com/apis/design/errors#handling_errors>).
fn of_code(code: Code, verb: Verb) -> (ErrorKind, Option<&'static str>) {
    match (code, verb) {
        (Code::InvalidArgument, Verb::Open) => (ErrorKind::AuthenticationFailed, None),
        (Code::InvalidArgument, _) => {
            (ErrorKind::InvalidInput, Some("Google refuses the request as it stands"))
        }
        (Code::FailedPrecondition, _) => (
            ErrorKind::KeyUnusable,
            Some(
                "a version of it is disabled, destroyed or not yet made; see what describing it says",
            ),
        ),
        (Code::NotFound, _) => (
            ErrorKind::KeyNotFound,
            Some(
                "there is no such key, key version or key ring; check project, location and names",
            ),
        ),
        (Code::AlreadyExists, _) => (
            ErrorKind::Conflict,
            Some("it exists already; names of keys and key rings are never free again"),
        ),
        (Code::Aborted, _) => {
            (ErrorKind::Conflict, Some("somebody else changed it meanwhile; read it again"))
        }
        (Code::PermissionDenied, _) => (
            ErrorKind::PermissionDenied,
            Some(
                "the account lacks a right on this key, or there is no such key and it may not know",
            ),
        ),
        (Code::Unauthenticated, _) => (
            ErrorKind::PermissionDenied,
            Some(
                "the login is not accepted: its token expired, was revoked, or is for another service",
            ),
        ),
        (Code::ResourceExhausted, _) => (ErrorKind::Throttled, None),
        (Code::DeadlineExceeded, _) => (ErrorKind::TimedOut, None),
        (Code::Unimplemented, _) => {
            (ErrorKind::Unsupported, Some("the endpoint does not have this call; is it Cloud KMS?"))
        }
        (Code::Unavailable, _) => {
            (ErrorKind::Unavailable, Some("the endpoint cannot be reached, or is not ready"))
        }
        // Cloud KMS knows no ranges: `OutOfRange` is the SDK's, of an answer longer than it takes.
        (
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::DataLoss
            | Code::OutOfRange,
            _,
        ) => (ErrorKind::Unavailable, Some("the call ended without a usable answer")),
    }
}

type Found = (ErrorKind, Option<&'static str>, Answer);

/// Failures that never reached the service, or came from something in between.
fn outside_the_service(status: &Status) -> Option<Found> {
    let mut next = Error::source(status);
    while let Some(error) = next {
        if let Some(found) = recognised(error, status.code()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn recognised(error: &(dyn Error + 'static), code: Code) -> Option<Found> {
    if error.is::<TimeoutExpired>() {
        return Some((ErrorKind::TimedOut, None, Answer::Status(code)));
    }
    if let Some(failure) = error.downcast_ref::<HttpFailure>() {
        let (kind, detail) = of_http(failure.status);
        return Some((kind, Some(detail), Answer::Http(failure.status)));
    }
    if is_tls(error) {
        let detail = "no trusted TLS connection: the endpoint's certificate is not for this name, has expired, or comes from an authority that is not among the roots";
        return Some((ErrorKind::Unavailable, Some(detail), Answer::Tls));
    }
    login_failure(error).map(|transient| {
        if transient {
            let detail = "no access token: the login service cannot be reached or is not ready";
            (ErrorKind::Unavailable, Some(detail), Answer::Login)
        } else {
            let detail = "no access token: the login is refused, or its settings are wrong";
            (ErrorKind::PermissionDenied, Some(detail), Answer::Login)
        }
    })
}

/// Whether fetching a token failed, and then whether it may work later.
fn login_failure(error: &(dyn Error + 'static)) -> Option<bool> {
    use gcloud_sdk::error::{Error as SdkError, ErrorKind as SdkKind};
    let found = error
        .downcast_ref::<SdkError>()
        .or_else(|| error.downcast_ref::<Box<SdkError>>().map(AsRef::as_ref))?;
    match found.kind() {
        SdkKind::Credentials(error) => Some(error.is_transient()),
        _ => Some(false),
    }
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // `io::Error` hands out its content's source, not its content.
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || inside.is_some_and(|inside| inside.is::<rustls::Error>())
}

fn of_http(status: u16) -> (ErrorKind, &'static str) {
    match status {
        401 | 403 => {
            (ErrorKind::PermissionDenied, "something before the service refuses the login")
        }
        408 | 504 => (ErrorKind::TimedOut, "something before the service waited in vain"),
        413 => (ErrorKind::LimitExceeded, "something before the service takes no request so long"),
        429 => (ErrorKind::Throttled, "something before the service asks for fewer requests"),
        _ => (ErrorKind::Unavailable, "the endpoint answered, but not as Cloud KMS does"),
    }
}

/// `google.rpc.RetryInfo` of the status, else the header `retry-after`, which `transport.rs` leaves in seconds.
fn retry_after(status: &Status) -> Option<Duration> {
    let mut next = Error::source(status);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<HttpFailure>() {
            return failure.retry_after.map(believed);
        }
        next = error.source();
    }
    let header = || status.metadata().get("retry-after")?.to_str().ok()?.parse().ok();
    retry_info(status.details()).or_else(|| header().map(Duration::from_secs)).map(believed)
}

/// Nobody is sent away for longer.
fn believed(wait: Duration) -> Duration {
    wait.min(Duration::from_secs(86_400))
}

fn retry_info(details: &[u8]) -> Option<Duration> {
    use prost::Message as _;
    let status = rpc::Status::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = rpc::RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    Some(Duration::new(seconds, u32::try_from(delay.nanos).ok()?.min(999_999_999)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: Code, verb: Verb) -> ErrorKind {
        classify(&Status::new(code, "the service's words"), verb).kind()
    }

    #[test]
    fn every_status_has_its_kind() {
        let table = [
            (Code::Cancelled, ErrorKind::Unavailable),
            (Code::Unknown, ErrorKind::Unavailable),
            (Code::InvalidArgument, ErrorKind::InvalidInput),
            (Code::DeadlineExceeded, ErrorKind::TimedOut),
            (Code::NotFound, ErrorKind::KeyNotFound),
            (Code::AlreadyExists, ErrorKind::Conflict),
            (Code::PermissionDenied, ErrorKind::PermissionDenied),
            (Code::ResourceExhausted, ErrorKind::Throttled),
            (Code::FailedPrecondition, ErrorKind::KeyUnusable),
            (Code::Aborted, ErrorKind::Conflict),
            (Code::OutOfRange, ErrorKind::Unavailable),
            (Code::Unimplemented, ErrorKind::Unsupported),
            (Code::Internal, ErrorKind::Unavailable),
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::DataLoss, ErrorKind::Unavailable),
            (Code::Unauthenticated, ErrorKind::PermissionDenied),
        ];
        for (code, expected) in table {
            assert_eq!(kind(code, Verb::Other), expected, "{code:?}");
            let opening = match code {
                Code::InvalidArgument => ErrorKind::AuthenticationFailed,
                _ => expected,
            };
            assert_eq!(kind(code, Verb::Open), opening, "{code:?} on opening");
        }
    }

    #[test]
    fn no_word_of_the_service_is_repeated() {
        for code in 1..=16 {
            for verb in [Verb::Open, Verb::Other] {
                let status = Status::with_details(
                    Code::from(code),
                    "canary in the message",
                    b"canary in details".to_vec().into(),
                );
                let error = classify(&status, verb);
                let mut texts = vec![format!("{error}"), format!("{error:?}")];
                texts.extend(error.source().map(|source| format!("{source} {source:?}")));
                assert!(texts.iter().all(|text| !text.contains("canary")), "{texts:?}");
            }
        }
    }

    #[test]
    fn the_wait_that_the_service_asks_for_is_told() {
        use prost::Message as _;
        let info = rpc::RetryInfo {
            retry_delay: Some(prost_types::Duration { seconds: 7, nanos: 500_000_000 }),
        };
        let any = prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        };
        let details = rpc::Status { code: 8, message: String::new(), details: vec![any] };
        let status =
            Status::with_details(Code::ResourceExhausted, "", details.encode_to_vec().into());
        let error = classify(&status, Verb::Other);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(7_500)));
        let mut status = Status::new(Code::ResourceExhausted, "");
        assert_eq!(classify(&status, Verb::Other).retry_after(), None);
        status.metadata_mut().insert("retry-after", "3".parse().unwrap());
        assert_eq!(classify(&status, Verb::Other).retry_after(), Some(Duration::from_secs(3)));
        status.metadata_mut().insert("retry-after", "99999999".parse().unwrap());
        let day = Duration::from_secs(86_400);
        assert_eq!(classify(&status, Verb::Other).retry_after(), Some(day));
    }

    #[test]
    fn answers_of_something_in_between_have_their_kinds_on_every_call() {
        let table = [
            (400, ErrorKind::Unavailable),
            (401, ErrorKind::PermissionDenied),
            (403, ErrorKind::PermissionDenied),
            (404, ErrorKind::Unavailable),
            (408, ErrorKind::TimedOut),
            (413, ErrorKind::LimitExceeded),
            (429, ErrorKind::Throttled),
            (502, ErrorKind::Unavailable),
            (504, ErrorKind::TimedOut),
        ];
        for (status, expected) in table {
            for verb in [Verb::Open, Verb::Other] {
                let failure = HttpFailure { status, retry_after: None };
                let kind = classify(&Status::from_error(Box::new(failure)), verb).kind();
                assert_eq!(kind, expected, "{status}");
            }
        }
    }

    #[test]
    fn a_damaged_request_is_told_from_bytes_that_are_not_authentic() {
        let damaged =
            "The checksum in field ciphertext_crc32c did not match the data in field ciphertext.";
        assert!(request_was_damaged(&Status::invalid_argument(damaged)));
        assert!(!request_was_damaged(&Status::invalid_argument("Decryption failed: ...")));
        assert!(!request_was_damaged(&Status::internal(damaged)));
    }
}
