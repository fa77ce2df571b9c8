//! From written plaintext to stored bytes, without any I/O: what the sync and the async writer share.

use std::io::{Chain, Cursor, Read, Repeat, Take};

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::StreamSealer;
use super::segment::Segment;
use crate::chunks::StreamCipher;
use crate::padding::{TRAILER_LEN, padme};
use crate::{CHUNK_LEN, Padding};

/// Chunks that a writer holds: 256 KiB.
pub(super) const WRITER_CHUNKS: usize = 16;

/// A message that is being sealed. Plaintext goes in with [`take`](Self::take), stored bytes come
/// out as [`pending`](Self::pending); nothing more is taken before those are sent.
pub(super) struct Outgoing {
    cipher: StreamCipher,
    padding: Padding,
    /// Header and prologue, until they are sent.
    head: Vec<u8>,
    segment: Segment,
    filled: usize,
    next_chunk: u64,
    total: u64,
    /// Sealed bytes in the segment.
    sealed: usize,
    /// How much of the head, or of the sealed bytes, was sent.
    sent: usize,
    tail: Option<PaddingTail>,
    ended: bool,
}

impl Outgoing {
    pub(super) fn new(sealer: StreamSealer) -> Self {
        Self {
            head: sealer.head(),
            cipher: sealer.cipher,
            padding: sealer.padding,
            segment: Segment::new(WRITER_CHUNKS),
            filled: 0,
            next_chunk: 0,
            total: 0,
            sealed: 0,
            sent: 0,
            tail: None,
            ended: false,
        }
    }

    /// Bytes of plaintext taken so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Stored bytes that are to be sent now.
    pub(super) fn pending(&self) -> &[u8] {
        let bytes =
            if self.head.is_empty() { self.segment.stored(self.sealed) } else { &self.head };
        bytes.get(self.sent..).unwrap_or_default()
    }

    /// `len` of the pending bytes were sent.
    pub(super) fn sent(&mut self, len: usize) {
        self.sent += len;
        if self.pending().is_empty() {
            if self.head.is_empty() {
                self.sealed = 0;
            }
            self.head = Vec::new();
            self.sent = 0;
        }
    }

    /// The stored bytes that are to be sent now, given away; empty if there are none.
    #[cfg(feature = "bytes")]
    pub(super) fn take_pending(&mut self) -> bytes::Bytes {
        if !self.head.is_empty() {
            return std::mem::take(&mut self.head).into();
        }
        let sealed = std::mem::take(&mut self.sealed);
        if sealed == 0 {
            return bytes::Bytes::new();
        }
        // A message that has ended needs no room any more.
        let room = if self.ended { 0 } else { WRITER_CHUNKS };
        std::mem::replace(&mut self.segment, Segment::new(room)).into_stored(sealed)
    }

    /// Takes as much as fits in, while nothing is pending. A full segment is sealed at once.
    pub(super) fn take(&mut self, data: &[u8]) -> Result<usize> {
        if self.tail.is_some() {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Seal)
                .with_detail("the message was finished; nothing can be added to it"));
        }
        let copied = self.segment.fill(self.filled, data);
        self.filled += copied;
        self.total += copied as u64;
        self.seal_if_full()?;
        Ok(copied)
    }

    /// Seals the next segment of padding, or the last one, while nothing is pending. To be called
    /// until the message has [`ended`](Self::ended).
    pub(super) fn finish(&mut self) -> Result<()> {
        let (padding, len) = (self.padding, self.total);
        let tail = self.tail.get_or_insert_with(|| padding_tail(padding, len));
        let mut piece = [0; 4_096];
        loop {
            let room = (self.segment.plaintext_capacity() - self.filled).min(piece.len());
            let piece = piece.get_mut(..room).unwrap_or_default();
            let read = tail.read(piece).map_err(super::io::reading(Operation::Seal))?;
            if read == 0 {
                self.ended = true;
                return self.seal(true);
            }
            self.filled += self.segment.fill(self.filled, piece.get(..read).unwrap_or_default());
            if self.filled == self.segment.plaintext_capacity() {
                return self.seal(false);
            }
        }
    }

    /// Whether the last chunk is sealed.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    fn seal_if_full(&mut self) -> Result<()> {
        if self.filled == self.segment.plaintext_capacity() { self.seal(false) } else { Ok(()) }
    }

    fn seal(&mut self, is_last: bool) -> Result<()> {
        let stored = self.segment.stored_mut();
        self.sealed = self.cipher.seal_segment(self.next_chunk, stored, self.filled, is_last)?;
        self.next_chunk += (self.filled / CHUNK_LEN) as u64;
        self.filled = 0;
        Ok(())
    }
}

/// What stands behind the plaintext of a padded message: zeros, then its length.
pub(super) type PaddingTail = Chain<Take<Repeat>, Cursor<Vec<u8>>>;

/// Zeros and trailer behind a plaintext of `len` bytes; nothing without padding.
pub(super) fn padding_tail(padding: Padding, len: u64) -> PaddingTail {
    let (zeros, trailer) = if padding.is_none() {
        (0, Vec::new())
    } else {
        let least = len.saturating_add(TRAILER_LEN as u64);
        (padme(least) - least, len.to_be_bytes().to_vec())
    };
    std::io::repeat(0).take(zeros).chain(Cursor::new(trailer))
}
