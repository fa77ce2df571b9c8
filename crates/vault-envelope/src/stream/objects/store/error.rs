//! What a store's error means to the caller.

use std::error::Error as _;
use std::io::ErrorKind as IoKind;

use object_store::Error;
use vault_crypto_core::{CryptoError, ErrorKind, Operation};

/// A store's error as one of ours. A response's body or an address with a signature may be inside,
/// so of the source only the kind of an I/O error is kept.
pub(super) fn failed(operation: Operation) -> impl Fn(Error) -> CryptoError + Copy {
    move |error| {
        let (kind, detail) = classified(&error);
        let ours = CryptoError::new(kind, operation).with_detail(detail);
        match (&error, io_kind(&error)) {
            (Error::NotFound { .. }, _) => ours.with_source(std::io::Error::from(IoKind::NotFound)),
            (_, Some(IoKind::TimedOut)) => CryptoError::new(ErrorKind::TimedOut, operation)
                .with_detail("the object store did not answer in time"),
            (_, Some(kind)) => ours.with_source(std::io::Error::from(kind)),
            _ => ours,
        }
    }
}

fn classified(error: &Error) -> (ErrorKind, &'static str) {
    match error {
        Error::NotFound { .. } => (ErrorKind::Io, "the object does not exist"),
        Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotModified { .. } => {
            (ErrorKind::Conflict, "somebody else wrote the object meanwhile; open it again")
        }
        Error::NotSupported { .. } | Error::NotImplemented { .. } => {
            (ErrorKind::Unsupported, "the object store cannot do this")
        }
        Error::PermissionDenied { .. } => {
            (ErrorKind::PermissionDenied, "the object store does not allow this")
        }
        Error::Unauthenticated { .. } => {
            (ErrorKind::PermissionDenied, "the object store does not accept the credentials")
        }
        Error::InvalidPath { .. } | Error::UnknownConfigurationKey { .. } => {
            (ErrorKind::InvalidInput, "the object store does not accept the path or a setting")
        }
        _ => (ErrorKind::Io, "the object store failed"),
    }
}

/// The kind of the I/O error somewhere behind `error`.
fn io_kind(error: &Error) -> Option<IoKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = error.source();
    }
    None
}
