//! Slots that people and programs open with a key of their own, without any service: passphrases and
//! public keys (docs/FORMAT.md sections 6.5 to 6.7).
//!
//! Whom a message is sealed for and which slots are tried is left to `recipients` and `unlock`.
//! Deriving from a passphrase and computing with key pairs is work for the processor in the middle of
//! an async function: 100 milliseconds and more for a passphrase, up to a few for the others. A service
//! that seals or opens by passphrase does it on a thread of its own.

#[cfg(feature = "hpke")]
mod bech32;
#[cfg(feature = "passphrase")]
mod cost;
#[cfg(feature = "hpke")]
mod hpke;
#[cfg(any(feature = "hpke", feature = "rsa"))]
mod key_pair;
#[cfg(feature = "passphrase")]
mod passphrase;
#[cfg(feature = "rsa")]
mod pem;
#[cfg(any(feature = "hpke", feature = "rsa"))]
mod producer;
#[cfg(feature = "rsa")]
mod rsa;

#[cfg(feature = "passphrase")]
pub use cost::PassphraseCost;
#[cfg(any(feature = "hpke", feature = "rsa"))]
pub use key_pair::{PrivateKey, PublicKey};
#[cfg(feature = "passphrase")]
pub use passphrase::Passphrase;
#[cfg(any(feature = "hpke", feature = "rsa"))]
pub use producer::Producer;
use vault_crypto_core::header::{Slot, SlotKind};

use crate::slot_key::SlotFacts;

/// A slot of `kind` that carries the share of `facts`, if there is one; nothing is wrapped in it yet.
fn new_slot(kind: SlotKind, key_id: &[u8], parameters: &[u8], facts: &SlotFacts<'_>) -> Slot {
    let mut slot = Slot::without_kms(kind, key_id.to_vec(), parameters.to_vec());
    if let Some((index, check)) = facts.share {
        slot.share_index = index;
        slot.share_check = Some(check);
    }
    slot
}

/// What the wrapped bytes of passphrase and HPKE slots are bound to:
/// `S || Lbl("slot") || descriptor || key id || message id`.
#[cfg(any(feature = "passphrase", feature = "hpke"))]
fn bound(slot: &Slot, facts: &SlotFacts<'_>) -> vault_crypto_core::Result<Vec<u8>> {
    let mut out = facts.wrap.binding();
    out.extend_from_slice(b"vaultkit.v1/slot\0");
    out.extend_from_slice(&slot.descriptor()?);
    out.extend_from_slice(&facts.data_key_id);
    out.extend_from_slice(&facts.message_id);
    Ok(out)
}
