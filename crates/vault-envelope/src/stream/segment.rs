//! A run of chunks in one buffer: the unit that a worker reads, seals or opens, and writes.

use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;

use vault_crypto_core::SecureBytes;

use crate::{CHUNK_LEN, SEALED_CHUNK_LEN};

/// How many threads a parallel run may use, the calling one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers(NonZeroUsize);

impl Workers {
    /// The calling thread alone.
    pub const ONE: Self = Self(NonZeroUsize::MIN);

    /// This many threads; zero counts as one.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self(NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN))
    }

    /// As many as the system offers, at most eight: more wait for memory, not for ciphers.
    #[must_use]
    pub fn available() -> Self {
        let offered = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(offered.min(8))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0.get()
    }
}

/// Room for `chunks` sealed chunks; plaintext lies in it with a gap behind each chunk for its tag.
/// Opened plaintext does not stay behind.
pub(super) struct Segment {
    buffer: SecureBytes,
}

impl Segment {
    pub(super) fn new(chunks: usize) -> Self {
        Self { buffer: SecureBytes::zeroed(chunks * SEALED_CHUNK_LEN) }
    }

    /// Bytes of plaintext that fit.
    pub(super) fn plaintext_capacity(&self) -> usize {
        self.buffer.len() / SEALED_CHUNK_LEN * CHUNK_LEN
    }

    /// All of it.
    pub(super) fn stored_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut_slice()
    }

    /// The first `len` stored bytes.
    pub(super) fn stored(&self, len: usize) -> &[u8] {
        self.buffer.as_slice().get(..len).unwrap_or_default()
    }

    /// The places for the first `len` bytes of plaintext, in order.
    pub(super) fn places(&mut self, len: usize) -> Vec<IoSliceMut<'_>> {
        let mut left = len;
        self.buffer
            .as_mut_slice()
            .chunks_exact_mut(SEALED_CHUNK_LEN)
            .map_while(|slot| {
                let piece =
                    slot.get_mut(..left.min(CHUNK_LEN)).filter(|piece| !piece.is_empty())?;
                left -= piece.len();
                Some(IoSliceMut::new(piece))
            })
            .collect()
    }

    /// The first `len` bytes of plaintext, in order.
    pub(super) fn plaintext(&self, len: usize) -> Vec<IoSlice<'_>> {
        let mut left = len;
        self.buffer
            .as_slice()
            .chunks_exact(SEALED_CHUNK_LEN)
            .map_while(|slot| {
                let piece = slot.get(..left.min(CHUNK_LEN)).filter(|piece| !piece.is_empty())?;
                left -= piece.len();
                Some(IoSlice::new(piece))
            })
            .collect()
    }

    /// What follows byte `at` of `len` bytes of plaintext, to the end of its chunk.
    pub(super) fn plaintext_from(&self, at: usize, len: usize) -> &[u8] {
        let chunk = at / CHUNK_LEN;
        let end = len.min((chunk + 1) * CHUNK_LEN);
        let place = |at: usize| chunk * SEALED_CHUNK_LEN + (at - chunk * CHUNK_LEN);
        self.buffer.as_slice().get(place(at)..place(end)).unwrap_or_default()
    }

    /// The first `len` bytes of plaintext, moved together and given away. They are wiped when the
    /// last clone is dropped.
    #[cfg(feature = "bytes")]
    pub(super) fn into_plaintext(mut self, len: usize) -> vault_crypto_core::Result<bytes::Bytes> {
        crate::body::close_gaps(self.buffer.as_mut_slice(), len)?;
        Ok(self.into_stored(len))
    }

    /// The first `len` stored bytes, given away.
    #[cfg(feature = "bytes")]
    pub(super) fn into_stored(self, len: usize) -> bytes::Bytes {
        bytes::Bytes::from_owner(Owned(self.buffer)).slice(..len)
    }

    /// Copies plaintext in behind the `filled` bytes that are there; gives how much fitted.
    pub(super) fn fill(&mut self, filled: usize, mut data: &[u8]) -> usize {
        let mut copied = 0;
        let mut at = filled;
        while let Some(place) = self.place(at).filter(|place| !place.is_empty()) {
            let len = place.len().min(data.len());
            let (now, later) = data.split_at(len);
            let Some(place) = place.get_mut(..len).filter(|place| !place.is_empty()) else { break };
            place.copy_from_slice(now);
            data = later;
            copied += len;
            at += len;
        }
        copied
    }

    /// What is left of the chunk that holds plaintext byte `at`.
    pub(super) fn place(&mut self, at: usize) -> Option<&mut [u8]> {
        let start = at / CHUNK_LEN * SEALED_CHUNK_LEN;
        self.buffer.as_mut_slice().get_mut(start..start + CHUNK_LEN)?.get_mut(at % CHUNK_LEN..)
    }
}

/// A buffer that `Bytes` can own: wiped when the last of them is dropped.
#[cfg(feature = "bytes")]
pub(super) struct Owned(pub(super) SecureBytes);

#[cfg(feature = "bytes")]
impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}
