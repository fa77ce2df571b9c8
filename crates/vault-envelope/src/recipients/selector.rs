//! Naming one slot of a header.

use vault_crypto_core::header::{Header, Slot, SlotKind};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

/// Names one slot of a message, for
/// [`remove_recipient`](crate::EnvelopeEncryption::remove_recipient).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSelector(By);

#[derive(Debug, Clone, PartialEq, Eq)]
enum By {
    Number(usize),
    KeyId(String),
    Kind(SlotKind),
}

impl SlotSelector {
    /// The slot with this number, from 0.
    #[must_use]
    pub fn number(number: usize) -> Self {
        Self(By::Number(number))
    }

    /// The slot of the key with this canonical id; of a public key, its digest in lowercase hexadecimal.
    #[must_use]
    pub fn key_id(key_id: impl Into<String>) -> Self {
        Self(By::KeyId(key_id.into()))
    }

    /// The only slot of this kind, such as the passphrase's.
    #[must_use]
    pub fn kind(kind: SlotKind) -> Self {
        Self(By::Kind(kind))
    }

    /// The number of the one slot that this names.
    pub(crate) fn find(&self, header: &Header) -> Result<usize> {
        let named = |at: usize, slot: &Slot| match &self.0 {
            By::Number(number) => *number == at,
            By::KeyId(key_id) => slot.key_id_text() == *key_id,
            By::Kind(kind) => slot.kind == *kind,
        };
        let mut found = header.slots.iter().enumerate().filter(|(at, slot)| named(*at, slot));
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok(at),
            (None, _) => Err(refused("the message has no such slot")),
            _ => Err(refused("more than one slot is meant; name it by its number")),
        }
    }
}

fn refused(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Rewrap).with_detail(why)
}
