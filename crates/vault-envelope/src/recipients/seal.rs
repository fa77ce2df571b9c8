//! Slots for recipients: who is asked at once, who may fail, who stands as missing.

use vault_crypto_core::header::{DATA_KEY_ID_LEN, Header, Shape, Slot};
use vault_crypto_core::{
    Clock, CryptoError, ErrorKind, KeyVersion, Operation, Result, Scope, SecureBytes, SystemRandom,
    WrapContext, WrapKind, WrappedKey,
};

use super::{KmsRecipient, Policy, Recipient, Recipients, Who};
use crate::allowed::binding;
use crate::hedge::{Attempt, together};
use crate::shares::{Share, deal};
use crate::slot_key::SlotFacts;

/// What a slot's payload is, and so the role that a KMS binds (docs/FORMAT.md sections 6.3 and 8.4).
pub(crate) fn wrap_context(header: &Header, scope: &Scope) -> WrapContext {
    use vault_crypto_core::header::Extension;
    let kind = if header.threshold > 1 {
        WrapKind::Share
    } else if header.shape == Shape::KeyEntry && header.extension(Extension::BRANCH).is_some() {
        WrapKind::BranchKey
    } else {
        WrapKind::DataKey
    };
    WrapContext::new(kind, scope.clone())
}

/// Gives `header` a threshold, a share set and slots for `recipients`. `made` is the wrapped form that the
/// first KMS made together with the data key.
pub(crate) async fn deal_slots(
    header: &mut Header,
    recipients: &Recipients,
    data_key: &SecureBytes,
    made: Option<WrappedKey>,
    scope: &Scope,
    clock: &dyn Clock,
) -> Result<()> {
    let needed = recipients.slots_to_open();
    header.threshold = narrow(needed)?;
    header.share_set = [0; 16];
    let mut shares = Vec::new();
    if needed > 1 {
        let count = narrow(recipients.members.len())?;
        let dealing = deal(data_key, header.threshold, count, &SystemRandom::new())?;
        header.share_set = dealing.set;
        shares = dealing.shares;
    }
    let sealing = Sealing {
        context: wrap_context(header, scope),
        data_key_id: header.data_key_id,
        message_id: header.message_id,
        data_key,
        shares,
        made,
    };
    header.slots = sealing.slots(recipients, clock).await?;
    Ok(())
}

fn narrow(count: usize) -> Result<u8> {
    u8::try_from(count).map_err(|_| {
        CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)
            .with_detail("a message has 1 to 16 recipients")
    })
}

/// Everything that the slots of one header are made of.
struct Sealing<'a> {
    context: WrapContext,
    data_key_id: [u8; DATA_KEY_ID_LEN],
    message_id: [u8; vault_crypto_core::header::MESSAGE_ID_LEN],
    data_key: &'a SecureBytes,
    /// One for each recipient in order; none with threshold 1.
    shares: Vec<Share>,
    made: Option<WrappedKey>,
}

