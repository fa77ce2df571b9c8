//! The two ends of a key slot that no KMS serves: a passphrase, a public key. Each kind is one file that
//! implements these traits; dealing out slots and trying them is `fresh`'s and `unlock`'s.

use std::fmt;

use vault_crypto_core::header::{DATA_KEY_ID_LEN, MESSAGE_ID_LEN, Slot, SlotKind};
use vault_crypto_core::{RandomSource, Result, SecureBytes, WrapContext};

/// What a slot is bound to besides its own descriptor (docs/FORMAT.md section 6.5).
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "each kind of slot reads what it binds, and each is a feature")]
pub(crate) struct SlotFacts<'a> {
    /// The header's data key id.
    pub(crate) data_key_id: [u8; DATA_KEY_ID_LEN],
    /// The header's message id.
    pub(crate) message_id: [u8; MESSAGE_ID_LEN],
    /// Role and scope: S.
    pub(crate) wrap: &'a WrapContext,
    /// Index and check value of the share that is wrapped; `None` with threshold 1.
    pub(crate) share: Option<(u8, [u8; 16])>,
}

/// Somebody whom a message can be sealed for without a call to any service.
pub(crate) trait SealSlot: fmt::Debug + Send + Sync {
    /// The kind of the slots it makes.
    fn kind(&self) -> SlotKind;

    /// The key id of the slots it makes: empty for a passphrase, a public key's digest. By kind and key
    /// id its slot is found again in a header.
    fn key_id(&self) -> Vec<u8>;

    /// Wraps `payload` (a data key, or a share of one) in a whole slot. `random` is a source for keys.
    fn seal_slot(
        &self,
        payload: &SecureBytes,
        facts: &SlotFacts<'_>,
        random: &dyn RandomSource,
    ) -> Result<Slot>;
}

/// Somebody who can open slots without a call to any service.
pub(crate) trait OpenSlot: fmt::Debug + Send + Sync {
    /// Whether `slot` is for this one: kind, binding, key id and parameters that it understands.
    fn matches(&self, slot: &Slot) -> bool;

    /// The payload of `slot`. Parameters over the cost cap are refused before anything is allocated.
    fn open_slot(&self, slot: &Slot, facts: &SlotFacts<'_>) -> Result<SecureBytes>;
}
