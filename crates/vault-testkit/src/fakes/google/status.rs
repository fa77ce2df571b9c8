//! The errors of the real service: codes, texts and details, in one place.
//!
//! The texts of *Decryption failed* are those of the recorded traffic; those of checksums are from
//! <https://cloud.google.com/kms/docs/data-integrity-guidelines>; the others as users have quoted them from
//! the real service. Left to others: when each of them is the answer.

use std::time::Duration;

use tonic::{Code, Status};

use super::wire;

/// A status with details packed as `google.rpc.Status` in `grpc-status-details-bin`.
fn with_detail(code: Code, text: &str, kind: &str, detail: &[u8]) -> Status {
    let mut any = Vec::new();
    wire::put(&mut any, 1, format!("type.googleapis.com/google.rpc.{kind}").as_bytes());
    wire::put(&mut any, 2, detail);
    let mut status = Vec::new();
    wire::put_number(&mut status, 1, code as u64);
    wire::put(&mut status, 2, text.as_bytes());
    wire::put(&mut status, 3, &any);
    Status::with_details(code, text, status.into())
}

/// `google.rpc.ErrorInfo`: a reason, a domain and pairs.
fn with_reason(code: Code, text: &str, reason: &str, pairs: &[(&str, &str)]) -> Status {
    let mut info = Vec::new();
    wire::put(&mut info, 1, reason.as_bytes());
    wire::put(&mut info, 2, b"cloudkms.googleapis.com");
    for (key, value) in pairs {
        let mut pair = Vec::new();
        wire::put(&mut pair, 1, key.as_bytes());
        wire::put(&mut pair, 2, value.as_bytes());
        wire::put(&mut info, 3, &pair);
    }
    with_detail(code, text, "ErrorInfo", &info)
}

pub(super) fn invalid(text: &str) -> Status {
    Status::invalid_argument(text)
}

pub(super) fn not_found(kind: &str, name: &str) -> Status {
    Status::not_found(format!("{kind} {name} not found."))
}

pub(super) fn already_exists(kind: &str, name: &str) -> Status {
    Status::already_exists(format!("{kind} {name} already exists."))
}

/// `google.rpc.PreconditionFailure` with one violation.
fn violated(text: &str, kind: &str, subject: &str) -> Status {
    let mut violation = Vec::new();
    wire::put(&mut violation, 1, kind.as_bytes());
    wire::put(&mut violation, 2, subject.as_bytes());
    let mut failure = Vec::new();
    wire::put(&mut failure, 1, &violation);
    with_detail(Code::FailedPrecondition, text, "PreconditionFailure", &failure)
}

/// A version that is asked to work and is not enabled.
pub(super) fn not_enabled(version: &str, state: &str) -> Status {
    let text = format!("{version} is not enabled, current state is: {state}.");
    violated(&text, &format!("KEY_{state}"), version)
}

/// A change that the state of a resource, or what it is made for, does not allow.
pub(super) fn has_value(name: &str, value: &str, field: &str) -> Status {
    let text = format!(
        "The request cannot be fulfilled. Resource {name} has value {value} in field {field}."
    );
    violated(&text, field, name)
}

pub(super) fn failed_precondition(text: &str) -> Status {
    Status::failed_precondition(text)
}

/// `google.rpc.DebugInfo`, as the recorded traffic has it.
fn debug(text: &str, detail: &str) -> Status {
    let mut info = Vec::new();
    wire::put(&mut info, 2, detail.as_bytes());
    with_detail(Code::InvalidArgument, text, "DebugInfo", &info)
}

/// Bytes that are no ciphertext of this service.
pub(super) fn ciphertext_malformed() -> Status {
    let text = "Decryption failed: the ciphertext is invalid.";
    debug(text, "client_ciphertext.ParseFromString()")
}

/// A ciphertext or additional data that does not authenticate.
pub(super) fn decryption_failed() -> Status {
    debug("Decryption failed.", "INTERNAL: generic::internal: AEAD open failed: while decrypting")
}

/// A ciphertext of another key.
pub(super) fn ciphertext_of_another_key() -> Status {
    invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
}

pub(super) fn checksum_mismatch(field: &str) -> Status {
    let text =
        format!("The checksum in field {field}_crc32c did not match the data in field {field}.");
    Status::invalid_argument(text)
}

pub(super) fn etag_mismatch() -> Status {
    Status::aborted(
        "There were concurrent policy changes. Please retry the whole read-modify-write with \
         exponential backoff. The request's ETag did not match the current policy's ETag.",
    )
}

pub(super) fn credentials_missing() -> Status {
    let text = "Request is missing required authentication credential. Expected OAuth 2 access \
                token, login cookie or other valid authentication credential. See \
                https://developers.google.com/identity/sign-in/web/devconsole-project.";
    with_reason(Code::Unauthenticated, text, "CREDENTIALS_MISSING", &[])
}

pub(super) fn credentials_refused() -> Status {
    let text = "Request had invalid authentication credentials. Expected OAuth 2 access token, \
                login cookie or other valid authentication credential. See \
                https://developers.google.com/identity/sign-in/web/devconsole-project.";
    with_reason(Code::Unauthenticated, text, "ACCESS_TOKEN_EXPIRED", &[])
}

pub(super) fn permission_denied(permission: &str, name: &str) -> Status {
    let text =
        format!("Permission '{permission}' denied on resource '{name}' (or it may not exist).");
    let pairs = [("permission", permission), ("resource", name)];
    with_reason(Code::PermissionDenied, &text, "IAM_PERMISSION_DENIED", &pairs)
}

/// What a test asked for, with `google.rpc.RetryInfo` where it said how long to wait.
pub(super) fn injected(code: Code, retry_after: Option<Duration>) -> Status {
    let text = match code {
        Code::ResourceExhausted => {
            "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic \
             requests per minute' of service 'cloudkms.googleapis.com' for consumer \
             'project_number:1'."
        }
        Code::Unavailable => "The service is currently unavailable.",
        Code::Internal => "Internal error encountered.",
        _ => "asked for by a test",
    };
    match retry_after {
        Some(delay) => {
            let mut duration = Vec::new();
            wire::put_number(&mut duration, 1, delay.as_secs());
            wire::put_number(&mut duration, 2, u64::from(delay.subsec_nanos()));
            let mut info = Vec::new();
            wire::put(&mut info, 1, &duration);
            with_detail(code, text, "RetryInfo", &info)
        }
        None if code == Code::ResourceExhausted => {
            with_reason(code, text, "RATE_LIMIT_EXCEEDED", &[])
        }
        None => Status::new(code, text),
    }
}
