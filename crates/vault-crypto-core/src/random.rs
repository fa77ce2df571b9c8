//! Randomness as a dependency; the system's generator, and a buffered one that survives `fork`.

use std::fmt;
use std::time::Duration;

use crate::{CryptoError, ErrorKind, Operation, Result};

#[cfg(feature = "random")]
mod buffered;
#[cfg(feature = "random")]
pub use buffered::{BufferedRandom, process_word};

/// A source of unpredictable bytes.
pub trait RandomSource: fmt::Debug + Send + Sync {
    /// Fills `out` with unpredictable bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the system's generator fails; `out` must then not be used.
    fn fill(&self, out: &mut [u8]) -> Result<()>;

    /// A salt or nonce of 24 bytes; `now` is the caller's monotonic reading.
    ///
    /// A buffering source mixes `now` into the last 8 bytes, so that two clones of a virtual machine
    /// that share a buffer still differ.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    fn nonce(&self, now: Duration) -> Result<[u8; 24]> {
        let _ = now;
        let mut nonce = [0; 24];
        self.fill(&mut nonce)?;
        Ok(nonce)
    }
}

/// The system's generator, asked every time: for keys.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemRandom;

impl SystemRandom {
    /// The system's generator.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl RandomSource for SystemRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        getrandom::fill(out).map_err(|error| {
            CryptoError::new(ErrorKind::Internal, Operation::Primitive)
                .with_detail("the system's random generator failed")
                .with_source(error)
        })
    }
}
