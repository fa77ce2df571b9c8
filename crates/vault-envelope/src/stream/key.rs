//! The key of one stream, from its data key into locked memory.
//!
//! It stays there for as long as the stream takes, and a fork wipes it: no two processes go on with one
//! stream, under one key and with the same nonces.

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{MESSAGE_ID_LEN, Suite};
use vault_crypto_core::xaes::COMMITMENT_LEN;
use vault_crypto_core::{CryptoError, Operation, Result, constant_time_eq};

use crate::EnvelopeEncryption;
use crate::body::{BodyKey, Prologue, keep};
use crate::chunks::StreamCipher;

impl EnvelopeEncryption {
    /// The cipher of a new stream, and its commitment.
    // In a frame of its own, which is wiped when the data key is dropped.
    #[inline(never)]
    pub(super) fn stream_cipher(
        &self,
        secret: &DataKeySecret,
        suite: Suite,
        salt: &[u8; MESSAGE_ID_LEN],
        bound: &[u8],
    ) -> Result<(StreamCipher, [u8; COMMITMENT_LEN])> {
        let key = BodyKey::new(secret, suite, self.shared.backend).into_chunk_key()?;
        let (cipher, commitment) = key.derive(salt, bound)?;
        Ok((cipher.kept(|key| keep(&self.shared, key))?, commitment))
    }

    /// The cipher of a stream that starts with `prologue`, if it commits to this key.
    pub(super) fn committed_cipher(
        &self,
        secret: &DataKeySecret,
        suite: Suite,
        prologue: &Prologue,
        bound: &[u8],
    ) -> Result<StreamCipher> {
        let (cipher, expected) = self.stream_cipher(secret, suite, &prologue.id, bound)?;
        if constant_time_eq(&expected, &prologue.commitment) {
            Ok(cipher)
        } else {
            Err(CryptoError::authentication_failed(Operation::Open))
        }
    }
}
