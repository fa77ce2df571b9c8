//! Reading parts of a sealed object: one ranged fetch, authenticated, from anything that reads at an
//! offset.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use vault_crypto_core::aead::TAG_LEN;
use vault_crypto_core::{
    CryptoError, EncryptionContext, ErrorKind, Operation, Result, SecureBytes,
};

use super::StreamOpener;
use super::extent::{Extent, within};
use super::io::{into_io, reading};
use super::opener::read_header;
use super::read_at::{ReadAt, Seeking};
use crate::chunks::StreamCipher;
use crate::{CHUNK_LEN, EnvelopeEncryption, OpenedBy, SEALED_CHUNK_LEN, plaintext_len, plan_range};

/// Chunks that `Read` opens at once at most: 256 KiB.
const WINDOW_CHUNKS: u64 = 16;

/// Random access to the plaintext of a stream; its length was authenticated when it was opened.
///
/// Also `Read` and `Seek`, for code that wants those. Of a padded message the zeros behind the
/// plaintext are not looked at; [`open_whole`](EnvelopeEncryption::open_whole) checks them.
pub struct RangeReader<S> {
    source: S,
    cipher: StreamCipher,
    extent: Extent,
    len: u64,
    opened_by: OpenedBy,
    position: u64,
    /// What `Read` opened last, and where it starts.
    window: (u64, SecureBytes),
}

/// `Read` and `Seek` over the plaintext of anything that reads and seeks.
pub type OpenSeekReader<R> = RangeReader<Seeking<R>>;

impl EnvelopeEncryption {
    /// Opens an inline message for reading ranges: reads header and last chunk, so that the length
    /// is known to be authentic.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
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
        let start = opener.header_len;
        RangeReader::new(opener, source, start, stored_len)
    }

    /// As [`range_reader`](Self::range_reader), for a body whose header is stored apart.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn range_reader_detached<S: ReadAt>(
        &self,
        header: &[u8],
        body: S,
        context: &EncryptionContext,
    ) -> Result<RangeReader<S>> {
        let stored_len = body.stored_len().map_err(reading(Operation::Open))?;
        plaintext_len(stored_len)?;
        let mut front = FromStart { source: &body, offset: 0, len: stored_len };
        let opener = self.open_detached(header, &mut front, context).await?;
        RangeReader::new(opener, body, 0, stored_len)
    }

    /// A `Read` and `Seek` over the plaintext of the inline message that is all of `input`.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn seek_reader<R: Read + Seek>(
        &self,
        input: R,
        context: &EncryptionContext,
    ) -> Result<OpenSeekReader<R>> {
        self.range_reader(Seeking::new(input), context).await
    }
}

impl<S: ReadAt> RangeReader<S> {
    fn new(opener: StreamOpener, source: S, start: u64, stored_len: u64) -> Result<Self> {
        let extent = Extent::new(start, stored_len, opener.padded)?;
        let opened_by = opener.opened_by().clone();
        let window = (0, SecureBytes::new(Vec::new()));
        let cipher = opener.cipher;
        let mut reader = Self { source, cipher, extent, len: 0, opened_by, position: 0, window };
        reader.len = extent.plaintext_len(reader.content(extent.tail())?.as_slice())?;
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

    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        &self.opened_by
    }

    /// The plaintext in `wanted`, cut at the end of the message, with one read of the source.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a range that starts beyond the end or ends before it starts,
    /// [`ErrorKind::AuthenticationFailed`] for altered bytes, [`ErrorKind::Io`],
    /// [`ErrorKind::LimitExceeded`] for more than fits in memory.
    pub fn range(&self, wanted: Range<u64>) -> Result<SecureBytes> {
        let wanted = within(&wanted, self.len)?;
        if wanted.is_empty() {
            return Ok(SecureBytes::new(Vec::new()));
        }
        self.content(wanted)
    }

    /// What was sealed in `wanted`, which lies within it.
    fn content(&self, wanted: Range<u64>) -> Result<SecureBytes> {
        let plan = plan_range(self.extent.len, wanted)?;
        let too_long = |_| CryptoError::new(ErrorKind::LimitExceeded, Operation::Open);
        let stored_len = usize::try_from(plan.chunks.end - plan.chunks.start).map_err(too_long)?;
        let len = usize::try_from(plan.len).map_err(too_long)?;
        let mut buffer = SecureBytes::zeroed(stored_len);
        self.source
            .read_exact_at(buffer.as_mut_slice(), self.extent.start + plan.chunks.start)
            .map_err(reading(Operation::Open))?;
        let stored = buffer.as_mut_slice();
        self.cipher.open_segment(plan.first_chunk, stored, plan.includes_last)?;
        let mut filled = 0;
        let mut skip = plan.skip;
        for start in (0..stored_len).step_by(SEALED_CHUNK_LEN) {
            let end = stored_len.min(start + SEALED_CHUNK_LEN) - TAG_LEN;
            let from = start + std::mem::take(&mut skip);
            let piece = from..end.min(from + (len - filled));
            let piece_len = piece.len();
            stored.copy_within(piece, filled);
            filled += piece_len;
        }
        buffer.truncate(len);
        Ok(buffer)
    }

    /// Opens the chunks that hold the position and what follows, as many as are asked for.
    fn refill(&mut self, wanted: usize) -> Result<()> {
        let chunk = CHUNK_LEN as u64;
        let first = self.position / chunk;
        let end = self.position.saturating_add(wanted as u64).div_ceil(chunk);
        let end = end.clamp(first + 1, first + WINDOW_CHUNKS);
        self.window = (first * chunk, self.range(first * chunk..end * chunk)?);
        Ok(())
    }

    /// What is opened already from the position on.
    fn at_hand(&self) -> &[u8] {
        let (start, bytes) = &self.window;
        let skip = self.position.checked_sub(*start).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| bytes.as_slice().get(skip..)).unwrap_or_default()
    }
}

impl<S: ReadAt> Read for RangeReader<S> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.position >= self.len || out.is_empty() {
            return Ok(0);
        }
        if self.at_hand().is_empty() {
            self.refill(out.len()).map_err(into_io)?;
        }
        let bytes = self.at_hand();
        let len = bytes.len().min(out.len());
        if let (Some(out), Some(bytes)) = (out.get_mut(..len), bytes.get(..len)) {
            out.copy_from_slice(bytes);
        }
        self.position += len as u64;
        Ok(len)
    }
}

impl<S: ReadAt> Seek for RangeReader<S> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.position = moved(self.position, self.len, to)?;
        Ok(self.position)
    }
}

/// Where a seek leads from `position` in a plaintext of `len` bytes.
pub(super) fn moved(position: u64, len: u64, to: SeekFrom) -> std::io::Result<u64> {
    let moved = match to {
        SeekFrom::Start(offset) => Some(offset),
        SeekFrom::End(offset) => len.checked_add_signed(offset),
        SeekFrom::Current(offset) => position.checked_add_signed(offset),
    };
    moved.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))
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
