//! Compact records: 96 bytes of overhead, because the wrapped data key is stored once, elsewhere, as
//! a key entry (docs/FORMAT.md section 8).

use std::fmt;

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{COMPACT_MAGIC, DATA_KEY_ID_LEN, Extension, Shape, Suite, parse};
use vault_crypto_core::{
    CryptoError, EncryptedData, EncryptionContext, ErrorKind, Operation, Result, SecureBytes,
};

use crate::body::Prologue;
use crate::envelope::padding_flag;
use crate::fresh::Fresh;
use crate::sealing::{context_prefix, with_body_context};
use crate::unlock::expect_shape;
use crate::{EnvelopeEncryption, SealingKey};

/// Bytes before the body of a compact record.
const PREFIX_LEN: usize = 24;
/// Bytes that a compact record in suite 3 adds to its plaintext.
pub const COMPACT_OVERHEAD: usize = PREFIX_LEN + 72;

/// A data key whose wrapped form the caller stores once, beside many compact records.
///
/// It seals within the envelope's budget and opens whatever was sealed under the same entry.
pub struct StoredKey {
    entry: Vec<u8>,
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
                .with_detail("the entry holds a branch key; this version opens data keys alone"));
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
        let flags = padding_flag(envelope.shared.padding);
        let prefix = compact_prefix(suite, flags, &secret.id()).to_vec();
        Ok(Self {
            entry,
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
        let (flags, body) = self.check_prefix(sealed.as_ref())?;
        let [plain, padded] = &self.opening_prefixes;
        let prefix = if flags == 1 { padded } else { plain };
        let (prologue, data) = Prologue::split(body)?;
        with_body_context(prefix, context.canonical_pairs()?, |bound| {
            self.sealing.body.open(&prologue, bound, data, flags == 1)
        })
    }

    fn check_prefix<'a>(&self, sealed: &'a [u8]) -> Result<(u8, &'a [u8])> {
        let refused = |kind, why| CryptoError::new(kind, Operation::Open).with_detail(why);
        let malformed = |why| refused(ErrorKind::Malformed, why);
        let [family, version] = COMPACT_MAGIC;
        if sealed.first() == Some(&family) && sealed.get(1).is_some_and(|other| *other != version) {
            let why = "a compact record of another format version";
            return Err(refused(ErrorKind::Unsupported, why));
        }
        let (prefix, body) = sealed
            .split_first_chunk::<PREFIX_LEN>()
            .ok_or_else(|| malformed("shorter than the prefix of a compact record"))?;
        let [magic, _, suite, flags, rest @ ..] = prefix;
        if *magic != family {
            return Err(malformed("not a compact record of this format"));
        }
        if Suite::from_code(*suite).is_none() {
            return Err(refused(ErrorKind::Unsupported, "an unknown suite"));
        }
        if *flags > 1 {
            return Err(malformed("a reserved bit is set"));
        }
        let same_key = self.sealing.front.get(4..) == Some(rest.as_slice());
        if !same_key || *suite != self.sealing.suite.code() {
            let why = "the record was sealed under another stored key";
            return Err(refused(ErrorKind::KeyNotAllowed, why));
        }
        Ok((*flags, body))
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredKey").field("suite", &self.sealing.suite).finish_non_exhaustive()
    }
}

/// `F7 01 || suite || body flags || u32 branch version 0 || data key id`.
fn compact_prefix(suite: Suite, flags: u8, id: &[u8; DATA_KEY_ID_LEN]) -> [u8; PREFIX_LEN] {
    let mut prefix = [0; PREFIX_LEN];
    let head = [COMPACT_MAGIC[0], COMPACT_MAGIC[1], suite.code(), flags, 0, 0, 0, 0];
    prefix.iter_mut().zip(head.iter().chain(id)).for_each(|(to, from)| *to = *from);
    prefix
}
