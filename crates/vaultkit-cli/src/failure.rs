//! What went wrong, as the program tells it: exit code, one sentence that says what to do, the path.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use vaultkit::core::{CryptoError, ErrorKind, Operation};

use crate::exit::Exit;
use crate::text;

/// A failure on its way to the person or script that called the program.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// A stable name for `--json`.
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    pub(crate) path: Option<PathBuf>,
    /// Nobody is left to read it: the reader of standard output has gone.
    pub(crate) is_silent: bool,
}

const NOT_AUTHENTIC: &str =
    "not authentic: the key, the context or the file is not the one it was sealed with";

impl Failure {
    pub(crate) fn new(exit: Exit, kind: ErrorKind, message: impl Into<String>) -> Self {
        let kind = kind.as_str();
        Self { exit, kind, message: message.into(), path: None, is_silent: false }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        let mut failure = Self::new(Exit::Usage, ErrorKind::InvalidInput, message);
        failure.kind = "usage";
        failure
    }

    /// Bytes that this program can do nothing with.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Exit::Malformed, ErrorKind::Malformed, message)
    }

    /// A file that cannot be read or written for a reason of ours.
    pub(crate) fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::new(Exit::Io, ErrorKind::Io, message).at(path)
    }

    /// A file that the system does not read or write.
    pub(crate) fn io(path: &Path, doing: &str, error: &io::Error) -> Self {
        Self::stream_io(doing, error).at(path)
    }

    /// As [`io`](Self::io), where no path is concerned.
    pub(crate) fn stream_io(doing: &str, error: &io::Error) -> Self {
        let message = format!("cannot {doing}: {}", sentence(error));
        let mut failure = Self::new(Exit::Io, ErrorKind::Io, message);
        failure.is_silent = error.kind() == io::ErrorKind::BrokenPipe;
        failure
    }

    /// Names the file, unless one is named already.
    #[must_use]
    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.to_owned());
        self
    }
}

impl From<CryptoError> for Failure {
    fn from(error: CryptoError) -> Self {
        let mut failure = Self::new(Exit::of(&error), error.kind(), message(&error));
        failure.is_silent =
            io_source(&error).is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
        failure
    }
}

fn message(error: &CryptoError) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidInput if error.operation() == Operation::Seal => {
            unsealable(error).unwrap_or_else(|| detail.to_owned())
        }
        ErrorKind::AuthenticationFailed => NOT_AUTHENTIC.to_owned(),
        ErrorKind::Malformed if error.operation() == Operation::KeyStore => detail.to_owned(),
        ErrorKind::Malformed => {
            format!("not a sealed file, or damaged: {detail}; name a file that vaultkit sealed")
        }
        ErrorKind::KeyNotAllowed => format!(
            "no key that may open it is at hand: {detail}; name the key store with --kms, another key with --key, or a private key with --identity"
        ),
        ErrorKind::Io => match io_source(error) {
            Some(source) if detail.is_empty() || detail.ends_with("failed") => {
                format!(
                    "{}: {}",
                    if detail.is_empty() { "failed" } else { detail },
                    sentence(source)
                )
            }
            _ => detail.to_owned(),
        },
        ErrorKind::InvalidInput | ErrorKind::StoreDamaged | ErrorKind::Unavailable
            if !detail.is_empty() =>
        {
            detail.to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why nothing can be sealed for those who were named. The library has words of its own for it.
fn unsealable(error: &CryptoError) -> Option<String> {
    if let Some(alias) = error.key_id() {
        // Of a slot that is left empty the whole id must be known.
        return Some(format!(
            "{} is an alias, and its service was not asked or did not answer; name the key by its whole id, or seal when the service answers",
            text::safe(alias.as_str())
        ));
    }
    let refused: &CryptoError = error.source()?.downcast_ref()?;
    let why = refused.detail().filter(|_| refused.kind() == ErrorKind::Malformed)?;
    Some(format!("{why}; name each key store, each key and each public key once"))
}

fn io_source(error: &CryptoError) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// What the system says, and what to do about it.
fn sentence(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder; check the name",
        io::ErrorKind::PermissionDenied => "no permission; check mode and owner",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full; free some space and try again"
        }
        io::ErrorKind::FileTooLarge => {
            "the file would be larger than the system allows; see `ulimit -f`"
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; choose another folder",
        io::ErrorKind::IsADirectory => "it is a folder; name a file",
        io::ErrorKind::NotADirectory => "a part of the path is not a folder; check the name",
        io::ErrorKind::InvalidFilename => "the name is too long or not valid here; choose another",
        _ => return error.to_string(),
    };
    advice.to_owned()
}
