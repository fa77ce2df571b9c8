//! A message that is released as a whole or not at all.

use std::fmt;
use std::io::Read;

use vault_crypto_core::{
    CryptoError, EncryptionContext, ErrorKind, Operation, Result, SecureBytes,
};

use crate::{EnvelopeEncryption, OpenedBy};

/// The plaintext of a stream whose last chunk was authenticated before the first byte was handed
/// out. [`OpenReader`](crate::OpenReader), by contrast, releases chunk by chunk.
pub struct WholeMessage {
    plaintext: SecureBytes,
    opened_by: OpenedBy,
}

impl EnvelopeEncryption {
    /// Opens a stream into memory: all of it, or an error.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream), and [`ErrorKind::LimitExceeded`] for over `limit`
    /// bytes of plaintext, before more than that is kept.
    pub async fn open_whole<R: Read>(
        &self,
        mut stream: R,
        context: &EncryptionContext,
        limit: usize,
    ) -> Result<WholeMessage> {
        let opener = self.open_stream(&mut stream, context).await?;
        let opened_by = opener.opened_by().clone();
        let mut reader = opener.into_reader(stream);
        let mut whole = Growing::new(limit);
        loop {
            let len = reader.read_plaintext(whole.piece.as_mut_slice())?;
            if !whole.take(len)? {
                return Ok(WholeMessage { plaintext: whole.plaintext, opened_by });
            }
        }
    }

    /// As [`open_whole`](Self::open_whole), from an async input.
    ///
    /// A future that is dropped takes `stream` with it.
    ///
    /// # Errors
    /// As [`open_whole`](Self::open_whole).
    #[cfg(feature = "async")]
    pub async fn open_whole_async<R: futures_io::AsyncRead + Unpin>(
        &self,
        stream: R,
        context: &EncryptionContext,
        limit: usize,
    ) -> Result<WholeMessage> {
        let mut reader = self.async_reader(stream, context).await?;
        let opened_by = reader.opened_by().clone();
        let mut whole = Growing::new(limit);
        loop {
            let piece = whole.piece.as_mut_slice();
            let len = std::future::poll_fn(|cx| reader.poll_read_plaintext(cx, piece)).await?;
            if !whole.take(len)? {
                return Ok(WholeMessage { plaintext: whole.plaintext, opened_by });
            }
        }
    }
}

/// A plaintext that grows up to a limit.
struct Growing {
    plaintext: SecureBytes,
    /// Where the next piece is put.
    piece: zeroize::Zeroizing<[u8; crate::CHUNK_LEN]>,
    limit: usize,
}

impl Growing {
    fn new(limit: usize) -> Self {
        let piece = zeroize::Zeroizing::new([0; crate::CHUNK_LEN]);
        Self { plaintext: SecureBytes::new(Vec::new()), piece, limit }
    }

    /// Takes over `len` bytes of the piece; false at the end.
    fn take(&mut self, len: usize) -> Result<bool> {
        let bytes = self.piece.get(..len).unwrap_or_default();
        if bytes.len() > self.limit - self.plaintext.len() {
            return Err(too_long());
        }
        let plaintext = std::mem::replace(&mut self.plaintext, SecureBytes::new(Vec::new()));
        self.plaintext = grown(plaintext, bytes);
        Ok(!bytes.is_empty())
    }
}

/// More than was allowed to be kept in memory.
#[cold]
pub(crate) fn too_long() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Open)
        .with_detail("the message is longer than the limit for opening in memory")
}

/// Appends without leaving an unwiped copy behind when the buffer moves.
pub(crate) fn grown(mut plaintext: SecureBytes, bytes: &[u8]) -> SecureBytes {
    let mut inner = std::mem::replace(&mut plaintext, SecureBytes::new(Vec::new())).into_vec();
    if inner.capacity() - inner.len() < bytes.len() {
        let mut larger = Vec::with_capacity((inner.len() + bytes.len()).next_power_of_two());
        larger.extend_from_slice(&inner);
        drop(SecureBytes::new(inner));
        inner = larger;
    }
    inner.extend_from_slice(bytes);
    SecureBytes::new(inner)
}

impl WholeMessage {
    /// All that was sealed, authenticated, and who opened it.
    #[cfg(feature = "bytes")]
    pub(crate) fn from_content(
        mut content: SecureBytes,
        padded: bool,
        opened_by: OpenedBy,
    ) -> Result<Self> {
        if padded {
            let len = crate::Padding::strip(content.as_mut_slice())?.len();
            content.truncate(len);
        }
        Ok(Self { plaintext: content, opened_by })
    }

    /// The plaintext.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.plaintext.as_slice()
    }

    /// The plaintext, given away.
    #[must_use]
    pub fn into_plaintext(self) -> SecureBytes {
        self.plaintext
    }

    /// Which slot opened it.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        &self.opened_by
    }
}

impl fmt::Debug for WholeMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WholeMessage({} bytes, [REDACTED])", self.plaintext.len())
    }
}
