//! What went wrong in a call, read out of the SDK's error, and as it is told to the caller.
//!
//! Nothing that a server wrote comes out of here: of an answer, the status stays, and the code if a table here
//! knows it. Left to the parts: the vault's answers (`table`), failures without one (`wire`), logins (`login`).

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use azure_core::error::ErrorKind as SdkErrorKind;
use vault_crypto_core::{Clock, CryptoError, ErrorKind, Operation};

pub(crate) mod login;
mod table;
mod wire;

use login::Door;
pub(crate) use wire::WireFault;

/// Deepest nesting of errors, in the SDK's and in the vault's, that is read.
const MAX_DEPTH: usize = 4;
const NOT_UNDERSTOOD: &str = "the vault's answer is not understood";

/// What went wrong in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: ErrorKind,
    pub(crate) status: Option<u16>,
    code: &'static str,
    says: &'static str,
    retry_after: Option<Duration>,
    logging_in: bool,
    /// Told in the form of Key Vault's errors, so it was none that stands between.
    by_vault: bool,
    /// What had been done already: "the key was created".
    done: Option<&'static str>,
}

impl Fault {
    pub(crate) fn new(kind: ErrorKind, says: &'static str) -> Self {
        let (status, retry_after, done) = (None, None, None);
        let (logging_in, by_vault) = (false, false);
        Self { kind, status, code: "", says, retry_after, logging_in, by_vault, done }
    }

    pub(crate) fn timed_out() -> Self {
        Self::new(ErrorKind::TimedOut, "no answer within the time for a call")
    }

    /// The same for a call that changes something.
    #[cfg(feature = "admin")]
    pub(crate) fn timed_out_changing() -> Self {
        Self::new(
            ErrorKind::TimedOut,
            "not done within the time for a call; it may have happened, so look before it is repeated",
        )
    }

    /// An answer that is not what was asked for.
    pub(crate) fn not_understood() -> Self {
        Self::new(ErrorKind::Unavailable, NOT_UNDERSTOOD)
    }

    /// Not the bytes, the key or the version of sealing: one answer that says no more.
    pub(crate) fn not_authentic() -> Self {
        Self::new(ErrorKind::AuthenticationFailed, "")
    }

    /// An answer that names another key than the asked one, where nothing is to be authentic yet.
    pub(crate) fn of_another_key() -> Self {
        Self::new(ErrorKind::Unavailable, "the service answered for another key")
    }

    pub(crate) fn no_such_version() -> Self {
        Self::new(ErrorKind::KeyNotFound, "the vault does not have the version that wrapped this")
    }

    /// The same, after `done` has happened.
    #[cfg(feature = "admin")]
    pub(crate) fn after(self, done: Option<&'static str>) -> Self {
        Self { done, ..self }
    }

    /// The vault refused the parameters: of a ciphertext, because it is not one of this key.
    pub(crate) fn is_bad_parameter(&self) -> bool {
        self.status == Some(400) && self.code == "BadParameter" && !self.logging_in
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
        let refused = self.status.is_some_and(|status| (400..500).contains(&status));
        self.logging_in || self.by_vault && refused && self.status != Some(408)
    }

    /// Refused, and the answer does not tell whether by right or by the key's state.
    pub(crate) fn is_unexplained_refusal(&self) -> bool {
        self.by_vault && self.status == Some(403) && self.code.is_empty()
    }

    /// The vault is there and the login good, but it lacks a right.
    pub(crate) fn is_refused_by_right(&self) -> bool {
        let by_network = ["ForbiddenByFirewall", "ForbiddenByConnection"].contains(&self.code);
        self.by_vault && self.status == Some(403) && !by_network
    }

    pub(crate) fn into_error(self, operation: Operation) -> CryptoError {
        let operation = if self.logging_in { Operation::LogIn } else { operation };
        if self.kind == ErrorKind::AuthenticationFailed {
            return CryptoError::authentication_failed(operation);
        }
        let error = CryptoError::new(self.kind, operation);
        let mut error = match self.done {
            Some(done) => error.with_detail(format!("{done}, but {}", self.says)),
            None => error.with_detail(self.says),
        };
        if let Some(wait) = self.retry_after {
            error = error.with_retry_after(wait);
        }
        match self.status {
            Some(status) => error.with_source(table::Answer { status, code: self.code }),
            None => error,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says)
    }
}

/// So that the SDK can carry it back to us.
impl StdError for Fault {}

/// Reads the SDK's error. `clock` turns a `Retry-After` that is a date into a wait.
pub(crate) fn classify(error: &azure_core::Error, clock: &dyn Clock) -> Fault {
    // The SDK wraps one error into another; the innermost says what happened.
    let mut error = error;
    for _ in 0..MAX_DEPTH {
        if matches!(error.kind(), SdkErrorKind::Credential | SdkErrorKind::HttpResponse { .. }) {
            break;
        }
        let Some(inner) = error.downcast_ref() else { break };
        error = inner;
    }
    if let Some(fault) = error.downcast_ref::<WireFault>() {
        return fault.into();
    }
    match error.kind() {
        SdkErrorKind::Credential => login::of_error(error, Door::Injected, clock),
        SdkErrorKind::HttpResponse { status, raw_response, .. } => {
            table::of_answer(u16::from(*status), raw_response.as_deref(), clock)
        }
        SdkErrorKind::Connection => (&WireFault::Unreachable).into(),
        SdkErrorKind::Io => (&WireFault::Broken).into(),
        SdkErrorKind::DataConversion => Fault::not_understood(),
        _ => Fault::new(
            ErrorKind::PermissionDenied,
            "the vault's challenge does not fit its address; is this the vault?",
        ),
    }
}
