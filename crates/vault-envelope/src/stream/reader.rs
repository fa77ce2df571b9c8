//! The `Read` that opens a stream chunk by chunk.

use std::fmt;
use std::io::Read;

use vault_crypto_core::{Operation, Result};

use super::StreamOpener;
use super::incoming::Incoming;
use super::io::{into_io, read_full, reading};
use crate::OpenedBy;

/// Releases a stream's plaintext, every chunk authenticated before its first byte comes out.
///
/// A cut-off stream gives its authentic beginning and then an error instead of the end: treat what
/// was read as whole only after `read` returned 0. To get all or nothing use
/// [`WholeMessage`](crate::WholeMessage).
pub struct OpenReader<R> {
    input: R,
    message: Incoming,
}

impl<R: Read> OpenReader<R> {
    pub(super) fn new(opener: StreamOpener, input: R) -> Self {
        Self { input, message: Incoming::new(opener) }
    }

    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        self.message.opened_by()
    }

    /// As `Read::read`, with our error.
    ///
    /// # Errors
    /// [`AuthenticationFailed`](vault_crypto_core::ErrorKind::AuthenticationFailed) for altered or
    /// cut-off bytes, [`Io`](vault_crypto_core::ErrorKind::Io). The reader stays failed afterwards.
    pub fn read_plaintext(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            let len = self.message.give(out);
            if len > 0 || out.is_empty() || self.message.ended()? {
                return Ok(len);
            }
            if let Err(error) = self.next_segment() {
                self.message.fail();
                return Err(error);
            }
        }
    }

    fn next_segment(&mut self) -> Result<()> {
        let place = self.message.place();
        let wanted = place.len();
        let len = read_full(&mut self.input, place).map_err(reading(Operation::Open))?;
        self.message.advance(len);
        self.message.open(len < wanted)
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.read_plaintext(out).map_err(into_io)
    }
}

impl<R> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenReader")
            .field("opened_by", self.message.opened_by())
            .finish_non_exhaustive()
    }
}
