//! Reading a header of unknown length, without any I/O: what sync and async openers share.

use vault_crypto_core::Result;
use vault_crypto_core::header::{PREFIX_LEN, parse_prefix};

/// Collects a header, making room only for what its checked lengths ask for (at most 64 KiB).
///
/// Fill [`place`](Self::place) until it is empty or the input ends, then [`finish`](Self::finish).
pub(super) struct HeaderReader {
    bytes: Vec<u8>,
    filled: usize,
}

impl HeaderReader {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; PREFIX_LEN], filled: 0 }
    }

    /// Where the next bytes go; empty when the header is whole.
    pub(super) fn place(&mut self) -> Result<&mut [u8]> {
        if self.filled == PREFIX_LEN && self.bytes.len() == PREFIX_LEN {
            let prefix = parse_prefix(&self.bytes)?;
            self.bytes.resize(prefix.header_len, 0);
        }
        Ok(self.bytes.get_mut(self.filled..).unwrap_or_default())
    }

    /// `len` bytes were put there.
    pub(super) fn advance(&mut self, len: usize) {
        self.filled += len;
    }

    /// The header, cut off where the input ended.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.bytes
    }
}
