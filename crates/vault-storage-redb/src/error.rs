//! Which `ErrorKind` each fault of the database or its file is.
//!
//! The sources are kept: they hold lengths, types and the system's own words, never a stored value.

use std::error::Error;
use std::io;
use std::path::Path;

use redb::{DatabaseError, StorageError};
use vault_crypto_core::{CryptoError, ErrorKind, Operation};

/// The file's bytes or mode are not what they should be.
pub(crate) fn damaged(path: &Path, detail: &str) -> CryptoError {
    CryptoError::new(ErrorKind::StoreDamaged, Operation::KeyStore)
        .with_detail(format!("{} {detail}", path.display()))
}

/// The file could not be opened.
pub(crate) fn open_io(path: &Path, error: io::Error) -> CryptoError {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::Io,
    };
    CryptoError::new(kind, Operation::KeyStore)
        .with_detail(format!("cannot open {}: {error}", path.display()))
        .with_source(error)
}

/// The file was opened, and the database in it could not be.
pub(crate) fn open(path: &Path, error: DatabaseError) -> CryptoError {
    let (kind, detail) = match &error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => (
            ErrorKind::Unavailable,
            "is open already, here or in another process; share one handle, or use a server",
        ),
        DatabaseError::UpgradeRequired(_) => {
            (ErrorKind::Unsupported, "was written by another generation of redb")
        }
        // redb says so of a file that never was a database.
        DatabaseError::Storage(StorageError::Io(io))
            if matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            (ErrorKind::StoreDamaged, NOT_WHOLE)
        }
        DatabaseError::Storage(StorageError::Io(_)) => (ErrorKind::Io, "cannot be read"),
        _ => (ErrorKind::StoreDamaged, NOT_WHOLE),
    };
    CryptoError::new(kind, Operation::KeyStore)
        .with_detail(format!("{} {detail}", path.display()))
        .with_source(error)
}

const NOT_WHOLE: &str = "is damaged or no store of this kind; put a copy from a backup there";

/// A transaction failed.
pub(crate) fn failed(operation: Operation, error: impl Into<redb::Error>) -> CryptoError {
    let error: redb::Error = error.into();
    let (kind, detail) = match &error {
        redb::Error::Corrupted(_) => (ErrorKind::StoreDamaged, "the store's file is damaged"),
        redb::Error::Io(_) => (ErrorKind::Io, "the store's file could not be read or written"),
        redb::Error::PreviousIo => {
            (ErrorKind::Unavailable, "an earlier change failed; open the store anew")
        }
        _ => (ErrorKind::Internal, "the database refused a transaction"),
    };
    CryptoError::new(kind, operation).with_detail(detail).with_source(boxed(error))
}

fn boxed(error: redb::Error) -> Box<dyn Error + Send + Sync> {
    Box::new(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_kind() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let path = Path::new("store.redb");
        let corrupted = || StorageError::Corrupted("page 3".into());
        let in_use = open(path, DatabaseError::DatabaseAlreadyOpen);
        let newer = open(path, DatabaseError::UpgradeRequired(2));
        let torn = open(path, DatabaseError::Storage(corrupted()));
        let page = failed(Operation::StorageGet, corrupted());
        let disk = failed(Operation::StoragePut, StorageError::Io(denied()));
        let after = failed(Operation::StoragePut, StorageError::PreviousIo);
        for (error, kind) in [
            (open_io(path, denied()), ErrorKind::PermissionDenied),
            (in_use, ErrorKind::Unavailable),
            (newer, ErrorKind::Unsupported),
            (torn, ErrorKind::StoreDamaged),
            (page, ErrorKind::StoreDamaged),
            (disk, ErrorKind::Io),
            (after, ErrorKind::Unavailable),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.source().is_some(), "{error}");
        }
    }
}
