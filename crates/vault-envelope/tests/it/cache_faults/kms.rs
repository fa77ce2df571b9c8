//! A KMS that does wrong in seven ways, and counts what it was asked and what it answered in truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, Clock as _, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo, KmsAdmin as _,
    KmsProvider, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};
use vault_testkit::{Fault as Failure, Faults, FaultyKms, MemoryKms, VirtualClock};

/// What every call takes, so that something can happen while it is under way.
pub(crate) const TRAVEL: Duration = Duration::from_millis(100);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Slow,
    Hanging,
    Throttled,
    FailsAfter,
    Garbage,
    OtherKey,
    Revoked,
}

pub(crate) const FAULTS: [Fault; 7] = [
    Fault::Slow,
    Fault::Hanging,
    Fault::Throttled,
    Fault::FailsAfter,
    Fault::Garbage,
    Fault::OtherKey,
    Fault::Revoked,
];

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Hanging => "hanging",
            Self::Throttled => "throttled",
            Self::FailsAfter => "500 after taking effect",
            Self::Garbage => "garbage",
            Self::OtherKey => "another key's bytes",
            Self::Revoked => "revoked",
        }
    }
}

/// A service at a distance, behind faults.
pub(crate) struct Service {
    kms: Arc<MemoryKms>,
    behind_faults: FaultyKms<MemoryKms>,
    faults: Faults,
    clock: VirtualClock,
    key: KeyId,
    other: KeyId,
    lies: [AtomicBool; 2],
    calls: AtomicU64,
    truths: AtomicU64,
}

const GARBAGE: usize = 0;
const OTHER_KEY: usize = 1;

impl Service {
    pub(crate) fn new(clock: &VirtualClock) -> Arc<Self> {
        let kms = MemoryKms::new().with_clock(Arc::new(clock.clone()));
        let (key, other) = (kms.add_key("app").unwrap(), kms.add_key("other").unwrap());
        let (kms, faults) = (Arc::new(kms), Faults::new(Arc::new(clock.clone())));
        Arc::new(Self {
            behind_faults: FaultyKms::new(kms.clone(), faults.clone()),
            kms,
            faults,
            clock: clock.clone(),
            key,
            other,
            lies: Default::default(),
            calls: AtomicU64::new(0),
            truths: AtomicU64::new(0),
        })
    }

    pub(crate) fn key(&self) -> KeyId {
        self.key.clone()
    }

    /// The same store of keys, without faults and without a distance.
    pub(crate) fn well(&self) -> Arc<MemoryKms> {
        self.kms.clone()
    }

    pub(crate) fn begin(&self, fault: Fault) {
        let always = |failure| self.faults.push_times(100, failure);
        match fault {
            Fault::Slow => always(Failure::Delay(Duration::from_millis(1_500))),
            Fault::Hanging => always(Failure::Hang),
            Fault::Throttled => always(Failure::Fail(ErrorKind::Throttled)),
            Fault::FailsAfter => always(Failure::FailAfter(ErrorKind::Unavailable)),
            Fault::Garbage => self.lies[GARBAGE].store(true, Ordering::SeqCst),
            Fault::OtherKey => self.lies[OTHER_KEY].store(true, Ordering::SeqCst),
            Fault::Revoked => self.clock.run(self.kms.disable_key(&self.key)).unwrap(),
        }
    }

    /// All is well again.
    pub(crate) fn end(&self, fault: Fault) {
        self.faults.clear();
        self.lies.iter().for_each(|lie| lie.store(false, Ordering::SeqCst));
        if fault == Fault::Revoked {
            self.clock.run(self.kms.enable_key(&self.key)).unwrap();
        }
    }

    /// The next call alone is refused.
    pub(crate) fn refuse_once(&self) {
        self.faults.push(Failure::Fail(ErrorKind::PermissionDenied));
    }

    /// Calls so far, and how many of them were answered in truth.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::SeqCst), self.truths.load(Ordering::SeqCst))
    }

    async fn travel(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.clock.sleep(TRAVEL).await;
    }

    fn lies(&self, lie: usize) -> bool {
        self.lies[lie].load(Ordering::SeqCst)
    }

    fn told<T>(&self, answer: Result<T>) -> Result<T> {
        answer.inspect(|_| {
            self.truths.fetch_add(1, Ordering::SeqCst);
        })
    }
}

#[async_trait]
impl KmsProvider for Service {
    fn provider_type(&self) -> &'static str {
        self.kms.provider_type()
    }

    fn capabilities(&self) -> Capabilities {
        self.kms.capabilities()
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        self.kms.canonical_key_id(key_id)
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        self.travel().await;
        if self.lies(OTHER_KEY) {
            return self.kms.generate_data_key(&self.other, context).await;
        }
        let answer = self.behind_faults.generate_data_key(key_id, context).await;
        if self.lies(GARBAGE) {
            let wrapped = answer?.into_parts().1;
            return DataKey::new(SecureBytes::new(b"<html>".to_vec()), wrapped);
        }
        self.told(answer)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.kms.wrap_data_key(key_id, plaintext, context).await
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        self.travel().await;
        let answer = self.behind_faults.decrypt_data_key(wrapped, context).await;
        if self.lies(GARBAGE) {
            return answer.map(|_| SecureBytes::new(b"<html>".to_vec()));
        }
        if self.lies(OTHER_KEY) {
            return answer.map(|_| SecureBytes::new(vec![7; 32]));
        }
        self.told(answer)
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.kms.rewrap_data_key(wrapped, to, context).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        self.kms.encrypt(key_id, plaintext, scope).await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        self.kms.decrypt(key_id, ciphertext, scope).await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.kms.describe_key(key_id).await
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        self.kms.health_check().await
    }
}
