//! Moving a message to the current versions of its keys, or to other keys, without reading its body.
//!
//! Left to `recipients/`: adding, removing and filling slots one by one.

use vault_crypto_core::header::{ParsedHeader, parse};
use vault_crypto_core::{
    CryptoError, EncryptedData, ErrorKind, KeyInfo, KeyVersion, Operation, Result, Scope,
    WrappedKey,
};

use crate::EnvelopeEncryption;
use crate::hedge::{Attempt, together};
use crate::recipients::{KmsRecipient, wrap_context};
use crate::unlock::{Opened, Slots};

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
    /// Moves a whole message in memory to the current versions of this envelope's keys.
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

    /// Moves a header to the current versions of the keys that this envelope seals for; what follows
    /// the header in `bytes` is not looked at.
    ///
    /// Every slot of theirs is moved: within one key the wrapped bytes alone change, in the service
    /// where it can. A slot of theirs that is not filled yet is filled. Where the header names none of
    /// their keys, its opening slot is replaced by theirs: then who may open changes, which on a SHARED
    /// data key takes [`rewrap_shared`](Self::rewrap_shared). New bytes are opened, by the allowed keys
    /// and no others, before the old ones are given up.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt); [`ErrorKind::PermissionDenied`] on a SHARED data key whose key
    /// would change; [`ErrorKind::KeyNotAllowed`] where new bytes could not be opened again.
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
        self.check_named_scope(scope)?;
        self.rewrap_parsed(&parse(bytes)?, true).await
    }

    /// Whoever opens a scope to another key says which one.
    pub(crate) fn check_named_scope(&self, scope: &Scope) -> Result<()> {
        if *scope == self.scope {
            return Ok(());
        }
        Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Rewrap)
            .with_detail("the scope to open is not this envelope's"))
    }

    async fn rewrap_parsed(
        &self,
        parsed: &ParsedHeader<'_>,
        may_open_scope: bool,
    ) -> Result<Rewrapped<Vec<u8>>> {
        self.check_supported(&parsed.header)?;
        let own = self.own_slots(parsed).await?;
        if own.is_empty() {
            return self.move_to_own_keys(parsed, may_open_scope).await.map(Rewrapped::Changed);
        }
        let missing = own.iter().any(|own| own.old(parsed).is_none());
        let opened = if missing { Some(self.open_header(parsed, Slots::ALL).await?) } else { None };
        let moves: Vec<Attempt<'_, Option<WrappedKey>>> = own
            .iter()
            .map(|own| -> Attempt<'_, _> { Box::pin(self.renewed(own, parsed, opened.as_ref())) })
            .collect();
        let mut new = Vec::new();
        for (own, end) in
            own.iter().zip(together(moves, own.len(), None, &*self.shared.clock).await)
        {
            if let Some(wrapped) = end.transpose()?.flatten() {
                new.push((own.slot, wrapped));
            }
        }
        let slots = own.iter().map(|own| own.slot);
        self.refilled(parsed, new, slots).await
    }

    /// The slots of this envelope's KMS keys, and what the services say of the keys now.
    async fn own_slots(&self, parsed: &ParsedHeader<'_>) -> Result<Vec<OwnSlot<'_>>> {
        let concerned = self.shared.recipients.all_kms().filter(|own| {
            let canonical = own.kms.canonical_key_id(&own.key_id);
            parsed.header.slots.iter().any(|slot| match &canonical {
                Some(key_id) => own.owns(slot, key_id),
                None => own.could_own(slot),
            })
        });
        let concerned: Vec<&KmsRecipient> = concerned.collect();
        let asked: Vec<Attempt<'_, KeyInfo>> = concerned
            .iter()
            .map(|own| -> Attempt<'_, KeyInfo> { Box::pin(own.describe()) })
            .collect();
        let answers = together(asked, concerned.len(), None, &*self.shared.clock).await;
        let mut own_slots = Vec::new();
        for (recipient, answer) in concerned.into_iter().zip(answers) {
            let Some(info) = answer.transpose()? else { continue };
            let mut slots = parsed.header.slots.iter();
            if let Some(slot) = slots.position(|slot| recipient.owns(slot, &info.key_id)) {
                own_slots.push(OwnSlot { slot, recipient, info });
            }
        }
        Ok(own_slots)
    }

    /// What stands in an own slot from now on; `None` where it is current.
    async fn renewed(
        &self,
        own: &OwnSlot<'_>,
        parsed: &ParsedHeader<'_>,
        opened: Option<&Opened>,
    ) -> Result<Option<WrappedKey>> {
        let context = wrap_context(&parsed.header, &self.scope);
        let key_id = &own.info.key_id;
        let new = match (own.old(parsed), opened) {
            (Some(old), _) => {
                let current = own.info.primary_version.as_ref();
                // The stored version is a hint; it is confirmed afterwards.
                if current.filter(|version| version.is_known()) == Some(&old.version) {
                    return Ok(None);
                }
                own.recipient.kms.rewrap_data_key(&old, key_id, &context).await?
            }
            (None, Some(opened)) => {
                own.recipient.kms.wrap_data_key(key_id, &opened.data_key, &context).await?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(new))
    }

    /// The same keys, other wrapped bytes in some slots: the covered part and its MAC stay as they are.
    /// All of `confirm` is opened before the new bytes are handed out.
    pub(crate) async fn refilled(
        &self,
        parsed: &ParsedHeader<'_>,
        new: Vec<(usize, WrappedKey)>,
        confirm: impl Iterator<Item = usize>,
    ) -> Result<Rewrapped<Vec<u8>>> {
        let changed = !new.is_empty();
        let mut header = parsed.header.clone();
        for (at, wrapped) in new {
            if let Some(slot) = header.slots.get_mut(at) {
                if slot.key_id != wrapped.key_id.as_str().as_bytes() {
                    return Err(CryptoError::new(ErrorKind::Conflict, Operation::Rewrap)
                        .with_key_id(&wrapped.key_id)
                        .with_detail(
                            "the KMS answered for another key than the one it was asked",
                        ));
                }
                slot.version = wrapped.version;
                slot.wrapped = wrapped.bytes;
            }
        }
        let bytes = header.encode(parsed.mac, alignment(parsed))?;
        let new = parse(&bytes)?;
        for at in confirm {
            let filled_now = parsed.header.slots.get(at).is_none_or(|slot| slot.is_missing());
            match self.check_slot(&new, at).await {
                // Nothing is given up for it, as when it would have been sealed for at once.
                Err(error) if filled_now && error.kind() == ErrorKind::KeyNotAllowed => {}
                outcome => outcome?,
            }
        }
        Ok(if changed { Rewrapped::Changed(bytes) } else { Rewrapped::Unchanged })
    }
}

/// A slot of a KMS key that this envelope seals for.
struct OwnSlot<'a> {
    slot: usize,
    recipient: &'a KmsRecipient,
    info: KeyInfo,
}

impl OwnSlot<'_> {
    /// The wrapped key that stands there; `None` where it is missing.
    fn old(&self, parsed: &ParsedHeader<'_>) -> Option<WrappedKey> {
        let slot = parsed.header.slots.get(self.slot).filter(|slot| !slot.is_missing())?;
        let version: KeyVersion = slot.version.clone();
        Some(WrappedKey::new(slot.wrapped.clone(), self.info.key_id.clone(), version))
    }
}

/// A body that was aligned stays aligned, so that file systems can share its blocks.
pub(crate) fn alignment(parsed: &ParsedHeader<'_>) -> Option<u64> {
    let aligned = parsed.len().is_multiple_of(vault_crypto_core::header::BODY_ALIGNMENT);
    if aligned { None } else { Some(0) }
}
