//! Types for bytes and text that must not leak: wiped on drop, redacted in `Debug`, no `Clone`.
//!
//! Left to others: keeping pages out of swap and core dumps.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::constant_time_eq;

/// A buffer of secret bytes (a key, a plaintext).
///
/// It is wiped when dropped, prints as `SecureBytes([REDACTED])`, and is copied only by
/// [`duplicate`](Self::duplicate). Its length is not a secret.
///
/// ```
/// use vault_crypto_core::SecureBytes;
/// let secret = SecureBytes::new(b"4111 1111".to_vec());
/// assert_eq!(format!("{secret:?}"), "SecureBytes([REDACTED])");
/// assert_eq!(secret.as_slice(), b"4111 1111");
/// ```
pub struct SecureBytes(Vec<u8>);

impl SecureBytes {
    /// Takes ownership of `data`; the buffer is wiped on drop, capacity included.
    #[must_use]
    pub fn new(data: Vec<u8>) -> Self {
        Self(data)
    }

    /// `len` zero bytes, to be filled in place.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self(vec![0; len])
    }

    /// Looks inside: the explicit call.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Looks inside to fill or change.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A second copy, asked for by name.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Gives the plain vector away; from here on nobody wipes it.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    /// Shortens to `len` bytes, wiping the rest. Longer lengths change nothing.
    pub fn truncate(&mut self, len: usize) {
        if let Some(rest) = self.0.get_mut(len..) {
            wipe(rest);
        }
        self.0.truncate(len);
    }
}

/// Length zero afterwards, as with a `Vec`.
impl Zeroize for SecureBytes {
    fn zeroize(&mut self) {
        // Up to the capacity, where an earlier, longer content may lie; that cannot reallocate.
        self.0.resize(self.0.capacity(), 0);
        wipe(&mut self.0);
        self.0.clear();
    }
}

impl Drop for SecureBytes {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for SecureBytes {}

/// Wipes as `zeroize` does, which writes byte by byte: that costs more than decrypting them did.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // The zeros are looked at, so they cannot be left out.
    zeroize::optimization_barrier(bytes);
}

/// Bytes of the stack that [`wipe_stack`] overwrites.
const STACK_WIPE: usize = 16 * 1024;

/// Overwrites what the calls that have just returned left on the stack, 16 KiB deep.
///
/// Deriving or expanding a key leaves copies in frames that nobody can name any more: returned values,
/// hash states, spilled registers. This puts zeros there. It costs about 200 ns, so it is for the end of
/// operations that are rare anyway, such as a call to a KMS.
#[inline(never)]
pub fn wipe_stack() {
    let room = [0_u8; STACK_WIPE];
    // The zeros are looked at, so they cannot be left out.
    zeroize::optimization_barrier(&room);
}

impl fmt::Debug for SecureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureBytes([REDACTED])")
    }
}

impl From<Vec<u8>> for SecureBytes {
    fn from(data: Vec<u8>) -> Self {
        Self(data)
    }
}

/// Constant time for equal lengths.
impl PartialEq for SecureBytes {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(&self.0, &other.0)
    }
}

impl Eq for SecureBytes {}

impl<T: AsRef<[u8]>> PartialEq<T> for SecureBytes {
    fn eq(&self, other: &T) -> bool {
        constant_time_eq(&self.0, other.as_ref())
    }
}

/// Secret text (a passphrase, a token), with the same rules as [`SecureBytes`].
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecureString(String);

impl SecureString {
    /// Takes ownership of `text`; it is wiped on drop.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Looks inside: the explicit call.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for SecureString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecureString([REDACTED])")
    }
}

impl From<String> for SecureString {
    fn from(text: String) -> Self {
        Self(text)
    }
}
