//! Authenticated encryption with a nonce given by the caller: AES-256-GCM (NIST SP 800-38D) and
//! ChaCha20-Poly1305 (RFC 8439) over three backends that produce the same bytes.
//!
//! This is the floor on which the message suites stand. Left to others: choosing a nonce that is
//! never repeated ([`CryptoEngine`](crate::engine) and the suites do), key commitment
//! ([`xaes`](crate::xaes), the chunked scheme), and any framing.

use std::fmt;

use crate::{CryptoError, ErrorKind, Operation, Result};

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "xaes")]
mod once;
#[cfg(feature = "ring")]
mod ring;
mod rust_crypto;
mod select;

#[cfg(feature = "xaes")]
pub(crate) use once::{open_once, seal_once};

/// Length of an AES-256-GCM or ChaCha20-Poly1305 key in bytes.
pub const KEY_LEN: usize = 32;
/// Length of a nonce in bytes.
pub const NONCE_LEN: usize = 12;
/// Length of an authentication tag in bytes.
pub const TAG_LEN: usize = 16;

/// Longest plaintext of one call in bytes: 2^36 - 32 (SP 800-38D, section 5.2.1.1), which is below
/// the limit of RFC 8439 (2^38 - 64), so that all algorithms and backends refuse alike.
pub const MAX_DATA_LEN: u64 = (1 << 36) - 32;

/// An AEAD with a 12-byte nonce and a 16-byte tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AeadAlgorithm {
    /// AES-256 in Galois/Counter mode, NIST SP 800-38D.
    Aes256Gcm,
    /// RFC 8439.
    ChaCha20Poly1305,
    /// AES-128 in Galois/Counter mode: for the published vectors of Cobblestone-128, nothing else.
    #[cfg(feature = "hazmat")]
    Aes128Gcm,
}

impl AeadAlgorithm {
    /// Length of its key in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => KEY_LEN,
            #[cfg(feature = "hazmat")]
            Self::Aes128Gcm => 16,
        }
    }
}

/// Whose code runs the algorithm. The choice changes no byte of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AeadBackend {
    /// The crates `aes-gcm` and `chacha20poly1305`: portable Rust, always there.
    RustCrypto,
    /// The crate `ring`.
    #[cfg(feature = "ring")]
    Ring,
    /// The crate `aws-lc-rs`.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

impl AeadBackend {
    /// All backends of this build.
    #[must_use]
    pub const fn available() -> &'static [Self] {
        &[
            Self::RustCrypto,
            #[cfg(feature = "ring")]
            Self::Ring,
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs,
        ]
    }

    /// A stable name for logs and `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RustCrypto => "rustcrypto",
            #[cfg(feature = "ring")]
            Self::Ring => "ring",
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs => "aws-lc-rs",
        }
    }
}

/// An expanded key, ready to seal and open.
///
/// What is wiped on drop depends on the backend: RustCrypto wipes its whole schedule; ring does not
/// wipe its own, so it is overwritten here with the schedule of a zero key; aws-lc-rs keeps its
/// schedule on its own heap and cleanses it when it frees it. Moving a key may leave a copy on the
/// stack with the first two. ring and RustCrypto allocate nothing; aws-lc-rs allocates per key.
///
/// ```
/// use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, AeadKey};
/// let backend = AeadBackend::fastest(AeadAlgorithm::Aes256Gcm);
/// let key = AeadKey::new(AeadAlgorithm::Aes256Gcm, backend, &[7; 32])?;
/// let mut data = *b"4111 1111";
/// let tag = key.seal_in_place(&[0; 12], b"row 42", &mut data)?;
/// key.open_in_place(&[0; 12], b"row 42", &mut data, &tag)?;
/// assert_eq!(&data, b"4111 1111");
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
pub struct AeadKey(Inner);

#[allow(
    clippy::large_enum_variant,
    reason = "a box would cost every record an allocation; whether it is large depends on features"
)]
enum Inner {
    RustCrypto(rust_crypto::Key),
    #[cfg(feature = "ring")]
    Ring(ring::Key),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(aws_lc::Key),
}

/// Runs the same method of whichever backend the key lives in.
macro_rules! on_backend {
    ($inner:expr, $key:ident => $call:expr) => {
        match $inner {
            Inner::RustCrypto($key) => $call,
            #[cfg(feature = "ring")]
            Inner::Ring($key) => $call,
            #[cfg(feature = "aws-lc-rs")]
            Inner::AwsLcRs($key) => $call,
        }
    };
}

impl AeadKey {
    /// Expands `key` for `algorithm` on `backend`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] unless the key has [`AeadAlgorithm::key_len`] bytes.
    #[inline]
    pub fn new(algorithm: AeadAlgorithm, backend: AeadBackend, key: &[u8]) -> Result<Self> {
        if key.len() != algorithm.key_len() {
            return Err(wrong_key_len());
        }
        let inner = match backend {
            AeadBackend::RustCrypto => rust_crypto::Key::new(algorithm, key).map(Inner::RustCrypto),
            #[cfg(feature = "ring")]
            AeadBackend::Ring => ring::Key::new(algorithm, key).map(Inner::Ring),
            #[cfg(feature = "aws-lc-rs")]
            AeadBackend::AwsLcRs => aws_lc::Key::new(algorithm, key).map(Inner::AwsLcRs),
        };
        inner.map(Self).map_err(backend_failed)
    }

    /// Encrypts `data` where it lies and gives the tag.
    ///
    /// The same `nonce` must never be used twice with one key: whoever sees two such messages can
    /// forge, and reads the XOR of their plaintexts.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] for more than [`MAX_DATA_LEN`] bytes.
    #[inline]
    pub fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG_LEN]> {
        check_len(data)?;
        on_backend!(&self.0, key => key.seal(nonce, aad, data)).map_err(backend_failed)
    }

    /// Decrypts `data` where it lies, if nonce, associated data, ciphertext and tag belong together.
    ///
    /// On failure `data` is all zeros, whichever the backend: no unauthenticated plaintext is ever
    /// left in it.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for any mismatch.
    #[inline]
    pub fn open_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<()> {
        on_backend!(&self.0, key => key.open(nonce, aad, data, tag)).map_err(|Failed| {
            data.fill(0);
            CryptoError::authentication_failed(Operation::Primitive)
        })
    }
}

/// The backend's name is no secret; the key is.
impl fmt::Debug for AeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey([REDACTED])")
    }
}

/// What a backend says of any failure: nothing more.
#[derive(Clone, Copy)]
struct Failed;

#[inline]
fn check_len(data: &[u8]) -> Result<()> {
    match u64::try_from(data.len()) {
        Ok(len) if len <= MAX_DATA_LEN => Ok(()),
        _ => Err(too_long()),
    }
}

#[cold]
fn too_long() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Primitive)
        .with_detail("one AEAD call takes at most 2^36 - 32 bytes")
}

#[cold]
fn wrong_key_len() -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive)
        .with_detail("the key has not the algorithm's length")
}

#[cold]
fn backend_failed(_: Failed) -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Primitive)
        .with_detail("the cipher backend failed")
}