impl Sealing<'_> {
    async fn slots(&self, recipients: &Recipients, clock: &dyn Clock) -> Result<Vec<Slot>> {
        let asked = |place: usize, member: &Recipient| {
            place == 0 || recipients.policy != Policy::Primary || member.as_kms().is_none()
        };
        let mut order: Vec<(usize, &Recipient)> =
            recipients.members.iter().enumerate().filter(|(at, who)| asked(*at, who)).collect();
        // A passphrase takes its time: the requests are on their way before.
        order.sort_by_key(|(_, member)| member.as_kms().is_none());
        let needed = match recipients.policy {
            Policy::AtLeast(needed) => needed,
            _ => order.len(),
        };
        let first = recipients.first_kms();
        let attempts = order.iter().map(|(at, member)| -> Attempt<'_, Slot> {
            let made = self.made.as_ref().filter(|_| {
                member.as_kms().zip(first).is_some_and(|(this, first)| std::ptr::eq(this, first))
            });
            Box::pin(self.slot(member, self.shares.get(*at), made))
        });
        let ended = together(attempts.collect(), needed, Some(recipients.patience), clock).await;
        let mut slots: Vec<Option<Slot>> = recipients.members.iter().map(|_| None).collect();
        let mut failures = Vec::new();
        for ((at, _), end) in order.into_iter().zip(ended) {
            match (end, slots.get_mut(at)) {
                (Some(Ok(slot)), Some(place)) => *place = Some(slot),
                (Some(Err(failure)), _) => failures.push(failure),
                _ => {}
            }
        }
        let took_part = slots.iter().flatten().count();
        if took_part < needed {
            return Err(too_few(recipients.policy, took_part, needed, failures));
        }
        let members = recipients.members.iter().zip(slots);
        members.map(|(member, slot)| slot.map_or_else(|| missing(member), Ok)).collect()
    }

    /// One recipient's slot, filled.
    async fn slot(
        &self,
        recipient: &Recipient,
        share: Option<&Share>,
        made: Option<&WrappedKey>,
    ) -> Result<Slot> {
        let payload = share.map_or(self.data_key, |share| &share.payload);
        let kms = match recipient.who() {
            Who::Kms(kms) => kms,
            Who::Person(person) => {
                let facts = SlotFacts {
                    data_key_id: self.data_key_id,
                    message_id: self.message_id,
                    wrap: &self.context,
                    share: share.map(|share| (share.index, share.check)),
                };
                return person.seal_slot(payload, &facts, &SystemRandom::new());
            }
        };
        let wrapped = match made {
            Some(made) => made.clone(),
            None => kms.kms.wrap_data_key(&kms.key_id, payload, &self.context).await?,
        };
        check_answer(kms, &wrapped)?;
        kms.remember(&wrapped.key_id);
        let mut slot = kms_slot(kms, wrapped);
        slot.share_index = share.map_or(0, |share| share.index);
        slot.share_check = share.map(|share| share.check);
        Ok(slot)
    }
}

/// What would leave a slot that its key's readers could not open.
fn check_answer(kms: &KmsRecipient, wrapped: &WrappedKey) -> Result<()> {
    let why = if wrapped.bytes.is_empty() {
        // It would stand as a missing slot.
        "the KMS answered a wrapped key of no bytes"
    } else if kms.kms.canonical_key_id(&kms.key_id).is_some_and(|asked| asked != wrapped.key_id) {
        "the KMS answered with another key than the one it was asked for"
    } else {
        return Ok(());
    };
    Err(CryptoError::new(ErrorKind::Internal, Operation::WrapDataKey)
        .with_key_id(&kms.key_id)
        .with_detail(why))
}

fn kms_slot(kms: &KmsRecipient, wrapped: WrappedKey) -> Slot {
    let WrappedKey { key_id, version, bytes, .. } = wrapped;
    Slot::kms(kms.kind(), binding(&*kms.kms), &key_id, version, bytes)
}

/// A slot that is to be filled later. Its key id is covered by the MAC, so it must be known now.
fn missing(recipient: &Recipient) -> Result<Slot> {
    let unknown = |error: CryptoError| {
        error.with_detail(
            "the key's canonical id is not known, so no slot can be left for it; name it by its \
             canonical id, or call resolve_recipients while its service answers",
        )
    };
    let Some(kms) = recipient.as_kms() else {
        return Err(CryptoError::new(ErrorKind::Internal, Operation::Seal)
            .with_detail("a person's slot was left out"));
    };
    let key_id = kms.known_id().ok_or_else(|| {
        unknown(CryptoError::new(ErrorKind::InvalidInput, Operation::Seal)).with_key_id(&kms.key_id)
    })?;
    Ok(kms_slot(kms, WrappedKey::new(Vec::new(), key_id, KeyVersion::unknown())))
}

/// The failure that says most: where all were needed the first one as it is, else one that may pass.
fn too_few(
    policy: Policy,
    took_part: usize,
    needed: usize,
    mut failures: Vec<CryptoError>,
) -> CryptoError {
    let telling = failures.iter().position(CryptoError::is_retryable).unwrap_or(0);
    if failures.is_empty() {
        return CryptoError::new(ErrorKind::Internal, Operation::Seal);
    }
    let failure = failures.swap_remove(telling);
    if !matches!(policy, Policy::AtLeast(_)) {
        return failure;
    }
    CryptoError::new(failure.kind(), Operation::Seal)
        .with_detail(format!("{took_part} recipients took part, {needed} are needed"))
        .with_source(failure)
}
