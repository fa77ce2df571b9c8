//! Bytes that are written once and wiped: request bodies on their way out, answers on their way in.
//!
//! Left to others: what the HTTP library copies into its own buffers, which nobody can wipe (README).

use std::io;

use bytes::Bytes;
use serde::Serialize;
use vault_crypto_core::SecureBytes;
use zeroize::{Zeroize, Zeroizing};

/// Room that most requests and answers need.
const USUAL_LEN: usize = 1_024;

/// A growing buffer that wipes what it grew out of.
pub(crate) struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn extend(&mut self, more: &[u8]) {
        let needed = self.0.len().saturating_add(more.len());
        if needed > self.0.capacity() {
            let mut larger = Vec::with_capacity(needed.max(self.0.capacity().saturating_mul(2)));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(more);
    }

    pub(crate) fn into_secure(mut self) -> SecureBytes {
        SecureBytes::new(std::mem::take(&mut *self.0))
    }
}

impl io::Write for WipedBuffer {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.extend(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `body` as JSON, wiped when the last handle to it is gone; `None` for what is no JSON.
pub(crate) fn json(body: &impl Serialize) -> Option<Bytes> {
    let mut buffer = WipedBuffer::with_capacity(USUAL_LEN);
    serde_json::to_writer(&mut buffer, body).ok()?;
    Some(Bytes::from_owner(buffer.0))
}

/// Wipes a piece that the HTTP library handed over, where nobody else holds it any more.
pub(crate) fn wipe_piece(piece: Bytes) {
    if let Ok(mut bytes) = piece.try_into_mut() {
        bytes.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_grows_keeps_its_bytes() {
        let mut buffer = WipedBuffer::with_capacity(2);
        for part in [&b"ab"[..], b"c", b"", b"defghijklmnop"] {
            buffer.extend(part);
        }
        assert_eq!(buffer.len(), 16);
        assert_eq!(buffer.into_secure(), b"abcdefghijklmnop");
    }
}
