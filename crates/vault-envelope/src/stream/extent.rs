//! Where a stored body lies and how long its plaintext is: what the sync and the async range readers
//! share. No I/O here, and nothing secret but the trailer of a padded message.

use std::ops::Range;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use crate::padding::TRAILER_LEN;
use crate::{CHUNK_LEN, plaintext_len};

/// A body in an object, by what the object's store says of its length. Nothing here is authentic
/// before the [`tail`](Self::tail) was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Where the body starts in its object.
    pub(super) start: u64,
    /// Stored bytes of the body.
    pub(super) len: u64,
    /// Bytes that were sealed: plaintext, and padding if there is any.
    pub(super) content: u64,
    pub(super) padded: bool,
}

impl Extent {
    /// A body behind a header of `start` bytes in an object of `object_len` bytes.
    pub(super) fn new(start: u64, object_len: u64, padded: bool) -> Result<Self> {
        let len = object_len.saturating_sub(start);
        let content = plaintext_len(len)?;
        if padded && content < TRAILER_LEN as u64 {
            return Err(CryptoError::authentication_failed(Operation::Open));
        }
        Ok(Self { start, len, content, padded })
    }

    /// The content that ends the message: opening it authenticates the length (C2SP, implementation
    /// notes), and of a padded message it holds the plaintext's (docs/FORMAT.md section 10).
    pub(super) fn tail(&self) -> Range<u64> {
        if self.padded {
            self.content - TRAILER_LEN as u64..self.content
        } else {
            self.content / CHUNK_LEN as u64 * CHUNK_LEN as u64..self.content
        }
    }

    /// Length of the plaintext, from the opened tail.
    pub(super) fn plaintext_len(&self, tail: &[u8]) -> Result<u64> {
        if !self.padded {
            return Ok(self.content);
        }
        let altered = || CryptoError::authentication_failed(Operation::Open);
        let trailer: [u8; TRAILER_LEN] = tail.try_into().map_err(|_| altered())?;
        let len = u64::from_be_bytes(trailer);
        if len > self.content - TRAILER_LEN as u64 { Err(altered()) } else { Ok(len) }
    }
}

/// A range of a plaintext of `len` bytes, cut at its end.
pub(super) fn within(wanted: &Range<u64>, len: u64) -> Result<Range<u64>> {
    let refuse =
        |why| Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Open).with_detail(why));
    if wanted.end < wanted.start {
        return refuse("the range ends before it starts");
    }
    if wanted.start > len {
        return refuse("the range starts beyond the end of the message");
    }
    Ok(wanted.start..wanted.end.min(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body_len;

    #[test]
    fn a_trailer_that_says_more_than_was_sealed_is_not_authentic() {
        let content = 20_000;
        let extent = Extent::new(100, 100 + body_len(content).unwrap(), true).unwrap();
        assert_eq!(extent.tail(), content - 8..content);
        assert_eq!(extent.plaintext_len(&19_992_u64.to_be_bytes()).unwrap(), 19_992);
        for lie in [19_993, u64::MAX] {
            assert!(extent.plaintext_len(&lie.to_be_bytes()).is_err(), "{lie}");
        }
        assert!(extent.plaintext_len(&[0; 7]).is_err());
        assert!(Extent::new(100, 100 + body_len(7).unwrap(), true).is_err());
    }
}
