//! Bodies under a key, a salt and a bound context of the caller's choice: for published vectors,
//! tests against other implementations, and fuzzing.
//!
//! Nothing here keeps a salt from being used twice, and whoever sees two bodies of one key and salt
//! can forge and reads the XOR of their plaintexts. Left to the rest of the crate: everything that
//! makes these pieces safe.

use std::fmt;

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{MESSAGE_ID_LEN, Suite};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};

use crate::Padding;
use crate::body::{BodyKey, Prologue};
use crate::chunks::ChunkKey;
use crate::padding::Unpadder;
#[cfg(feature = "bytes")]
pub use crate::stream::synthetic::SyntheticObject;

/// The body of one suite, or of the bare chunked scheme, under one key.
pub struct Body(BodyKey);

impl Body {
    /// The scheme of c2sp.org/chunked-encryption with SHA-512 under an input key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless the key is as long as the algorithm's.
    pub fn chunked(key: &[u8], algorithm: AeadAlgorithm, backend: AeadBackend) -> Result<Self> {
        if key.len() != algorithm.key_len() {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive)
                .with_detail("the input key has not the algorithm's length"));
        }
        Ok(Self(BodyKey::Chunked(ChunkKey::new(key, algorithm, backend))))
    }

    /// The body of `suite` under a data key; without a backend, on the fastest one.
    #[must_use]
    pub fn of_suite(secret: &DataKeySecret, suite: Suite, backend: Option<AeadBackend>) -> Self {
        Self(BodyKey::new(secret, suite, backend))
    }

    /// `salt || commitment || ciphertext and tags`; `context` is bound as it is (B of
    /// docs/FORMAT.md), and `content` is sealed as it is, padding and all.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] for a content that is too long for the suite.
    pub fn seal(
        &self,
        salt: &[u8; MESSAGE_ID_LEN],
        context: &[u8],
        content: &[u8],
    ) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.0.by_ref().seal_append(salt, context, content, Padding::None, &mut out)?;
        Ok(out)
    }

    /// Opens what [`seal`](Self::seal) gives; `padded` says whether padding is taken off.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`].
    pub fn open(&self, context: &[u8], body: &[u8], padded: bool) -> Result<SecureBytes> {
        let (prologue, data) = Prologue::split(body)?;
        let mut buffer = SecureBytes::new(data.to_vec());
        let len =
            self.0.by_ref().open_in_place(&prologue, context, buffer.as_mut_slice(), padded)?.len();
        buffer.truncate(len);
        Ok(buffer)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Body([REDACTED])")
    }
}

/// The content that is sealed for `plaintext`.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] where the length overflows.
pub fn pad(padding: Padding, plaintext: &[u8]) -> Result<Vec<u8>> {
    padding.padded(plaintext)
}

/// Takes padding off a content in memory, as records do.
///
/// # Errors
/// [`ErrorKind::AuthenticationFailed`] for a content that is not plaintext, zeros and length.
pub fn strip_padding(content: &[u8]) -> Result<SecureBytes> {
    let mut buffer = SecureBytes::new(content.to_vec());
    let len = Padding::strip(buffer.as_mut_slice())?.len();
    buffer.truncate(len);
    Ok(buffer)
}

/// Takes padding off a content that comes in pieces, as streams do.
///
/// # Errors
/// As [`strip_padding`].
pub fn strip_padding_of_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<SecureBytes> {
    let mut out = Vec::new();
    let mut emit = |bytes: &[u8]| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    let mut unpadder = Unpadder::default();
    for piece in pieces {
        unpadder.push(piece, &mut emit)?;
    }
    unpadder.finish(&mut emit)?;
    Ok(SecureBytes::new(out))
}
