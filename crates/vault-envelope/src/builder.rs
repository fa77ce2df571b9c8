//! Assembling an [`EnvelopeEncryption`]: everything optional has a default a stranger can live with.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::header::Suite;
use vault_crypto_core::{
    BufferedRandom, Clock, CryptoError, ErrorKind, KeyId, KmsProvider, Operation, Result, Scope,
    SystemClock,
};

use crate::cache::Cache;
use crate::shared::Shared;
use crate::{AllowedKeys, Budget, CachePolicy, EnvelopeEncryption, Padding, Recipient, Recipients};

/// Builds an [`EnvelopeEncryption`]. Mistakes in the arguments show at [`build`](Self::build).
#[derive(Debug)]
#[must_use]
pub struct EnvelopeBuilder {
    pub(crate) shared: Shared,
    scope: Result<Scope>,
}

impl EnvelopeBuilder {
    pub(crate) fn new(kms: Arc<dyn KmsProvider>, key_id: KeyId) -> Self {
        Self::sealing_for(Recipients::all([Recipient::kms(kms, key_id)]))
    }

    pub(crate) fn sealing_for(recipients: Recipients) -> Self {
        let shared = Shared {
            allowed: AllowedKeys::none().after(&recipients),
            recipients,
            hedge_after: None,
            suites: vec![
                Suite::Cobblestone256,
                Suite::ChunkedChaCha20Poly1305,
                Suite::KcXaes256Gcm,
            ],
            record_suite: Suite::KcXaes256Gcm,
            stream_suite: Suite::Cobblestone256,
            backend: None,
            padding: Padding::None,
            store_scope: true,
            budget: Budget::default(),
            branches: None,
            cache: Cache::new(CachePolicy::default(), Budget::default()),
            memory: None,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(BufferedRandom::new()),
        };
        Self { shared, scope: Ok(Scope::empty()) }
    }

    /// Which messages may share a data key: a few pairs such as tenant, purpose, table. Bound in the
    /// KMS call where the KMS can, and by the header MAC always.
    pub fn scope<N: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.scope = Scope::new(pairs);
        self
    }

    /// Keys that may open besides the KMS keys that are sealed for, in order of preference after them.
    pub fn allow(mut self, keys: AllowedKeys) -> Self {
        self.shared.allowed = keys.after(&self.shared.recipients);
        self
    }

    /// Exactly these keys may open, in order of preference; a sealing key only if it is among them.
    pub fn allow_only(mut self, keys: AllowedKeys) -> Self {
        self.shared.allowed = keys;
        self
    }

    /// Asks the next allowed key as well whenever `delay` has passed without an answer; the first
    /// verified answer wins and the other calls are dropped. Without it keys are asked one after
    /// the other, the next one when one has failed: a KMS that is known to be down (its circuit
    /// breaker is open) costs no time either way.
    pub fn hedge_after(mut self, delay: Duration) -> Self {
        self.shared.hedge_after = Some(delay);
        self
    }

    /// Suites that a reader accepts; all three by default.
    pub fn suites(mut self, suites: impl IntoIterator<Item = Suite>) -> Self {
        self.shared.suites = suites.into_iter().collect();
        self
    }

    /// The suite of new records; suite 3 by default.
    pub fn record_suite(mut self, suite: Suite) -> Self {
        self.shared.record_suite = suite;
        self
    }

    /// The suite of new streams; suite 1 by default.
    pub fn stream_suite(mut self, suite: Suite) -> Self {
        self.shared.stream_suite = suite;
        self
    }

    /// An explicit AEAD backend; by default the fastest on this processor.
    pub fn backend(mut self, backend: AeadBackend) -> Self {
        self.shared.backend = Some(backend);
        self
    }

    /// Hides plaintext lengths; off by default.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.shared.padding = padding;
        self
    }

    /// Leaves the scope out of new headers (readers pass their own anyway; an operator's tools need
    /// it to rewrap).
    pub fn without_stored_scope(mut self) -> Self {
        self.shared.store_scope = false;
        self
    }

    /// How much one data key seals before the next one is asked for: in the cache, and in each
    /// [`SealingKey`](crate::SealingKey).
    pub fn budget(mut self, budget: Budget) -> Self {
        self.shared.cache = self.shared.cache.fitted(budget);
        self.shared.budget = budget;
        self
    }

    /// Another source of time.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.shared.clock = clock;
        self
    }

    /// Another source of salts and nonces. It must never repeat: use it for published vectors only.
    #[cfg(feature = "hazmat")]
    pub fn random(mut self, random: Arc<dyn vault_crypto_core::RandomSource>) -> Self {
        self.shared.random = random;
        self
    }

    pub(crate) fn build_unchecked(self) -> EnvelopeEncryption {
        EnvelopeEncryption::from_parts(Arc::new(self.shared), Scope::empty())
    }

    /// Checks everything and builds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a bad scope or key id, recipients whose number fits neither
    /// the format nor their policy, a suite that has no streams, or branch keys for recipients that
    /// cannot have them.
    pub fn build(self) -> Result<EnvelopeEncryption> {
        let scope = self.scope?;
        self.shared.recipients.check()?;
        self.shared.check_branches()?;
        if !self.shared.stream_suite.is_chunked() {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
                .with_detail("suite 3 has no streams"));
        }
        Ok(EnvelopeEncryption::from_parts(Arc::new(self.shared), scope))
    }
}
