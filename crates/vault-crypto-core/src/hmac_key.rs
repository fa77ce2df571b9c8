//! HMAC with SHA-512 under a key whose state is kept: what the chunked scheme derives its message
//! keys with.
//!
//! Left to others: what is authenticated or derived. [`mac`](crate::mac) has the MACs of single calls.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512;

/// A key of HMAC-SHA-512 (RFC 2104) with both hash states ready. Allocates nothing; wiped on drop.
pub struct HmacSha512Key(Hmac<Sha512>);

impl HmacSha512Key {
    /// Takes a key of any length.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(keyed(key))
    }

    /// The MAC of all `parts`, one after another.
    #[inline]
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 64] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for HmacSha512Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSha512Key([REDACTED])")
    }
}

#[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes keys of every length")]
fn keyed(key: &[u8]) -> Hmac<Sha512> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}
