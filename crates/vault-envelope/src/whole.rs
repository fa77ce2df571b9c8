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
        let mut plaintext = SecureBytes::new(Vec::new());
        let mut piece = zeroize::Zeroizing::new([0; crate::CHUNK_LEN]);
        loop {
            let len = reader.read_plaintext(piece.as_mut_slice())?;
            let Some(bytes) = piece.get(..len).filter(|bytes| !bytes.is_empty()) else { break };
            if bytes.len() > limit - plaintext.len() {
                return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::Open)
                    .with_detail("the message is longer than the limit for opening in memory"));
            }
            plaintext = grown(plaintext, bytes);
        }
        Ok(WholeMessage { plaintext, opened_by })
    }
}

/// Appends without leaving an unwiped copy behind when the buffer moves.
fn grown(mut plaintext: SecureBytes, bytes: &[u8]) -> SecureBytes {
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
