//! Randomness as a dependency; the system's generator, and a buffered one that survives `fork`.

use std::fmt;

use crate::{CryptoError, ErrorKind, Operation, Result};

#[cfg(feature = "random")]
mod buffered;
#[cfg(feature = "random")]
pub use buffered::BufferedRandom;

/// A source of unpredictable bytes.
pub trait RandomSource: fmt::Debug + Send + Sync {
    /// Fills `out` with unpredictable bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the system's generator fails; `out` must then not be used.
    fn fill(&self, out: &mut [u8]) -> Result<()>;
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
