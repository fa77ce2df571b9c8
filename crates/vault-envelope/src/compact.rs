//! Compact records: 96 bytes of overhead, because the wrapped data key is stored once, elsewhere, as
//! a key entry (docs/FORMAT.md section 8).

mod prefix;

use std::fmt;

pub(crate) use prefix::{CompactPrefix, PREFIX_LEN};
use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{DATA_KEY_ID_LEN, Extension, Shape, Suite, parse};
use vault_crypto_core::{
    CryptoError, EncryptedData, EncryptionContext, ErrorKind, Operation, Result, SecureBytes,
};

use crate::body::Prologue;
use crate::fresh::Fresh;
use crate::sealing::{context_prefix, with_body_context};
use crate::unlock::expect_shape;
use crate::{EnvelopeEncryption, SealingKey};

/// Bytes that a compact record in suite 3 adds to its plaintext.
pub const COMPACT_OVERHEAD: usize = PREFIX_LEN + 72;

/// A data key whose wrapped form the caller stores once, beside many compact records.
///
/// It seals within the envelope's budget and opens whatever was sealed under the same entry.
pub struct StoredKey {
    entry: Vec<u8>,
    id: [u8; DATA_KEY_ID_LEN],
    /// Seals as any other, with the compact prefix where records have their header.
    sealing: SealingKey,
    opening_prefixes: [Vec<u8>; 2],
}

impl EnvelopeEncryption {
    /// Takes a data key from the KMS to be stored as a key entry: store
    /// [`entry`](StoredKey::entry) before the first record that needs it.
    ///
    /// # Errors
    /// The KMS's error.
    pub async fn create_stored_key(&self) -> Result<StoredKey> {
        let suite = self.shared.record_suite;
        let Fresh { secret, mut header } = self.fresh(suite, Shape::KeyEntry, None).await?;
        let entry = secret.seal_header(&mut header, &self.scope, None)?;
        StoredKey::new(self, &secret, suite, entry)
    }

    /// Unwraps and verifies a key entry.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt).
    pub async fn open_stored_key(&self, entry: &[u8]) -> Result<StoredKey> {
        let parsed = parse(entry)?;
        expect_shape(&parsed, Shape::KeyEntry)?;
        if parsed.len() != entry.len() {
            return Err(CryptoError::new(ErrorKind::Malformed, Operation::Open)
                .with_detail("there are bytes after the key entry"));
        }
        // What a branch entry holds is no data key (docs/FORMAT.md section 8.4).
        if parsed.header.extension(Extension::BRANCH).is_some() {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Open)
                .with_detail("the entry holds a branch key, which is no stored data key"));
        }
        let unlocked = self.unlock(&parsed).await?;
        StoredKey::new(self, &unlocked.secret, parsed.header.suite, entry.to_vec())
    }
}

impl StoredKey {
    fn new(
        envelope: &EnvelopeEncryption,
        secret: &DataKeySecret,
        suite: Suite,
        entry: Vec<u8>,
    ) -> Result<Self> {
        let (id, padded) = (secret.id(), !envelope.shared.padding.is_none());
        let prefix = CompactPrefix { suite, padded, branch: 0, id }.encode().to_vec();
        Ok(Self {
            entry,
            id,
            sealing: SealingKey::new(envelope, secret, suite, prefix)?,
            opening_prefixes: [
                context_prefix(suite, 0, envelope)?,
                context_prefix(suite, 1, envelope)?,
            ],
        })
    }

    /// The key entry to store: a header without a body.
    #[must_use]
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// Seals one value as a compact record.
    ///
    /// # Errors
    /// As [`SealingKey::seal`](crate::SealingKey::seal).
    pub fn seal(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<EncryptedData> {
        self.sealing.seal(plaintext, context)
    }

    /// Opens a compact record that was sealed under this entry.
    ///
    /// # Errors
    /// [`ErrorKind::KeyNotAllowed`] for a record of another data key, [`ErrorKind::Malformed`] and
    /// [`ErrorKind::Unsupported`] for bytes that are none of ours,
    /// [`ErrorKind::AuthenticationFailed`] for another scope or context, or altered bytes.
    pub fn open(
        &self,
        sealed: &(impl AsRef<[u8]> + ?Sized),
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let (is_padded, body) = self.check_prefix(sealed.as_ref())?;
        let [plain, padded] = &self.opening_prefixes;
        let prefix = if is_padded { padded } else { plain };
        let (prologue, data) = Prologue::split(body)?;
        let key = self.sealing.body()?;
        with_body_context(prefix, context.canonical_pairs()?, |bound| {
            key.open(&prologue, bound, data, is_padded)
        })
    }

    fn check_prefix<'a>(&self, sealed: &'a [u8]) -> Result<(bool, &'a [u8])> {
        let (prefix, body) = CompactPrefix::split(sealed)?;
        if prefix.branch != 0 || prefix.id != self.id || prefix.suite != self.sealing.suite {
            return Err(CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Open)
                .with_detail("the record was sealed under another stored key"));
        }
        Ok((prefix.padded, body))
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey").field("suite", &self.sealing.suite).finish_non_exhaustive()
    }
}
