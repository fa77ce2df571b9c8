//! Filling slots that were left for later.

use vault_crypto_core::header::{ParsedHeader, parse};
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation, Result, WrappedKey};

use super::{KmsRecipient, wrap_context};
use crate::hedge::{Attempt, together};
use crate::unlock::{Slots, worse};
use crate::{EnvelopeEncryption, Rewrapped};

impl EnvelopeEncryption {
    /// Fills every missing slot whose recipient is one of this envelope's; what follows the header in
    /// `bytes` is not looked at. Nothing but those slots changes, so this also suits SHARED data keys.
    ///
    /// Slots whose KMS does not answer stay missing as long as one could be filled: `inspect` shows what
    /// is still missing.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt), or a KMS's error where no slot could be filled.
    pub async fn fill(&self, bytes: &[u8]) -> Result<Rewrapped<Vec<u8>>> {
        let parsed = parse(bytes)?;
        self.check_supported(&parsed.header)?;
        if !parsed.header.slots.iter().any(|slot| slot.is_missing()) {
            return Ok(Rewrapped::Unchanged);
        }
        let mut failure = None;
        let empty = self.empty_slots(&parsed, &mut failure).await;
        if empty.is_empty() {
            return failure.map_or(Ok(Rewrapped::Unchanged), Err);
        }
        let opened = self.open_header(&parsed, Slots::ALL).await?;
        let context = wrap_context(&parsed.header, &self.scope);
        let calls: Vec<Attempt<'_, WrappedKey>> = empty
            .iter()
            .map(|(_, own, key_id)| own.kms.wrap_data_key(key_id, &opened.data_key, &context))
            .collect();
        let mut new = Vec::new();
        for ((at, ..), end) in empty.iter().zip(together(calls, 0, None, &*self.shared.clock).await)
        {
            match end {
                Some(Ok(wrapped)) => new.push((*at, wrapped)),
                Some(Err(error)) => failure = Some(worse(failure, error)),
                None => {}
            }
        }
        if new.is_empty() {
            return Err(
                failure.unwrap_or_else(|| CryptoError::new(ErrorKind::Internal, Operation::Rewrap))
            );
        }
        let filled: Vec<usize> = new.iter().map(|(at, _)| *at).collect();
        self.refilled(&parsed, new, filled.into_iter()).await
    }

    /// The missing slots of this envelope's recipients.
    async fn empty_slots(
        &self,
        parsed: &ParsedHeader<'_>,
        failure: &mut Option<CryptoError>,
    ) -> Vec<(usize, &KmsRecipient, KeyId)> {
        let mut empty = Vec::new();
        for own in self.shared.recipients.all_kms() {
            let missing = || {
                let slots = parsed.header.slots.iter().enumerate();
                slots.filter(|(_, slot)| slot.is_missing() && own.could_own(slot))
            };
            if missing().next().is_none() {
                continue;
            }
            let key_id = match own.canonical_id().await {
                Ok(key_id) => key_id,
                Err(error) => {
                    *failure = Some(worse(failure.take(), error));
                    continue;
                }
            };
            if let Some((at, _)) = missing().find(|(_, slot)| own.owns(slot, &key_id)) {
                empty.push((at, own, key_id));
            }
        }
        empty
    }
}
