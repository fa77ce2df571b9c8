//! Reading parts of a sealed object: one ranged fetch, authenticated, from anything that reads at an
//! offset.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use vault_crypto_core::{
    CryptoError, EncryptionContext, ErrorKind, Operation, Result, SecureBytes,
};

use super::StreamOpener;
use super::io::{into_io, reading};
use super::opener::read_header;
use crate::chunks::ChunkCipher;
use crate::{CHUNK_LEN, EnvelopeEncryption, SEALED_CHUNK_LEN, plaintext_len, plan_range};

/// Something stored that can be read at an offset: a file, a buffer, an object in a store.
pub trait ReadAt {
    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the object is shorter, or what reading gives.
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()>;

    /// Length of the object in bytes.
    ///
    /// # Errors
    /// What asking gives.
    fn stored_len(&self) -> std::io::Result<u64>;
}

#[cfg(unix)]
impl ReadAt for std::fs::File {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, out, offset)
    }

    fn stored_len(&self) -> std::io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        let end_of_file = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let start = usize::try_from(offset).map_err(|_| end_of_file())?;
        let end = start.checked_add(out.len()).ok_or_else(end_of_file)?;
        out.copy_from_slice(self.get(start..end).ok_or_else(end_of_file)?);
        Ok(())
    }

    fn stored_len(&self) -> std::io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.as_slice().read_exact_at(out, offset)
    }

    fn stored_len(&self) -> std::io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        (**self).read_exact_at(out, offset)
    }

    fn stored_len(&self) -> std::io::Result<u64> {
        (**self).stored_len()
    }
}

/// Random access to the plaintext of a stream; its length was authenticated when it was opened.
///
/// Also `Read` and `Seek`, for code that wants those.
pub struct RangeReader<S> {
    source: S,
    cipher: ChunkCipher,
    body_start: u64,
    body_len: u64,
    len: u64,
    position: u64,
}

impl EnvelopeEncryption {
    /// Opens an inline message for reading ranges: reads header and last chunk, so that the length
    /// is known to be authentic.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream); [`ErrorKind::Unsupported`] for a padded message, whose
    /// true length only reading it all can verify.
    pub async fn range_reader<S: ReadAt>(
        &self,
        source: S,
        context: &EncryptionContext,
    ) -> Result<RangeReader<S>> {
        let stored_len = source.stored_len().map_err(reading(Operation::Open))?;
        let mut front = FromStart { source: &source, offset: 0, len: stored_len };
        // A length that no body has shows before a key is asked for (docs/FORMAT.md section 10).
        let header = read_header(&mut front)?;
        plaintext_len(stored_len.saturating_sub(header.len() as u64))?;
        let opener = self.open_detached(&header, &mut front, context).await?;
        RangeReader::new(opener, source, stored_len)
    }
}

impl<S: ReadAt> RangeReader<S> {
    fn new(opener: StreamOpener, source: S, stored_len: u64) -> Result<Self> {
        if opener.padded {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Open)
                .with_detail("a padded message has no ranges; open it as a stream"));
        }
        let body_start = opener.header_len;
        let body_len = stored_len.saturating_sub(body_start);
        let len = plaintext_len(body_len)?;
        let reader = Self { source, cipher: opener.cipher, body_start, body_len, len, position: 0 };
        // Opening the last chunk authenticates the length (C2SP, implementation notes).
        let chunk = len / CHUNK_LEN as u64 * CHUNK_LEN as u64;
        reader.range(chunk..len)?;
        Ok(reader)
    }

    /// Length of the plaintext in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the plaintext has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The plaintext in `wanted`, cut at the end of the message, with one read of the source.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for altered bytes, [`ErrorKind::Io`],
    /// [`ErrorKind::LimitExceeded`] for more than fits in memory.
    pub fn range(&self, wanted: Range<u64>) -> Result<SecureBytes> {
        let plan = plan_range(self.body_len, wanted)?;
        let too_long = |_| CryptoError::new(ErrorKind::LimitExceeded, Operation::Open);
        let stored_len = usize::try_from(plan.chunks.end - plan.chunks.start).map_err(too_long)?;
        let len = usize::try_from(plan.len).map_err(too_long)?;
        let mut buffer = SecureBytes::zeroed(stored_len);
        self.source
            .read_exact_at(buffer.as_mut_slice(), self.body_start + plan.chunks.start)
            .map_err(reading(Operation::Open))?;
        let stored = buffer.as_mut_slice();
        self.cipher.open_segment(plan.first_chunk, stored, plan.includes_last)?;
        let mut out = Vec::with_capacity(len);
        let mut skip = plan.skip;
        for chunk in stored.chunks(SEALED_CHUNK_LEN) {
            let plain_len = chunk.len() - vault_crypto_core::aead::TAG_LEN;
            let piece = chunk.get(skip..plain_len).unwrap_or_default();
            out.extend_from_slice(piece.get(..len - out.len()).unwrap_or(piece));
            skip = skip.saturating_sub(plain_len);
        }
        Ok(SecureBytes::new(out))
    }
}

impl<S: ReadAt> Read for RangeReader<S> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        // At most one chunk a call: what is asked in small pieces is not opened many times over.
        let chunk_end = (self.position / CHUNK_LEN as u64 + 1).saturating_mul(CHUNK_LEN as u64);
        let end = self.position.saturating_add(out.len() as u64).min(chunk_end);
        if self.position >= self.len {
            return Ok(0);
        }
        let bytes = self.range(self.position..end).map_err(into_io)?;
        if let Some(out) = out.get_mut(..bytes.len()) {
            out.copy_from_slice(bytes.as_slice());
        }
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl<S: ReadAt> Seek for RangeReader<S> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position =
            position.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

impl<S> fmt::Debug for RangeReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReader").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Reads a source from its start, for the header.
struct FromStart<'a, S> {
    source: &'a S,
    offset: u64,
    len: u64,
}

impl<S: ReadAt> Read for FromStart<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.len - self.offset).unwrap_or(usize::MAX);
        let len = left.min(out.len());
        let part = out.get_mut(..len).unwrap_or_default();
        self.source.read_exact_at(part, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}
