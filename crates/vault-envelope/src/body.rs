//! Bodies in memory: one value sealed or opened under a data key at hand, suites 1, 2 and 3.
//!
//! Left to `stream`: bodies that do not fit in memory.

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, TAG_LEN};
use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{MESSAGE_ID_LEN, Suite};
use vault_crypto_core::locked::LockedBox;
use vault_crypto_core::xaes::{COMMITMENT_LEN, XaesKey};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};

use crate::chunks::{CHUNK_LEN, ChunkKey, ChunkKeyRef, PROLOGUE_LEN, SEALED_CHUNK_LEN, defect};
use crate::padding::Padding;
use crate::shared::Shared;
use crate::{EnvelopeEncryption, MAX_RECORD_LEN};

/// The key of all bodies of one suite under one data key, schedule and MAC state kept.
pub(crate) enum BodyKey {
    Chunked(ChunkKey),
    Xaes(XaesKey),
}

impl BodyKey {
    pub(crate) fn new(secret: &DataKeySecret, suite: Suite, backend: Option<AeadBackend>) -> Self {
        let key = secret.body_key(suite);
        match suite {
            Suite::KcXaes256Gcm => {
                let fastest = || AeadBackend::fastest(AeadAlgorithm::Aes256Gcm);
                Self::Xaes(XaesKey::new(&key, backend.unwrap_or_else(fastest)))
            }
            _ => {
                let algorithm = chunk_algorithm(suite);
                let fastest = || AeadBackend::fastest(algorithm);
                let backend = backend.unwrap_or_else(fastest);
                Self::Chunked(ChunkKey::new(key.as_slice(), algorithm, backend))
            }
        }
    }

    /// The chunked form, for streams.
    pub(crate) fn into_chunk_key(self) -> Result<ChunkKey> {
        match self {
            Self::Chunked(key) => Ok(key),
            Self::Xaes(_) => Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Seal)
                .with_detail("suite 3 has no streams")),
        }
    }

    /// As [`new`](Self::new), in locked memory.
    pub(crate) fn locked(
        envelope: &EnvelopeEncryption,
        secret: &DataKeySecret,
        suite: Suite,
    ) -> Result<LockedBox<Self>> {
        let shared = &envelope.shared;
        keep(shared, Self::new(secret, suite, shared.backend))
    }

    /// The key, to be used.
    #[inline]
    pub(crate) fn by_ref(&self) -> BodyRef<'_> {
        match self {
            Self::Chunked(key) => BodyRef::Chunked(key.by_ref()),
            Self::Xaes(key) => BodyRef::Xaes(key),
        }
    }
}

/// Puts a key into locked memory. Cached keys do not give way to it: they lie in blocks of another
/// kind, so that wiping them would make no room here.
pub(crate) fn keep<T: Send + Sync + 'static>(shared: &Shared, key: T) -> Result<LockedBox<T>> {
    shared.pool().place(key).map_err(|(_, error)| error)
}

/// A body key in use, wherever it lies: in a [`BodyKey`], or copied out of locked memory.
#[derive(Clone, Copy)]
pub(crate) enum BodyRef<'a> {
    Chunked(ChunkKeyRef<'a>),
    Xaes(&'a XaesKey),
}

impl BodyRef<'_> {
    /// Appends the body of `plaintext` to `out`: `id || commitment || ciphertext and tags`.
    #[inline]
    pub(crate) fn seal_append(
        self,
        id: &[u8; MESSAGE_ID_LEN],
        context: &[u8],
        plaintext: &[u8],
        padding: Padding,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let content = padding.padded_len(plaintext.len())?;
        out.extend_from_slice(id);
        out.extend_from_slice(&[0; COMMITMENT_LEN]);
        let start = out.len();
        let commitment = match self {
            Self::Xaes(key) => {
                if content > MAX_RECORD_LEN {
                    return Err(too_long());
                }
                out.extend_from_slice(plaintext);
                padding.append(plaintext.len(), out)?;
                let data = out.get_mut(start..).ok_or_else(defect)?;
                let (commitment, tag) = key.seal_in_place(id, context, data)?;
                out.extend_from_slice(&tag);
                commitment
            }
            Self::Chunked(key) => seal_chunks(key, id, context, plaintext, padding, out)?,
        };
        let place = out.get_mut(start - COMMITMENT_LEN..start).ok_or_else(defect)?;
        place.copy_from_slice(&commitment);
        Ok(())
    }

    /// Opens `data` (ciphertext and tags) into a new buffer.
    #[inline]
    pub(crate) fn open(
        self,
        prologue: &Prologue,
        context: &[u8],
        data: &[u8],
        padded: bool,
    ) -> Result<SecureBytes> {
        let Prologue { id, commitment } = prologue;
        let mut plaintext = match self {
            Self::Xaes(key) => {
                let (data, tag) = split_tag(data)?;
                let mut plaintext = SecureBytes::new(data.to_vec());
                key.open_in_place(id, commitment, context, plaintext.as_mut_slice(), tag)
                    .map_err(|error| error.in_operation(Operation::Open))?;
                plaintext
            }
            Self::Chunked(key) => key.derive_checked(id, commitment, context)?.open_all(data)?,
        };
        if padded {
            let len = Padding::strip(plaintext.as_mut_slice())?.len();
            plaintext.truncate(len);
        }
        Ok(plaintext)
    }

    /// Opens `data` (ciphertext and tags) where it lies and gives the plaintext's place in it. On
    /// failure `data` is all zeros: no chunk of a message that is not whole stays behind.
    #[inline]
    pub(crate) fn open_in_place<'a>(
        self,
        prologue: &Prologue,
        context: &[u8],
        data: &'a mut [u8],
        padded: bool,
    ) -> Result<&'a mut [u8]> {
        match self.open_within(prologue, context, data, padded) {
            Ok(len) => data.get_mut(..len).ok_or_else(defect),
            Err(error) => {
                data.fill(0);
                Err(error)
            }
        }
    }

    #[inline]
    fn open_within(
        self,
        prologue: &Prologue,
        context: &[u8],
        data: &mut [u8],
        padded: bool,
    ) -> Result<usize> {
        let altered = || CryptoError::authentication_failed(Operation::Open);
        let Prologue { id, commitment } = prologue;
        let plaintext = match self {
            Self::Xaes(key) => {
                let (data, tag) = data.split_last_chunk_mut::<TAG_LEN>().ok_or_else(altered)?;
                key.open_in_place(id, commitment, context, data, tag)
                    .map_err(|error| error.in_operation(Operation::Open))?;
                data
            }
            Self::Chunked(key) => {
                let cipher = key.derive_checked(id, commitment, context)?;
                let plaintext = cipher.open_segment(0, data, true)?;
                close_gaps(data, plaintext)?
            }
        };
        if padded {
            Padding::strip(plaintext).map(|plaintext| plaintext.len())
        } else {
            Ok(plaintext.len())
        }
    }
}

