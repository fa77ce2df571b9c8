//! What goes wrong between here and a server, before there is an answer.
//!
//! Left to others: what an answer means (`table`, `login`).

use std::error::Error as StdError;
use std::fmt;

use vault_crypto_core::ErrorKind;

use super::Fault;

/// What went wrong on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireFault {
    TimedOut,
    Unreachable,
    Untrusted,
    Broken,
    TooLong,
    ForeignHost,
    NotSent,
}

impl WireFault {
    fn says(self) -> &'static str {
        match self {
            Self::TimedOut => "no answer in time",
            Self::Unreachable => "no connection; see the address, the network and the proxy",
            Self::Untrusted => {
                "the server's certificate is not trusted for its name; is this the vault?"
            }
            Self::Broken => "the connection broke before the whole answer was there",
            Self::TooLong => "the answer is longer than any of Key Vault's",
            Self::ForeignHost => "an answer led to another host or port than the vault's",
            Self::NotSent => "the request could not be put together",
        }
    }
}

impl From<&WireFault> for Fault {
    fn from(fault: &WireFault) -> Self {
        let kind = match fault {
            WireFault::TimedOut => ErrorKind::TimedOut,
            WireFault::ForeignHost => ErrorKind::PermissionDenied,
            WireFault::NotSent => ErrorKind::Internal,
            // Of a server with a wrong certificate nothing is known, not even that it is the vault.
            WireFault::Unreachable | WireFault::Untrusted => ErrorKind::Unavailable,
            WireFault::Broken | WireFault::TooLong => ErrorKind::Unavailable,
        };
        Self::new(kind, fault.says())
    }
}

impl fmt::Display for WireFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.says())
    }
}

impl StdError for WireFault {}
