//! Moving a message to the current version of its key, or to another key, without reading its body.

use vault_crypto_core::header::{ParsedHeader, Slot, parse};
use vault_crypto_core::{
    CryptoError, EncryptedData, ErrorKind, KeyId, KeyVersion, Operation, Result, Scope,
    WrapContext, WrappedKey,
};

use crate::EnvelopeEncryption;
use crate::allowed::{binding, slot_kind};
use crate::unlock::verified;

/// What a rewrap did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rewrapped<T> {
    /// The message is current already, as its KMS confirmed; nothing was changed.
    Unchanged,
    /// The new bytes. They were opened again before they were handed out.
    Changed(T),
}

impl<T> Rewrapped<T> {
    /// The new bytes, if anything changed.
    pub fn changed(self) -> Option<T> {
        match self {
            Self::Unchanged => None,
            Self::Changed(new) => Some(new),
        }
    }
}

impl EnvelopeEncryption {
    /// Moves a whole message in memory to the current version of this envelope's key.
    ///
    /// # Errors
    /// As [`rewrap_header`](Self::rewrap_header).
    pub async fn rewrap(
        &self,
        sealed: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<Rewrapped<EncryptedData>> {
        let sealed = sealed.as_ref();
        let old_len = parse(sealed)?.len();
        Ok(match self.rewrap_header(sealed).await? {
            Rewrapped::Unchanged => Rewrapped::Unchanged,
            Rewrapped::Changed(mut message) => {
                message.extend_from_slice(sealed.get(old_len..).unwrap_or_default());
                Rewrapped::Changed(EncryptedData::from_bytes(message))
            }
        })
    }

    /// Moves a header to the current version of this envelope's key; what follows the header in
    /// `bytes` is not looked at.
    ///
    /// Within one key the wrapped bytes alone change, in the service where it can. Where the header
    /// has a slot for this envelope's key that is not filled yet, it is filled. Where it
    /// names this envelope's key nowhere, its opening slot is replaced: then who may open changes,
    /// which on a SHARED data key takes [`rewrap_shared`](Self::rewrap_shared).
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt); [`ErrorKind::PermissionDenied`] on a SHARED data key whose key
    /// would change.
    pub async fn rewrap_header(&self, bytes: &[u8]) -> Result<Rewrapped<Vec<u8>>> {
        self.rewrap_parsed(&parse(bytes)?, false).await
    }