/// What stands before a body's ciphertext.
#[derive(Clone, Copy)]
pub(crate) struct Prologue {
    pub(crate) id: [u8; MESSAGE_ID_LEN],
    pub(crate) commitment: [u8; COMMITMENT_LEN],
}

impl Prologue {
    /// Takes it off the front of a body; what is left are ciphertext and tags.
    #[inline]
    pub(crate) fn split(body: &[u8]) -> Result<(Self, &[u8])> {
        let altered = || CryptoError::authentication_failed(Operation::Open);
        let (id, rest) = body.split_first_chunk().ok_or_else(altered)?;
        let (commitment, rest) = rest.split_first_chunk().ok_or_else(altered)?;
        Ok((Self { id: *id, commitment: *commitment }, rest))
    }
}

/// Bytes that a body adds to its (padded) plaintext.
pub(crate) fn overhead(suite: Suite, content: usize) -> usize {
    let tags = if suite.is_chunked() { content / CHUNK_LEN + 1 } else { 1 };
    PROLOGUE_LEN + tags * TAG_LEN
}

pub(crate) fn chunk_algorithm(suite: Suite) -> AeadAlgorithm {
    match suite {
        Suite::ChunkedChaCha20Poly1305 => AeadAlgorithm::ChaCha20Poly1305,
        _ => AeadAlgorithm::Aes256Gcm,
    }
}

fn seal_chunks(
    key: ChunkKeyRef<'_>,
    id: &[u8; MESSAGE_ID_LEN],
    context: &[u8],
    plaintext: &[u8],
    padding: Padding,
    out: &mut Vec<u8>,
) -> Result<[u8; COMMITMENT_LEN]> {
    let (cipher, commitment) = key.derive(id, context)?;
    if padding.is_none() {
        cipher.seal_append(plaintext, out)?;
    } else {
        cipher.seal_append(&zeroize::Zeroizing::new(padding.padded(plaintext)?), out)?;
    }
    Ok(commitment)
}

fn split_tag(data: &[u8]) -> Result<(&[u8], &[u8; TAG_LEN])> {
    data.split_last_chunk().ok_or_else(|| CryptoError::authentication_failed(Operation::Open))
}

/// Moves opened chunks together.
pub(crate) fn close_gaps(stored: &mut [u8], plaintext: usize) -> Result<&mut [u8]> {
    let chunks = plaintext / CHUNK_LEN + 1;
    for index in 1..chunks {
        let from = index * SEALED_CHUNK_LEN;
        let len = (plaintext - index * CHUNK_LEN).min(CHUNK_LEN);
        stored.copy_within(from..from + len, index * CHUNK_LEN);
    }
    stored.get_mut(..plaintext).ok_or_else(defect)
}

/// A key in locked memory is gone in a forked child.
#[cold]
pub(crate) fn of_parent(operation: Operation) -> CryptoError {
    CryptoError::new(ErrorKind::KeyUnusable, operation).with_detail(
        "the data key belongs to the process that this one was forked from; take a new one",
    )
}

#[cold]
fn too_long() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)
        .with_detail("a record in suite 3 has at most 2^30 bytes; seal a stream instead")
}
