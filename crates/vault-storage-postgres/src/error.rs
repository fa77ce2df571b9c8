//! Which `ErrorKind` each answer of the server, and each fault on the way to it, is.
//!
//! Deliberately absent: the server's text. It quotes keys and whole rows. What is kept is the code of
//! SQLSTATE (PostgreSQL documentation, appendix A).

use std::error::Error;
use std::io;

use tokio_postgres::error::SqlState;
use vault_crypto_core::{CryptoError, ErrorKind, Operation};

/// Why a call on a connection failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// What the driver says.
    Driver(tokio_postgres::Error),
    /// The server closed the connection.
    Closed,
    /// There was no answer in time.
    TimedOut,
    /// There is no runtime to connect in.
    NoRuntime,
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl Fault {
    /// Whether other connections to the server are likely to be gone as well.
    pub(crate) fn is_of_all_connections(&self) -> bool {
        match self {
            Self::Driver(error) => error.as_db_error().is_none(),
            Self::Closed | Self::TimedOut => true,
            Self::NoRuntime => false,
        }
    }

    /// The error that `operation` ends with.
    pub(crate) fn in_operation(self, operation: Operation) -> CryptoError {
        let of = |kind| CryptoError::new(kind, operation);
        match self {
            Self::Driver(error) => driver(error, operation),
            Self::Closed => {
                of(ErrorKind::Unavailable).with_detail("the database closed the connection")
            }
            Self::TimedOut => {
                of(ErrorKind::TimedOut).with_detail("no answer from the database in time")
            }
            Self::NoRuntime => of(ErrorKind::InvalidInput)
                .with_detail("a connection to PostgreSQL needs a tokio runtime around the call"),
        }
    }
}

fn driver(error: tokio_postgres::Error, operation: Operation) -> CryptoError {
    if let Some(said) = error.as_db_error() {
        let (kind, why) = of_state(said.code());
        let detail = format!("{why} (SQLSTATE {})", said.code().code());
        return CryptoError::new(kind, operation).with_detail(detail);
    }
    let (kind, why) = on_the_way(&error);
    CryptoError::new(kind, operation).with_detail(why).with_source(error)
}

/// What the server answered.
fn of_state(state: &SqlState) -> (ErrorKind, &'static str) {
    let of_class = |class: &str| state.code().starts_with(class);
    if *state == SqlState::QUERY_CANCELED || *state == SqlState::LOCK_NOT_AVAILABLE {
        (ErrorKind::TimedOut, "the database ended the statement because it took too long")
    } else if *state == SqlState::INSUFFICIENT_PRIVILEGE || of_class("28") {
        (ErrorKind::PermissionDenied, "the database refuses this to the role")
    } else if *state == SqlState::READ_ONLY_SQL_TRANSACTION {
        (ErrorKind::Unavailable, "the database takes no changes now; is it a standby?")
    } else if of_class("08") || of_class("53") || of_class("57") || of_class("58") {
        (ErrorKind::Unavailable, "the database is not ready for this")
    } else if of_class("40") {
        (ErrorKind::Unavailable, "the database rolled the statement back; nothing changed")
    } else if of_class("3D") || of_class("3F") {
        (ErrorKind::InvalidInput, "there is no such database or schema")
    } else if of_class("42") || of_class("22") || of_class("23") {
        (ErrorKind::StoreDamaged, "the table is missing, or not of the shape that this crate makes")
    } else {
        (ErrorKind::Internal, "the database refused the statement")
    }
}

/// What kept the server's answer from coming.
fn on_the_way(error: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(at) = cause {
        if at.downcast_ref::<io::Error>().is_some() {
            return (ErrorKind::Unavailable, "the connection to the database failed");
        }
        cause = at.source();
    }
    if error.is_closed() {
        return (ErrorKind::Unavailable, "the connection to the database was closed");
    }
    // Timing out while connecting, TLS that is not offered or fails, a password that is missing.
    (ErrorKind::Unavailable, "no connection to the database could be made")
}

/// A setting that can never work.
pub(crate) fn invalid(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_the_server_has_its_kind() {
        for (state, kind) in [
            (SqlState::QUERY_CANCELED, ErrorKind::TimedOut),
            (SqlState::LOCK_NOT_AVAILABLE, ErrorKind::TimedOut),
            (SqlState::INSUFFICIENT_PRIVILEGE, ErrorKind::PermissionDenied),
            (SqlState::INVALID_PASSWORD, ErrorKind::PermissionDenied),
            (SqlState::ADMIN_SHUTDOWN, ErrorKind::Unavailable),
            (SqlState::CANNOT_CONNECT_NOW, ErrorKind::Unavailable),
            (SqlState::TOO_MANY_CONNECTIONS, ErrorKind::Unavailable),
            (SqlState::DISK_FULL, ErrorKind::Unavailable),
            (SqlState::READ_ONLY_SQL_TRANSACTION, ErrorKind::Unavailable),
            (SqlState::T_R_SERIALIZATION_FAILURE, ErrorKind::Unavailable),
            (SqlState::INVALID_CATALOG_NAME, ErrorKind::InvalidInput),
            (SqlState::UNDEFINED_TABLE, ErrorKind::StoreDamaged),
            (SqlState::NOT_NULL_VIOLATION, ErrorKind::StoreDamaged),
            (SqlState::INTERNAL_ERROR, ErrorKind::Internal),
        ] {
            assert_eq!(of_state(&state).0, kind, "{}", state.code());
        }
    }
}
