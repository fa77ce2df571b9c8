//! A new data key, wrapped for everybody who may open, and the header that says so.

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{Extension, Header, MESSAGE_ID_LEN, Shape, Slot, Suite};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, WrapContext};

use crate::EnvelopeEncryption;
use crate::allowed::{binding, slot_kind};

/// A fresh data key and the header that carries it, still without its MAC.
pub(crate) struct Fresh {
    pub(crate) secret: DataKeySecret,
    pub(crate) header: Header,
}

impl EnvelopeEncryption {
    /// A new data key and a header with its slots. `message` is the id of the one message that the data
    /// key is for (EXCLUSIVE); without it other messages may use the data key too.
    pub(crate) async fn fresh(
        &self,
        suite: Suite,
        shape: Shape,
        message: Option<[u8; MESSAGE_ID_LEN]>,
    ) -> Result<Fresh> {
        let wrap = WrapContext::data_key(self.scope.clone());
        let first = self.shared.first_kms()?;
        let data_key = first.kms.generate_data_key(&first.key_id, &wrap).await?;
        let (plaintext, wrapped) = data_key.into_parts();
        let secret = DataKeySecret::new(&plaintext)?;
        let mut header = Header::new(suite, shape);
        header.exclusive = message.is_some();
        header.message_id = message.unwrap_or_default();
        header.padded = !self.shared.padding.is_none() && shape != Shape::KeyEntry;
        if self.shared.store_scope && !self.scope.is_empty() {
            let scope = self.scope.canonical_pairs().to_vec();
            header.extensions.push(Extension::new(Extension::SCOPE, scope));
        }
        for other in self.shared.recipients.all_kms() {
            let wrapped = if std::ptr::eq(other, first) {
                wrapped.clone()
            } else {
                other.kms.wrap_data_key(&other.key_id, &plaintext, &wrap).await?
            };
            header.slots.push(Slot::kms(
                slot_kind(&*other.kms),
                binding(&*other.kms),
                &wrapped.key_id,
                wrapped.version,
                wrapped.bytes,
            ));
        }
        if header.slots.len() < self.shared.recipients.members.len() {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Seal));
        }
        Ok(Fresh { secret, header })
    }
}
