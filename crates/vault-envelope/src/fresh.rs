//! A new data key, wrapped for everybody who may open, and the header that says so.

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{Extension, Header, MESSAGE_ID_LEN, Shape, Slot, Suite};
use vault_crypto_core::{Result, WrapContext};

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
        let kms = &*self.shared.kms;
        let wrap = WrapContext::data_key(self.scope.clone());
        let data_key = kms.generate_data_key(&self.shared.key_id, &wrap).await?;
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
        let slot = Slot::kms(
            slot_kind(kms),
            binding(kms),
            &wrapped.key_id,
            wrapped.version,
            wrapped.bytes,
        );
        header.slots.push(slot);
        Ok(Fresh { secret, header })
    }
}
