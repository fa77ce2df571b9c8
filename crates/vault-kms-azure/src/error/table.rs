//! The one table from Key Vault's statuses and codes to `ErrorKind`. The README shows it.
//!
//! Left to others: failures without an answer (`wire`), and those of a login (`login`).

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use azure_core::http::RawResponse;
use azure_core::http::headers::{Headers, RETRY_AFTER};
use azure_core::time::parse_rfc7231;
use azure_security_keyvault_keys::models::{KeyVaultError, KeyVaultErrorError};
use vault_crypto_core::{Clock, ErrorKind};

use super::{Fault, MAX_DEPTH};

/// Longest wait that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// status, code (`""`: any of the vault's), kind, what to do. The more specific code of an answer is looked up
/// first.
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
    (404, "KeyNotFound", ErrorKind::KeyNotFound, "the vault has no such key or version"),
    (404, "", ErrorKind::Unavailable, "the answer is not about a key; is this the vault?"),
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
    (413, "", ErrorKind::LimitExceeded, "the request is too large for the vault"),
    (429, "", ErrorKind::Throttled, "the vault asks for fewer requests"),
    (501, "", ErrorKind::Unsupported, "the vault does not have this operation"),
    (504, "", ErrorKind::TimedOut, "the vault did not answer in time"),
];
/// What these mean whoever says them.
const OF_ANYBODY: [u16; 6] = [401, 403, 408, 413, 429, 504];
const BROKEN: &str = "the vault failed or is not ready";
const BETWEEN: &str = "something between here and the vault refuses this, not the vault";

/// What an answer that is no success means. One that is not in the form of the vault's errors tells nothing of
/// keys: a gateway gave it.
pub(super) fn of_answer(status: u16, answer: Option<&RawResponse>, clock: &dyn Clock) -> Fault {
    let codes = answer.map(codes_of).unwrap_or_default();
    let by_vault = !codes.is_empty();
    let specific = codes.iter().rev().find_map(|code| row(status, code));
    let general = row(status, "").filter(|_| by_vault || OF_ANYBODY.contains(&status));
    let (code, kind, says) = match specific.or(general) {
        Some((403, "", kind, _)) if !by_vault => ("", *kind, BETWEEN),
        Some((_, code, kind, says)) => (*code, *kind, *says),
        None if status >= 500 => ("", ErrorKind::Unavailable, BROKEN),
        None if status >= 400 && by_vault => {
            ("", ErrorKind::InvalidInput, "the vault does not take this request")
        }
        None if status >= 400 => ("", ErrorKind::Unavailable, BETWEEN),
        None => ("", ErrorKind::Unavailable, super::NOT_UNDERSTOOD),
    };
    let retry_after = answer.and_then(|answer| retry_after(answer.headers(), clock));
    Fault { status: Some(status), code, retry_after, by_vault, ..Fault::new(kind, says) }
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
pub(super) fn retry_after(headers: &Headers, clock: &dyn Clock) -> Option<Duration> {
    let text = headers.get_optional_str(&RETRY_AFTER)?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = std::time::SystemTime::from(parse_rfc7231(text).ok()?);
            at.duration_since(clock.now()).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// What stays of an answer: the cause of the error.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) code: &'static str,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() { "without a known code" } else { self.code };
        write!(f, "HTTP status {} {code}", self.status)
    }
}

impl StdError for Answer {}

#[cfg(test)]
mod tests {
    use azure_core::error::ErrorKind as SdkErrorKind;
    use azure_core::http::StatusCode;
    use vault_crypto_core::{Operation, SystemClock};

    use super::*;
    use crate::error::classify;

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
        let missing = r#"{"error":{"code":"KeyNotFound"}}"#;
        assert!(answered(404, missing, None).is_not_found());
        let bad = r#"{"error":{"code":"BadParameter"}}"#;
        assert!(answered(400, bad, None).is_bad_parameter());
    }

    #[test]
    fn an_answer_that_is_not_in_the_vaults_form_tells_nothing_of_keys() {
        for body in
            ["", "<html>", "{}", "[]", "null", r#"{"error":null}"#, r#"{"error":{"code":7}}"#]
        {
            for (status, kind) in [
                (400, ErrorKind::Unavailable),
                (401, ErrorKind::PermissionDenied),
                (403, ErrorKind::PermissionDenied),
                (404, ErrorKind::Unavailable),
                (405, ErrorKind::Unavailable),
                (408, ErrorKind::TimedOut),
                (413, ErrorKind::LimitExceeded),
                (429, ErrorKind::Throttled),
                (504, ErrorKind::TimedOut),
                (500, ErrorKind::Unavailable),
                (503, ErrorKind::Unavailable),
                (409, ErrorKind::Unavailable),
                (418, ErrorKind::Unavailable),
                (501, ErrorKind::Unavailable),
                (302, ErrorKind::Unavailable),
                (201, ErrorKind::Unavailable),
            ] {
                let fault = answered(status, body, None);
                assert_eq!(fault.kind, kind, "{status} {body}");
                assert!(!fault.is_not_found() && !fault.is_bad_parameter(), "{status} {body}");
                assert!(!fault.is_unexplained_refusal() && !fault.is_refused_by_right());
            }
        }
        // In its form, but with a code that Key Vault does not give there.
        let other = r#"{"error":{"code":"ResourceNotFound"}}"#;
        for (status, kind) in [
            (400, ErrorKind::InvalidInput),
            (404, ErrorKind::Unavailable),
            (409, ErrorKind::Conflict),
            (418, ErrorKind::InvalidInput),
            (413, ErrorKind::LimitExceeded),
            (501, ErrorKind::Unsupported),
        ] {
            let fault = answered(status, other, None);
            assert_eq!(fault.kind, kind, "{status}");
            assert!(!fault.is_not_found() && !fault.is_bad_parameter(), "{status}");
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