    /// As [`rewrap_header`](Self::rewrap_header), for a SHARED data key that is to move to another
    /// key: this opens *every* message of that data key in `scope` to the new key.
    ///
    /// # Errors
    /// As [`rewrap_header`](Self::rewrap_header); [`ErrorKind::InvalidInput`] unless `scope` is this
    /// envelope's.
    pub async fn rewrap_shared(&self, bytes: &[u8], scope: &Scope) -> Result<Rewrapped<Vec<u8>>> {
        if *scope != self.scope {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Rewrap)
                .with_detail("the scope to open is not this envelope's"));
        }
        self.rewrap_parsed(&parse(bytes)?, true).await
    }

    async fn rewrap_parsed(
        &self,
        parsed: &ParsedHeader<'_>,
        may_open_scope: bool,
    ) -> Result<Rewrapped<Vec<u8>>> {
        self.check_supported(&parsed.header)?;
        let first = self.shared.first_kms()?;
        let kms = &*first.kms;
        let info = kms.describe_key(&first.key_id).await?;
        let own = parsed.header.slots.iter().enumerate().find(|(_, slot)| {
            slot.kind == slot_kind(kms)
                && slot.key_id == info.key_id.as_str().as_bytes()
                // Parameters that this version does not know: kept byte for byte.
                && slot.parameters.is_empty()
        });
        let Some((index, slot)) = own else {
            return self.move_to_own_key(parsed, &info.key_id, may_open_scope).await;
        };
        let context = WrapContext::data_key(self.scope.clone());
        let new = if slot.is_missing() {
            let plaintext = self.unlock(parsed).await?.plaintext;
            kms.wrap_data_key(&info.key_id, &plaintext, &context).await?
        } else {
            let (bytes, version) = (slot.wrapped.clone(), slot.version.clone());
            let old = WrappedKey::new(bytes, info.key_id.clone(), version);
            let current = info.primary_version.filter(KeyVersion::is_known);
            if current.is_some_and(|version| version == slot.version) {
                // The stored version is a hint; only the KMS knows that these bytes are of it.
                self.unwrap_and_verify(&old, parsed, &context).await?;
                return Ok(Rewrapped::Unchanged);
            }
            kms.rewrap_data_key(&old, &info.key_id, &context).await?
        };
        self.fill(parsed, index, new, &context).await
    }

    /// The same key, other wrapped bytes: the covered part and its MAC stay as they are.
    async fn fill(
        &self,
        parsed: &ParsedHeader<'_>,
        index: usize,
        new: WrappedKey,
        context: &WrapContext,
    ) -> Result<Rewrapped<Vec<u8>>> {
        // The old bytes are given up only after the new ones were seen to open this header.
        self.unwrap_and_verify(&new, parsed, context).await?;
        let mut header = parsed.header.clone();
        if let Some(slot) = header.slots.get_mut(index) {
            slot.version = new.version;
            slot.wrapped = new.bytes;
        }
        Ok(Rewrapped::Changed(header.encode(parsed.mac, alignment(parsed))?))
    }

    /// Another key: the slot that opened is replaced, epoch and MAC are new.
    async fn move_to_own_key(
        &self,
        parsed: &ParsedHeader<'_>,
        key_id: &KeyId,
        may_open_scope: bool,
    ) -> Result<Rewrapped<Vec<u8>>> {
        if !parsed.header.exclusive && !may_open_scope {
            return Err(CryptoError::new(ErrorKind::PermissionDenied, Operation::Rewrap)
                .with_detail(
                    "the data key is shared: moving it opens every message of its scope to the new \
                 key; use the operation that names the scope",
                ));
        }
        let unlocked = self.unlock(parsed).await?;
        let opened = unlocked.opened_by.slot;
        let kms = &*self.shared.first_kms()?.kms;
        let context = WrapContext::data_key(self.scope.clone());
        let new = kms.wrap_data_key(key_id, &unlocked.plaintext, &context).await?;
        self.unwrap_and_verify(&new, parsed, &context).await?;
        let mut header = parsed.header.clone();
        let slot =
            Slot::kms(slot_kind(kms), binding(kms), &new.key_id, new.version.clone(), new.bytes);
        if let Some(place) = header.slots.get_mut(opened) {
            *place = slot;
        }
        header.epoch = header.epoch.checked_add(1).ok_or_else(|| {
            CryptoError::new(ErrorKind::LimitExceeded, Operation::Rewrap)
                .with_detail("the header's epoch is at its end; re-encrypt the message")
        })?;
        let bytes = unlocked.secret.seal_header(&mut header, &self.scope, alignment(parsed))?;
        Ok(Rewrapped::Changed(bytes))
    }

    async fn unwrap_and_verify(
        &self,
        wrapped: &WrappedKey,
        parsed: &ParsedHeader<'_>,
        context: &WrapContext,
    ) -> Result<()> {
        let plaintext = self.shared.first_kms()?.kms.decrypt_data_key(wrapped, context).await?;
        verified(&plaintext, parsed, &self.scope).map(drop)
    }
}

/// A body that was aligned stays aligned, so that file systems can share its blocks.
fn alignment(parsed: &ParsedHeader<'_>) -> Option<u64> {
    let aligned = parsed.len().is_multiple_of(vault_crypto_core::header::BODY_ALIGNMENT);
    if aligned { None } else { Some(0) }
}
