//! From stored bytes to released plaintext, without any I/O: what the sync and the async reader
//! share.

use vault_crypto_core::{CryptoError, Operation, Result, SecureBytes};
use zeroize::Zeroize as _;

use super::StreamOpener;
use super::segment::Segment;
use crate::chunks::StreamCipher;
use crate::padding::Unpadder;
use crate::{CHUNK_LEN, OpenedBy, SEALED_CHUNK_LEN};

/// Chunks that a reader holds: 64 KiB.
pub(super) const READER_CHUNKS: usize = 4;

/// A message that is being opened: fill [`place`](Self::place), [`open`](Self::open) it when it is
/// full or the input ended, and [`give`](Self::give) out the plaintext.
///
/// Plaintext goes from where it was opened to where it is wanted. Only padding makes a stop between.
pub(super) struct Incoming {
    cipher: StreamCipher,
    opened_by: OpenedBy,
    segment: Segment,
    filled: usize,
    /// Plaintext in the segment that may be given out, and how much of it was.
    opened: usize,
    given: usize,
    next_chunk: u64,
    padding: Option<Unpadding>,
    state: State,
}

/// What a padded message needs besides.
struct Unpadding {
    /// None when the end was checked.
    unpadder: Option<Unpadder>,
    released: Released,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Failed,
}

impl Incoming {
    pub(super) fn new(opener: StreamOpener) -> Self {
        Self {
            opened_by: opener.opened_by().clone(),
            padding: opener.padded.then(Unpadding::new),
            cipher: opener.cipher,
            segment: Segment::new(READER_CHUNKS),
            filled: 0,
            opened: 0,
            given: 0,
            next_chunk: 0,
            state: State::Reading,
        }
    }

    pub(super) fn opened_by(&self) -> &OpenedBy {
        &self.opened_by
    }

    /// Whether all of the message was opened.
    ///
    /// # Errors
    /// `AuthenticationFailed` after an earlier error: what follows it is not known to be authentic.
    pub(super) fn ended(&self) -> Result<bool> {
        match self.state {
            State::Reading => Ok(false),
            State::Ended => Ok(true),
            State::Failed => Err(CryptoError::authentication_failed(Operation::Open)),
        }
    }

    /// Nothing more comes out.
    pub(super) fn fail(&mut self) {
        self.state = State::Failed;
        self.opened = 0;
        if let Some(padding) = &mut self.padding {
            padding.released.clear();
        }
    }

    /// Copies out what is ready; gives the number of bytes, 0 if nothing is.
    pub(super) fn give(&mut self, out: &mut [u8]) -> usize {
        if let Some(padding) = &mut self.padding {
            return padding.released.give(out);
        }
        let mut copied = 0;
        while let Some(out) = out.get_mut(copied..).filter(|out| !out.is_empty()) {
            let piece = self.segment.plaintext_from(self.given, self.opened);
            let len = piece.len().min(out.len());
            let (Some(out), Some(piece)) = (out.get_mut(..len), piece.get(..len)) else { break };
            if piece.is_empty() {
                break;
            }
            out.copy_from_slice(piece);
            copied += len;
            self.given += len;
        }
        copied
    }

    /// Gives out what is ready without copying it; empty if nothing is.
    #[cfg(feature = "bytes")]
    pub(super) fn give_bytes(&mut self) -> Result<bytes::Bytes> {
        if let Some(padding) = &mut self.padding {
            return Ok(padding.released.give_bytes());
        }
        let (given, opened) = (std::mem::take(&mut self.given), std::mem::take(&mut self.opened));
        if given == opened {
            return Ok(bytes::Bytes::new());
        }
        // A message that has ended needs no room any more.
        let room = if self.state == State::Ended { 0 } else { READER_CHUNKS };
        let segment = std::mem::replace(&mut self.segment, Segment::new(room));
        Ok(segment.into_plaintext(opened)?.slice(given..))
    }

    /// Where the next stored bytes go; empty when it is time to open them.
    pub(super) fn place(&mut self) -> &mut [u8] {
        self.segment.stored_mut().get_mut(self.filled..).unwrap_or_default()
    }

    /// `len` bytes were put there.
    pub(super) fn advance(&mut self, len: usize) {
        self.filled += len;
    }

    /// Opens what was filled in, while nothing is ready; `is_last` if the input ended there.
    pub(super) fn open(&mut self, is_last: bool) -> Result<()> {
        let len = std::mem::take(&mut self.filled);
        self.opened = 0;
        self.given = 0;
        let stored = self.segment.stored_mut().get_mut(..len).unwrap_or_default();
        let plaintext = self.cipher.open_segment(self.next_chunk, stored, is_last)?;
        self.next_chunk += (len / SEALED_CHUNK_LEN) as u64;
        if let Some(padding) = &mut self.padding {
            padding.take(&self.segment, plaintext, is_last)?;
        } else {
            self.opened = plaintext;
        }
        if is_last {
            self.state = State::Ended;
        }
        Ok(())
    }
}

