//! Big-endian fields with lengths in front: the smallest reader and writer that the files need.

use zeroize::Zeroizing;

/// Reads fields off the front; `None` when the bytes run out. Allocates only what is really there.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let len = usize::from(self.u16()?);
        std::str::from_utf8(self.bytes(len)?).ok().map(str::to_owned)
    }
}

/// Appends fields to a buffer that is sized once, so that no reallocation leaves a copy of a key.
pub(crate) struct Writer {
    out: Zeroizing<Vec<u8>>,
    fits: bool,
}

impl Writer {
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self { out: Zeroizing::new(Vec::with_capacity(len)), fits: true }
    }

    /// What was written; `None` if a field did not fit its length or the buffer its capacity.
    pub(crate) fn finish(self) -> Option<Zeroizing<Vec<u8>>> {
        self.fits.then_some(self.out)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if self.out.capacity() - self.out.len() < bytes.len() {
            self.fits = false;
        } else {
            self.out.extend_from_slice(bytes);
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A number of things that follow.
    pub(crate) fn count(&mut self, count: usize) {
        match u16::try_from(count) {
            Ok(count) => self.u16(count),
            Err(_) => self.fits = false,
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }
}
