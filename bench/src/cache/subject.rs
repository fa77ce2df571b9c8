//! The envelope that is measured: default budgets, under a KMS in memory that counts its calls.

use std::sync::Arc;

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::{Clock, EncryptionContext, KeyId, Operation};
use vault_envelope::{EnvelopeBuilder, EnvelopeEncryption};
use vault_testkit::{Faults, FaultyKms, MemoryKms};

pub struct Subject {
    pub envelope: EnvelopeEncryption,
    /// Four pairs, as the target says.
    pub context: EncryptionContext,
    kms: Arc<MemoryKms>,
    key_id: KeyId,
}

impl Subject {
    pub fn new(backend: Option<AeadBackend>) -> Self {
        Self::built(|builder| match backend {
            Some(backend) => builder.backend(backend),
            None => builder,
        })
    }

    /// With what `more` asks of the builder.
    pub fn built(more: impl FnOnce(EnvelopeBuilder) -> EnvelopeBuilder) -> Self {
        let kms = Arc::new(MemoryKms::new());
        let key_id = kms.add_key("bench").expect("a new name");
        let builder = EnvelopeEncryption::builder(kms.clone(), key_id.clone());
        let envelope = more(builder).build().expect("a good configuration");
        Self { envelope, context: context(), kms, key_id }
    }

    /// Another process of the same service: the same KMS and key, a cache of its own.
    pub fn fellow(
        &self,
        more: impl FnOnce(EnvelopeBuilder) -> EnvelopeBuilder,
    ) -> EnvelopeEncryption {
        let builder = EnvelopeEncryption::builder(self.kms.clone(), self.key_id.clone());
        more(builder).build().expect("a good configuration")
    }

    /// As [`fellow`](Self::fellow), with `faults` between it and the KMS, on `clock`.
    pub fn behind(&self, faults: &Faults, clock: Arc<dyn Clock>) -> EnvelopeEncryption {
        let kms = Arc::new(FaultyKms::new(self.kms.clone(), faults.clone()));
        EnvelopeEncryption::builder(kms, self.key_id.clone())
            .clock(clock)
            .build()
            .expect("a good configuration")
    }

    /// Calls that asked the KMS to make, wrap or unwrap a key.
    pub fn calls(&self) -> u64 {
        [Operation::GenerateDataKey, Operation::WrapDataKey, Operation::DecryptDataKey]
            .map(|operation| self.kms.calls().of(operation))
            .iter()
            .sum()
    }
}

/// Four pairs.
pub fn context() -> EncryptionContext {
    EncryptionContext::from([
        ("tenant", "acme"),
        ("table", "cards"),
        ("column", "number"),
        ("row", "0000000000000000042"),
    ])
}