impl Unpadding {
    fn new() -> Self {
        let released = Released::with_capacity(READER_CHUNKS * CHUNK_LEN);
        Self { unpadder: Some(Unpadder::default()), released }
    }

    fn take(&mut self, segment: &Segment, len: usize, is_last: bool) -> Result<()> {
        self.released.reset();
        for piece in segment.plaintext(len) {
            self.released.push(&piece, self.unpadder.as_mut())?;
        }
        match self.unpadder.take() {
            Some(unpadder) if is_last => self.released.finish(unpadder)?,
            unpadder => self.unpadder = unpadder,
        }
        Ok(())
    }
}

/// Plaintext that is ready to be given out: zeros that were held back, as a count, then bytes.
pub(super) struct Released {
    zeros: u64,
    bytes: Vec<u8>,
    given: usize,
}

impl Released {
    /// Room for `len` bytes between two calls of [`reset`](Self::reset), without moving them.
    pub(super) fn with_capacity(len: usize) -> Self {
        Self { zeros: 0, bytes: Vec::with_capacity(len), given: 0 }
    }

    /// Adds authenticated content.
    pub(super) fn push(&mut self, content: &[u8], unpadder: Option<&mut Unpadder>) -> Result<()> {
        let Some(unpadder) = unpadder else {
            self.bytes.extend_from_slice(content);
            return Ok(());
        };
        unpadder.push_runs(content, &mut |zeros, bytes| {
            self.add(zeros, bytes);
            Ok(())
        })
    }

    /// Checks the padding at the end of the message.
    pub(super) fn finish(&mut self, unpadder: Unpadder) -> Result<()> {
        let zeros = unpadder.finish_runs()?;
        self.add(zeros, &[]);
        Ok(())
    }

    /// The next bytes, not necessarily all; empty if there are none.
    pub(super) fn next(&self) -> &[u8] {
        const ZEROS: [u8; CHUNK_LEN] = [0; CHUNK_LEN];
        if self.zeros > 0 {
            let len = usize::try_from(self.zeros).unwrap_or(usize::MAX).min(ZEROS.len());
            return ZEROS.get(..len).unwrap_or_default();
        }
        self.bytes.get(self.given..).unwrap_or_default()
    }

    /// `len` of the [`next`](Self::next) bytes were given out.
    pub(super) fn advance(&mut self, len: usize) {
        if self.zeros > 0 {
            self.zeros -= len as u64;
        } else {
            self.given += len;
        }
    }

    /// Copies out what is ready; gives the number of bytes.
    pub(super) fn give(&mut self, out: &mut [u8]) -> usize {
        let next = self.next();
        let len = next.len().min(out.len());
        if let (Some(out), Some(next)) = (out.get_mut(..len), next.get(..len)) {
            out.copy_from_slice(next);
        }
        self.advance(len);
        len
    }

    /// The next bytes, given out.
    #[cfg(feature = "bytes")]
    fn give_bytes(&mut self) -> bytes::Bytes {
        let next = self.next();
        let bytes = SecureBytes::new(next.to_vec());
        self.advance(bytes.len());
        bytes::Bytes::from_owner(super::segment::Owned(bytes))
    }

    /// Makes room again; the next bytes overwrite the ones before.
    pub(super) fn reset(&mut self) {
        self.zeros = 0;
        self.bytes.clear();
        self.given = 0;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.zeroize();
        self.reset();
    }

    /// Zeros before the first byte may be any number and stay a count. Behind a byte they are of
    /// the same segment, so that they have their place in the buffer.
    fn add(&mut self, zeros: u64, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.zeros += zeros;
        } else {
            let zeros = usize::try_from(zeros).unwrap_or(usize::MAX);
            self.bytes.resize(self.bytes.len().saturating_add(zeros), 0);
        }
        self.bytes.extend_from_slice(bytes);
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        drop(SecureBytes::new(std::mem::take(&mut self.bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_that_may_be_plaintext_or_padding_take_no_memory() {
        let mut unpadder = Unpadder::default();
        let mut released = Released::with_capacity(READER_CHUNKS * CHUNK_LEN);
        let capacity = released.bytes.capacity();
        let segment = [0; READER_CHUNKS * CHUNK_LEN];
        for _ in 0..1_000 {
            released.reset();
            released.push(&segment, Some(&mut unpadder)).unwrap();
            assert!(released.next().is_empty());
        }
        released.push(&[7; 20], Some(&mut unpadder)).unwrap();
        let (mut zeros, mut out) = (0, [1; 1_000]);
        let rest = loop {
            let len = released.give(&mut out);
            if out[0] == 7 {
                break len;
            }
            zeros += out[..len].iter().filter(|byte| **byte == 0).count();
        };
        assert_eq!((zeros, rest), (1_000 * segment.len(), 12));
        assert_eq!(released.bytes.capacity(), capacity);
    }
}
