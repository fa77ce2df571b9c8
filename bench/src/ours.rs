//! Our crates as a service would use them: an envelope under a KMS in memory, the data key at hand.

use std::sync::Arc;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::derive::{DataKeySecret, body_context};
use vault_crypto_core::header::{Suite, parse};
use vault_crypto_core::{EncryptionContext, KeyId, KmsProvider, Scope, WrapContext, WrappedKey};
use vault_envelope::{Budget, EnvelopeEncryption};
use vault_testkit::MemoryKms;

/// An envelope and what the bench must know beside it to build a floor for the same message.
pub struct Ours {
    pub envelope: EnvelopeEncryption,
    pub context: EncryptionContext,
    kms: Arc<MemoryKms>,
    key_id: KeyId,
    record_suite: Suite,
}

impl Ours {
    pub fn new(backend: Option<AeadBackend>, record_suite: Suite) -> Self {
        let kms = Arc::new(MemoryKms::new());
        let key_id = kms.add_key("bench").expect("a new name");
        Self::under(kms, key_id, backend, record_suite)
    }

    /// Another backend under the same KMS and key: it opens what this one seals.
    pub fn on(&self, backend: AeadBackend) -> Self {
        Self::under(self.kms.clone(), self.key_id.clone(), Some(backend), self.record_suite)
    }

    fn under(
        kms: Arc<MemoryKms>,
        key_id: KeyId,
        backend: Option<AeadBackend>,
        record_suite: Suite,
    ) -> Self {
        let day = Duration::from_secs(86_400);
        let budget = Budget::default().with_messages(u64::MAX).with_bytes(u64::MAX).with_age(day);
        let mut builder = EnvelopeEncryption::builder(kms.clone(), key_id.clone())
            .record_suite(record_suite)
            .budget(budget);
        if let Some(backend) = backend {
            builder = builder.backend(backend);
        }
        let envelope = builder.build().expect("a good configuration");
        // With the label, suite, shape, flags and the empty scope before it: 72 bytes bound in all.
        let context = EncryptionContext::from([("table", "cards"), ("row", "0000000000000000042")]);
        Self { envelope, context, kms, key_id, record_suite }
    }

    /// The key of the body of `sealed`, the bytes that it binds, and where the body starts.
    pub fn body_of(&self, sealed: &[u8]) -> ([u8; 32], Vec<u8>, usize) {
        let parsed = parse(sealed).expect("our own header");
        let slot = &parsed.header.slots[0];
        let wrapped = WrappedKey::new(
            slot.wrapped.clone(),
            KeyId::new(slot.key_id_text()),
            slot.version.clone(),
        );
        let wrap = WrapContext::data_key(Scope::empty());
        let data_key = block_on(self.kms.decrypt_data_key(&wrapped, &wrap)).expect("its own key");
        let secret = DataKeySecret::new(&data_key).expect("32 bytes");
        let header = &parsed.header;
        let bound = body_context(header.suite, header.shape, 0, &Scope::empty(), &self.context)
            .expect("good");
        (*secret.body_key(header.suite), bound, parsed.len())
    }
}
