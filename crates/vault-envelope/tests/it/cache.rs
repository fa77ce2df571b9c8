//! The cache of data keys, on a virtual clock.

mod ages;
mod batch;
mod budgets;
mod flights;
mod floods;
mod hits;
mod invalidations;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::header::{ParsedHeader, parse};
use vault_crypto_core::locked::{LockPolicy, LockedPool};
use vault_crypto_core::{EncryptedData, EncryptionContext, KeyId, Operation, Result, SecureBytes};
use vault_envelope::{EnvelopeBuilder, EnvelopeEncryption};
use vault_testkit::{Faults, FaultyKms, MemoryKms, VirtualClock};

use super::support::context;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// An envelope over a KMS with faults, on a clock and in memory of its own.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) kms: Arc<MemoryKms>,
    pub(crate) key: KeyId,
    pub(crate) faults: Faults,
    pub(crate) pool: LockedPool,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = VirtualClock::new();
        let kms = MemoryKms::new().with_clock(Arc::new(clock.clone()));
        let key = kms.add_key("app").unwrap();
        let faults = Faults::new(Arc::new(clock.clone()));
        let pool = LockedPool::new(LockPolicy::Prefer, 64 * 1024).unwrap();
        Self { clock, kms: Arc::new(kms), key, faults, pool }
    }

    pub(crate) fn faulty(&self) -> Arc<FaultyKms<MemoryKms>> {
        Arc::new(FaultyKms::new(self.kms.clone(), self.faults.clone()))
    }

    pub(crate) fn builder(&self) -> EnvelopeBuilder {
        EnvelopeEncryption::builder(self.faulty(), self.key.clone())
            .scope([("table", "cards")])
            .clock(Arc::new(self.clock.clone()))
            .memory(self.pool.clone())
    }

    pub(crate) fn envelope(&self) -> EnvelopeEncryption {
        self.builder().build().unwrap()
    }

    /// A record that an envelope of its own sealed, so that no other has its data key.
    pub(crate) fn foreign(&self) -> EncryptedData {
        self.seal(&self.envelope())
    }

    pub(crate) fn seal(&self, envelope: &EnvelopeEncryption) -> EncryptedData {
        self.clock.run(envelope.encrypt(b"value", &context())).unwrap()
    }

    pub(crate) fn open(
        &self,
        envelope: &EnvelopeEncryption,
        sealed: &EncryptedData,
    ) -> Result<SecureBytes> {
        self.clock.run(envelope.decrypt(sealed, &context()))
    }

    pub(crate) fn opens(&self, envelope: &EnvelopeEncryption, sealed: &EncryptedData) {
        assert_eq!(self.open(envelope, sealed).unwrap(), b"value");
    }

    /// Calls that came as far as the service's door: for new data keys, and to unwrap.
    pub(crate) fn calls(&self) -> (u64, u64) {
        let calls = self.faults.calls();
        (calls.of(Operation::GenerateDataKey), calls.of(Operation::DecryptDataKey))
    }
}

pub(crate) fn header(sealed: &EncryptedData) -> ParsedHeader<'_> {
    parse(sealed.as_bytes()).unwrap()
}

pub(crate) fn front(sealed: &EncryptedData) -> Vec<u8> {
    header(sealed).bytes.to_vec()
}

pub(crate) fn row(number: usize) -> EncryptionContext {
    EncryptionContext::from([("row", number.to_string())])
}
