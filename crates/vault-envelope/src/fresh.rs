//! A new data key, wrapped for everybody who may open, and the header that says so.

use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{Extension, Header, MESSAGE_ID_LEN, Shape, Suite};
use vault_crypto_core::{
    CryptoError, DATA_KEY_LEN, ErrorKind, Operation, RandomSource as _, Result, SecureBytes,
    SystemRandom, WrappedKey,
};

use crate::EnvelopeEncryption;
use crate::recipients::{Policy, deal_slots, wrap_context};

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
        let exclusive = self.shared.needs_exclusive();
        if exclusive && message.is_none() && shape != Shape::KeyEntry {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Seal).with_detail(
                "slots of people and thresholds need a data key for each message; encrypt one by one",
            ));
        }
        let mut header = Header::new(suite, shape);
        header.exclusive = exclusive || message.is_some();
        header.message_id = message.unwrap_or_default();
        header.padded = !self.shared.padding.is_none() && shape != Shape::KeyEntry;
        if self.shared.store_scope && !self.scope.is_empty() {
            let scope = self.scope.canonical_pairs().to_vec();
            header.extensions.push(Extension::new(Extension::SCOPE, scope));
        }
        self.fresh_slots(header).await
    }

    /// A new branch key and its key entry's header; `branch` is the content of extension 3.
    pub(crate) async fn fresh_branch(&self, suite: Suite, branch: [u8; 20]) -> Result<Fresh> {
        let mut header = Header::new(suite, Shape::KeyEntry);
        header.exclusive = self.shared.needs_exclusive();
        if self.shared.store_scope && !self.scope.is_empty() {
            let scope = self.scope.canonical_pairs().to_vec();
            header.extensions.push(Extension::new(Extension::SCOPE, scope));
        }
        header.extensions.push(Extension::new(Extension::BRANCH, branch.to_vec()));
        self.fresh_slots(header).await
    }

    async fn fresh_slots(&self, mut header: Header) -> Result<Fresh> {
        let recipients = &self.shared.recipients;
        let (data_key, made) = self.new_data_key(&header).await?;
        let secret = DataKeySecret::new(&data_key)?;
        header.data_key_id = secret.id();
        let clock = &*self.shared.clock;
        deal_slots(&mut header, recipients, &data_key, made, &self.scope, clock).await?;
        Ok(Fresh { secret, header })
    }

    /// From the KMS that must take part anyway, else from the system: where any KMS may fail none is
    /// asked first, and a data key that is dealt in shares is nobody's.
    async fn new_data_key(&self, header: &Header) -> Result<(SecureBytes, Option<WrappedKey>)> {
        let recipients = &self.shared.recipients;
        let maker = match recipients.policy {
            Policy::All | Policy::Threshold(1) => recipients.first_kms(),
            Policy::Primary => recipients.members.first().and_then(|first| first.as_kms()),
            Policy::AtLeast(_) | Policy::Threshold(_) => None,
        };
        if let Some(maker) = maker {
            let context = wrap_context(header, &self.scope);
            let made = maker.kms.generate_data_key(&maker.key_id, &context).await?;
            let (data_key, wrapped) = made.into_parts();
            return Ok((data_key, Some(wrapped)));
        }
        let mut data_key = SecureBytes::zeroed(DATA_KEY_LEN);
        SystemRandom::new().fill(data_key.as_mut_slice())?;
        Ok((data_key, None))
    }
}
