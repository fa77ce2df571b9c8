//! Sealing a stream: the message's key and prologue, and the `Write` that seals what is written.

use std::fmt;
use std::io::Write;

use vault_crypto_core::derive::body_context;
use vault_crypto_core::header::Shape;
use vault_crypto_core::{EncryptionContext, Operation, Result};

use super::io::{into_io, writing};
use super::segment::Segment;
use crate::body::BodyKey;
use crate::chunks::ChunkCipher;
use crate::envelope::{Fresh, padding_flag};
use crate::padding::TRAILER_LEN;
use crate::{EnvelopeEncryption, Padding};

/// Chunks that a [`SealWriter`] holds: 256 KiB.
const WRITER_CHUNKS: usize = 16;

/// A new message whose body is still to come. Make a writer of it, or seal a whole input in parallel.
pub struct StreamSealer {
    pub(super) header: Vec<u8>,
    pub(super) prologue: Vec<u8>,
    pub(super) cipher: ChunkCipher,
    pub(super) padding: Padding,
}

impl EnvelopeEncryption {
    /// Asks the KMS for a data key and prepares a stream. `len` is the plaintext's length if known:
    /// a short message then gets a header without alignment.
    ///
    /// # Errors
    /// [`InvalidInput`](vault_crypto_core::ErrorKind::InvalidInput) for a bad context, or the KMS's error.
    pub async fn seal_stream(
        &self,
        context: &EncryptionContext,
        len: Option<u64>,
    ) -> Result<StreamSealer> {
        let suite = self.shared.stream_suite;
        let padding = self.shared.padding;
        let bound =
            body_context(suite, Shape::Stream, padding_flag(padding), &self.scope, context)?;
        let Fresh { secret, mut header } = self.fresh(suite, Shape::Stream).await?;
        header.exclusive = true;
        let salt = self.shared.random.nonce(self.shared.clock.monotonic())?;
        header.message_id = salt;
        let header = secret.seal_header(&mut header, &self.scope, len)?;
        let key = BodyKey::new(&secret, suite, self.shared.backend).into_chunk_key()?;
        let (cipher, commitment) = key.derive(&salt, &bound)?;
        let prologue = [salt.as_slice(), commitment.as_slice()].concat();
        Ok(StreamSealer { header, prologue, cipher, padding })
    }

    /// A writer that seals what is written to it into `out`. Without
    /// [`finish`](SealWriter::finish) the message does not open.
    ///
    /// # Errors
    /// As [`seal_stream`](Self::seal_stream).
    pub async fn writer<W: Write>(
        &self,
        out: W,
        context: &EncryptionContext,
    ) -> Result<SealWriter<W>> {
        self.seal_stream(context, None).await?.into_writer(out)
    }
}

impl StreamSealer {
    /// Takes the header away, to be stored as an object of its own; what is written is the bare body.
    #[must_use]
    pub fn detach_header(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.header)
    }

    /// A writer that seals into `out`; header, salt and commitment are written at once.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io).
    pub fn into_writer<W: Write>(self, mut out: W) -> Result<SealWriter<W>> {
        out.write_all(&self.head()).map_err(writing(Operation::Seal))?;
        Ok(SealWriter {
            out,
            cipher: self.cipher,
            padding: self.padding,
            segment: Segment::new(WRITER_CHUNKS),
            filled: 0,
            next_chunk: 0,
            total: 0,
            broken: false,
        })
    }

    /// What stands before the first chunk.
    pub(super) fn head(&self) -> Vec<u8> {
        [self.header.as_slice(), self.prologue.as_slice()].concat()
    }
}

impl fmt::Debug for StreamSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSealer").finish_non_exhaustive()
    }
}

/// Seals what is written to it, 16 KiB chunk by chunk, in constant memory.
///
/// After an error every further call fails too.
pub struct SealWriter<W> {
    out: W,
    cipher: ChunkCipher,
    padding: Padding,
    segment: Segment,
    filled: usize,
    next_chunk: u64,
    total: u64,
    broken: bool,
}

impl<W: Write> SealWriter<W> {
    /// Seals the last chunk and hands the output back. Until then the message does not open.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io).
    pub fn finish(mut self) -> Result<W> {
        let len = self.total;
        for piece in padding_tail(self.padding, len)? {
            self.write_all(&piece).map_err(writing(Operation::Seal))?;
        }
        self.seal_filled(true).map_err(writing(Operation::Seal))?;
        self.out.flush().map_err(writing(Operation::Seal))?;
        Ok(self.out)
    }

    fn seal_filled(&mut self, is_last: bool) -> std::io::Result<()> {
        let stored = self
            .cipher
            .seal_segment(self.next_chunk, self.segment.stored_mut(), self.filled, is_last)
            .map_err(into_io)?;
        self.out.write_all(self.segment.stored(stored))?;
        self.next_chunk += (self.filled / crate::CHUNK_LEN) as u64;
        self.filled = 0;
        Ok(())
    }

    fn take(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let copied = self.segment.fill(self.filled, data);
        self.filled += copied;
        self.total += copied as u64;
        if self.filled == self.segment.plaintext_capacity() {
            self.seal_filled(false)?;
        }
        Ok(copied)
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if self.broken {
            return Err(std::io::Error::other("an earlier write of this message failed"));
        }
        let result = self.take(data);
        self.broken = result.is_err();
        result
    }

    /// Flushes what is sealed; a chunk that is not full stays here until more comes or `finish`.
    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl<W> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealWriter").field("written", &self.total).finish_non_exhaustive()
    }
}

/// Zeros and trailer behind a plaintext of `len` bytes, in pieces of bounded size.
pub(super) fn padding_tail(padding: Padding, len: u64) -> Result<impl Iterator<Item = Vec<u8>>> {
    const PIECE: u64 = 64 << 10;
    let mut zeros = 0;
    let mut trailer = Vec::new();
    if !padding.is_none() {
        zeros = crate::padding::padme(len + TRAILER_LEN as u64) - len - TRAILER_LEN as u64;
        trailer = len.to_be_bytes().to_vec();
    }
    let pieces = (0..zeros.div_ceil(PIECE)).map(move |index| {
        let len = (zeros - index * PIECE).min(PIECE);
        vec![0; usize::try_from(len).unwrap_or(0)]
    });
    Ok(pieces.chain(std::iter::once(trailer)))
}
