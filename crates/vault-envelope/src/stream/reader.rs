//! The `Read` that opens a stream chunk by chunk.

use std::fmt;
use std::io::Read;

use vault_crypto_core::{CryptoError, Operation, Result};
use zeroize::Zeroize as _;

use super::StreamOpener;
use super::io::{into_io, read_full, reading};
use super::segment::Segment;
use crate::chunks::ChunkCipher;
use crate::padding::Unpadder;
use crate::{CHUNK_LEN, OpenedBy, SEALED_CHUNK_LEN};

/// Chunks that an [`OpenReader`] holds: 64 KiB.
const READER_CHUNKS: usize = 4;

/// Releases a stream's plaintext, every chunk authenticated before its first byte comes out.
///
/// A cut-off stream gives its authentic beginning and then an error instead of the end: treat what
/// was read as whole only after `read` returned 0. To get all or nothing use
/// [`WholeMessage`](crate::WholeMessage).
pub struct OpenReader<R> {
    input: R,
    cipher: ChunkCipher,
    opened_by: OpenedBy,
    segment: Segment,
    /// Plaintext that is ready, and how much of it was given out.
    ready: Vec<u8>,
    given: usize,
    next_chunk: u64,
    unpadder: Option<Unpadder>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

impl<R: Read> OpenReader<R> {
    pub(super) fn new(opener: StreamOpener, input: R) -> Self {
        Self {
            input,
            opened_by: opener.opened_by().clone(),
            unpadder: opener.padded.then(Unpadder::default),
            cipher: opener.cipher,
            segment: Segment::new(READER_CHUNKS),
            ready: Vec::with_capacity(READER_CHUNKS * CHUNK_LEN),
            given: 0,
            next_chunk: 0,
            state: State::Reading,
        }
    }

    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        &self.opened_by
    }

    /// As `Read::read`, with our error.
    ///
    /// # Errors
    /// [`AuthenticationFailed`](vault_crypto_core::ErrorKind::AuthenticationFailed) for altered or
    /// cut-off bytes, [`Io`](vault_crypto_core::ErrorKind::Io). The reader stays failed afterwards.
    pub fn read_plaintext(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.given == self.ready.len() {
            match self.state {
                State::Ended => return Ok(0),
                State::Failed => return Err(CryptoError::authentication_failed(Operation::Open)),
                State::Reading => {}
            }
            if let Err(error) = self.next_segment() {
                self.state = State::Failed;
                self.ready.zeroize();
                self.given = 0;
                return Err(error);
            }
        }
        let left = self.ready.get(self.given..).unwrap_or_default();
        let len = left.len().min(out.len());
        if let (Some(out), Some(left)) = (out.get_mut(..len), left.get(..len)) {
            out.copy_from_slice(left);
        }
        self.given += len;
        Ok(len)
    }

    fn next_segment(&mut self) -> Result<()> {
        self.ready.clear();
        self.given = 0;
        let buffer = self.segment.stored_mut();
        let len = read_full(&mut self.input, buffer).map_err(reading(Operation::Open))?;
        let is_last = len < buffer.len();
        let stored = buffer.get_mut(..len).unwrap_or_default();
        let plaintext = self.cipher.open_segment(self.next_chunk, stored, is_last)?;
        self.next_chunk += (len / SEALED_CHUNK_LEN) as u64;
        let ready = &mut self.ready;
        let mut emit = |bytes: &[u8]| {
            ready.extend_from_slice(bytes);
            Ok(())
        };
        for piece in self.segment.plaintext(plaintext) {
            match &mut self.unpadder {
                Some(unpadder) => unpadder.push(&piece, &mut emit)?,
                None => emit(&piece)?,
            }
        }
        if is_last {
            if let Some(unpadder) = self.unpadder.take() {
                unpadder.finish(&mut emit)?;
            }
            self.state = State::Ended;
        }
        Ok(())
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.read_plaintext(out).map_err(into_io)
    }
}

impl<R> Drop for OpenReader<R> {
    fn drop(&mut self) {
        self.ready.zeroize();
    }
}

impl<R> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenReader").field("opened_by", &self.opened_by).finish_non_exhaustive()
    }
}
