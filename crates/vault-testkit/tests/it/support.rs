//! A KMS with faults on a virtual clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use vault_crypto_core::layers::{Intercept, Layered};
use vault_crypto_core::{Clock, DataKey, KeyId, KmsAdmin, KmsProvider, Result, Scope, WrapContext};
use vault_testkit::{Faults, FaultyKms, MemoryKms, VirtualClock};

pub(super) struct Bench {
    pub(super) clock: VirtualClock,
    pub(super) memory: Arc<MemoryKms>,
    pub(super) faults: Faults,
    pub(super) faulty: Arc<dyn KmsAdmin>,
    pub(super) key: KeyId,
}

impl Bench {
    pub(super) fn new() -> Self {
        let clock = VirtualClock::new();
        let memory = Arc::new(MemoryKms::new().with_clock(Arc::new(clock.clone())));
        let key = memory.add_key("orders").unwrap();
        let faults = Faults::new(Arc::new(clock.clone()));
        let admin: Arc<dyn KmsAdmin> = memory.clone();
        let faulty = Arc::new(FaultyKms::new(admin, faults.clone()));
        Self { clock, memory, faults, faulty, key }
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// The faulty KMS with one layer around it.
    pub(super) fn with<I: Intercept + 'static>(&self, layer: I) -> Arc<dyn KmsAdmin> {
        Arc::new(Layered::new(Arc::clone(&self.faulty), layer))
    }

    /// One call of `kms`, with time passing as it needs.
    pub(super) fn generate(&self, kms: &Arc<dyn KmsAdmin>) -> Result<DataKey> {
        self.clock.run(generate(kms.as_ref(), &self.key))
    }

    /// The seconds that `call` takes on the virtual clock.
    pub(super) fn timed<T>(&self, call: impl FnOnce() -> T) -> (T, Duration) {
        let began = self.clock.monotonic();
        let answer = call();
        (answer, self.clock.monotonic() - began)
    }
}

pub(super) async fn generate(kms: &(impl KmsProvider + ?Sized), key: &KeyId) -> Result<DataKey> {
    kms.generate_data_key(key, &WrapContext::data_key(Scope::empty())).await
}

/// Polls once, with a waker that nobody hears.
pub(super) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
