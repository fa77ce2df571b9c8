//! What the tests of branch keys share: one KMS, one storage, a virtual clock, and any number of
//! processes over them, each an envelope of its own.

use std::sync::Arc;

use vault_crypto_core::derive::branch_name;
use vault_crypto_core::storage::Stored;
use vault_crypto_core::{KeyId, MemoryStorage, Scope, StorageBackend};
use vault_envelope::{BranchKeys, EnvelopeBuilder, EnvelopeEncryption};
use vault_testkit::{Faults, FaultyStorage, MemoryKms, VirtualClock};

use crate::it::support::context;

pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) kms: Arc<MemoryKms>,
    pub(crate) key: KeyId,
    pub(crate) storage: Arc<MemoryStorage>,
}

impl World {
    pub(crate) fn new() -> Self {
        let kms = MemoryKms::new();
        let key = kms.add_key("app").unwrap();
        let (clock, storage) = (VirtualClock::new(), Arc::new(MemoryStorage::new()));
        Self { clock, kms: Arc::new(kms), key, storage }
    }

    pub(crate) fn builder(&self) -> EnvelopeBuilder {
        EnvelopeEncryption::builder(self.kms.clone(), self.key.clone())
            .scope([("service", "orders")])
            .clock(Arc::new(self.clock.clone()))
    }

    /// A process of the fleet.
    pub(crate) fn process(&self) -> EnvelopeEncryption {
        self.process_with(|keys| keys)
    }

    pub(crate) fn process_with(
        &self,
        settings: impl FnOnce(BranchKeys) -> BranchKeys,
    ) -> EnvelopeEncryption {
        self.process_over(self.storage.clone(), settings)
    }

    pub(crate) fn process_over(
        &self,
        storage: Arc<dyn StorageBackend>,
        settings: impl FnOnce(BranchKeys) -> BranchKeys,
    ) -> EnvelopeEncryption {
        self.builder().branch_keys(settings(BranchKeys::new(storage))).build().unwrap()
    }

    /// A process whose way to the storage has faults on cue.
    pub(crate) fn faulty_process(&self) -> (EnvelopeEncryption, Faults) {
        let faults = Faults::new(Arc::new(self.clock.clone()));
        let storage = FaultyStorage::new(self.storage.clone(), faults.clone());
        (self.process_over(Arc::new(storage), |keys| keys), faults)
    }

    /// As [`process`](Self::process), in no scope at all.
    pub(crate) fn without_scope(&self) -> EnvelopeEncryption {
        EnvelopeEncryption::builder(self.kms.clone(), self.key.clone())
            .clock(Arc::new(self.clock.clone()))
            .branch_keys(BranchKeys::new(self.storage.clone()))
            .build()
            .unwrap()
    }

    /// A process that seals for another key.
    pub(crate) fn process_under(&self, key: KeyId) -> EnvelopeEncryption {
        EnvelopeEncryption::builder(self.kms.clone(), key)
            .scope([("service", "orders")])
            .clock(Arc::new(self.clock.clone()))
            .branch_keys(BranchKeys::new(self.storage.clone()))
            .build()
            .unwrap()
    }

    pub(crate) fn without_branches(&self) -> EnvelopeEncryption {
        self.builder().build().unwrap()
    }

    pub(crate) fn seal(&self, process: &EnvelopeEncryption) -> Vec<u8> {
        self.clock.run(process.encrypt(b"value", &context())).unwrap().into_bytes()
    }

    pub(crate) fn opens(&self, process: &EnvelopeEncryption, sealed: &[u8]) -> bool {
        self.clock.run(process.decrypt(sealed, &context())).unwrap() == b"value"
    }

    pub(crate) fn stored(&self, place: &str) -> Option<Stored> {
        self.clock.run(self.storage.get(place)).unwrap()
    }

    pub(crate) fn place_is_empty(&self, place: &str) -> bool {
        self.stored(place).is_none()
    }

    pub(crate) fn entry(&self, scope: &Scope, version: u32) -> Vec<u8> {
        self.stored(&place(scope, version)).unwrap().value
    }

    /// Whoever can write the storage puts `value` in a place.
    pub(crate) fn plant(&self, place: &str, value: &[u8]) {
        use vault_crypto_core::storage::Expected;
        let expected =
            self.stored(place).map_or(Expected::Absent, |stored| Expected::Version(stored.version));
        self.clock.run(self.storage.put(place, value, expected)).unwrap();
    }

    pub(crate) fn remove(&self, place: &str) {
        let stored = self.stored(place).unwrap();
        self.clock.run(self.storage.delete(place, stored.version)).unwrap();
    }
}

/// Where docs/FORMAT.md's branch of a scope lies in the storage.
pub(crate) fn place(scope: &Scope, version: u32) -> String {
    format!("branch/{}/{version:010}", hex::encode(branch_name(scope)))
}

/// The branch version that a compact record names.
pub(crate) fn version_of(sealed: &[u8]) -> u32 {
    u32::from_be_bytes(sealed[4..8].try_into().unwrap())
}
