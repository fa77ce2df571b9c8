//! The exit codes: one table from error kinds to what a script can act on.

use std::process::ExitCode;

use vaultkit::core::{CryptoError, ErrorKind, Operation};

/// How the program ended. Documented in `--help`; never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: anything without a code of its own: a limit, a defect.
    Other,
    /// 2: the command line asks for something that can never work.
    Usage,
    /// 3: wrong key, wrong context or altered bytes; one answer for all three.
    NotAuthentic,
    /// 4: the key or key store is unavailable, refused or damaged.
    Key,
    /// 5: reading or writing failed: missing, a folder, no permission, full, in the way.
    Io,
    /// 6: not a message of ours, or cut off inside its header.
    Malformed,
}

impl Exit {
    /// The number the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::NotAuthentic => 3,
            Self::Key => 4,
            Self::Io => 5,
            Self::Malformed => 6,
        }
    }

    /// The exit for an error of the library.
    #[must_use]
    pub fn of(error: &CryptoError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::NotAuthentic,
            ErrorKind::Malformed => Self::Malformed,
            // A message of a later day is none that this program can read; a key file or a
            // service of a later day is a key that it cannot have.
            ErrorKind::Unsupported if is_about_message(error.operation()) => Self::Malformed,
            ErrorKind::Unsupported
            | ErrorKind::KeyNotAllowed
            | ErrorKind::KeyNotFound
            | ErrorKind::KeyUnusable
            | ErrorKind::Conflict
            | ErrorKind::PermissionDenied
            | ErrorKind::Throttled
            | ErrorKind::TimedOut
            | ErrorKind::Unavailable
            | ErrorKind::StoreDamaged => Self::Key,
            ErrorKind::InvalidInput => Self::Usage,
            ErrorKind::Io => Self::Io,
            _ => Self::Other,
        }
    }
}

fn is_about_message(operation: Operation) -> bool {
    matches!(operation, Operation::Seal | Operation::Open | Operation::Rewrap | Operation::Inspect)
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
