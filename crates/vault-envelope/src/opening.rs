//! A data key at hand for opening: all records that share one header, with one call to the KMS.

use std::fmt;

use vault_crypto_core::header::{MESSAGE_ID_LEN, Shape, parse};
use vault_crypto_core::locked::LockedBox;
use vault_crypto_core::{
    CryptoError, EncryptionContext, ErrorKind, Operation, Result, SecureBytes, constant_time_eq,
};

use crate::EnvelopeEncryption;
use crate::body::{BodyKey, BodyRef, Prologue, of_parent};
use crate::chunks::defect;
use crate::sealing::{context_prefix, with_body_context};
use crate::unlock::{OpenedBy, expect_shape};

/// Opens every record that starts with one verified header.
pub struct OpeningKey {
    header: Vec<u8>,
    body: LockedBox<BodyKey>,
    context_prefix: Vec<u8>,
    padded: bool,
    /// The body's id, where the header belongs to one message alone.
    message_id: Option<[u8; MESSAGE_ID_LEN]>,
    opened_by: OpenedBy,
}

impl EnvelopeEncryption {
    /// Unwraps and verifies the header of a record; the key opens all records with this header.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt).
    pub async fn opening_key(&self, sealed: &(impl AsRef<[u8]> + ?Sized)) -> Result<OpeningKey> {
        let sealed = sealed.as_ref();
        let parsed = parse(sealed)?;
        expect_shape(&parsed, Shape::Record)?;
        let header = &parsed.header;
        self.check_supported(header)?;
        let message_id = header.names_message().then_some(header.message_id);
        let (prologue, _) = Prologue::split(sealed.get(parsed.len()..).unwrap_or_default())?;
        check_message_id(message_id, &prologue)?;
        let unlocked = self.unlock(&parsed).await?;
        Ok(OpeningKey {
            header: parsed.bytes.to_vec(),
            body: BodyKey::locked(self, &unlocked.secret, header.suite)?,
            context_prefix: context_prefix(header.suite, header.body_flags(), self)?,
            padded: header.padded,
            message_id,
            opened_by: unlocked.opened_by,
        })
    }
}

impl OpeningKey {
    /// Whether this key is for `sealed`: the message starts with the verified header.
    #[must_use]
    pub fn opens(&self, sealed: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        sealed.as_ref().starts_with(&self.header)
    }

    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        &self.opened_by
    }

    /// Opens one record with this header.
    ///
    /// # Errors
    /// [`ErrorKind::KeyNotAllowed`] for a message with another header,
    /// [`ErrorKind::AuthenticationFailed`] for another context or altered bytes.
    #[inline]
    pub fn open(
        &self,
        sealed: &(impl AsRef<[u8]> + ?Sized),
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let body = self.body()?;
        let (prologue, data) = self.split(sealed.as_ref())?;
        with_body_context(&self.context_prefix, context.canonical_pairs()?, |bound| {
            body.open(&prologue, bound, data, self.padded)
        })
    }

    /// Opens one record where it lies and gives the plaintext's place in it. On failure the body is
    /// wiped.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[inline]
    pub fn open_in_place<'a>(
        &self,
        sealed: &'a mut [u8],
        context: &EncryptionContext,
    ) -> Result<&'a mut [u8]> {
        let body = self.body()?;
        let (prologue, data) = self.split(sealed)?;
        let start = sealed.len() - data.len();
        let data = sealed.get_mut(start..).ok_or_else(defect)?;
        with_body_context(&self.context_prefix, context.canonical_pairs()?, |bound| {
            body.open_in_place(&prologue, bound, data, self.padded)
        })
    }

    #[inline]
    fn body(&self) -> Result<BodyRef<'_>> {
        self.body.get().map(BodyKey::by_ref).ok_or_else(|| of_parent(Operation::Open))
    }

    fn split<'a>(&self, sealed: &'a [u8]) -> Result<(Prologue, &'a [u8])> {
        let body = sealed.strip_prefix(self.header.as_slice()).ok_or_else(other_header)?;
        let (prologue, data) = Prologue::split(body)?;
        check_message_id(self.message_id, &prologue)?;
        Ok((prologue, data))
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpeningKey").field("opened_by", &self.opened_by).finish_non_exhaustive()
    }
}

/// The header names the body it belongs to: docs/FORMAT.md section 9, step 3.
pub(crate) fn check_message_id(
    expected: Option<[u8; MESSAGE_ID_LEN]>,
    found: &Prologue,
) -> Result<()> {
    match expected {
        Some(expected) if !constant_time_eq(&found.id, &expected) => {
            Err(CryptoError::authentication_failed(Operation::Open))
        }
        _ => Ok(()),
    }
}

#[cold]
fn other_header() -> CryptoError {
    CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Open)
        .with_detail("this opening key is for messages with another header; ask for one for this")
}
