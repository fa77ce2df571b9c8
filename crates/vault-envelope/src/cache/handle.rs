//! The cache as its owner sees it: looking at it, forgetting, and the futures that keep it up.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use vault_crypto_core::{KeyId, Scope};

use super::maintain::maintain;
use super::{CachePolicy, CacheStats, Invalidation};
use crate::EnvelopeEncryption;

/// The cache of an envelope: all its scopes, all its clones.
///
/// ```
/// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
/// use std::sync::Arc;
/// use vault_crypto_core::EncryptionContext;
/// use vault_envelope::EnvelopeEncryption;
/// use vault_testkit::{MemoryKms, VirtualClock};
///
/// let kms = MemoryKms::new();
/// let key = kms.add_key("orders")?;
/// let envelope = EnvelopeEncryption::new(Arc::new(kms), key.clone());
/// let context = EncryptionContext::from([("row", "42")]);
/// VirtualClock::new().run(async {
///     for _ in 0..1_000 {
///         let sealed = envelope.encrypt(b"4111", &context).await?;
///         assert_eq!(envelope.decrypt(&sealed, &context).await?, b"4111");
///     }
///     assert_eq!(envelope.cache().stats().kms_calls, 1);
///     envelope.cache().invalidate_key(&key); // it was disabled: ask again
///     assert_eq!(envelope.cache().stats().opening_keys, 0);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct DataKeyCache<'a> {
    envelope: &'a EnvelopeEncryption,
}

impl<'a> DataKeyCache<'a> {
    pub(super) fn new(envelope: &'a EnvelopeEncryption) -> Self {
        Self { envelope }
    }

    /// The policy in force; `None` without a cache.
    #[must_use]
    pub fn policy(&self) -> Option<&'a CachePolicy> {
        let cache = &self.envelope.shared.cache;
        (!cache.is_off()).then(|| cache.policy())
    }

    /// What the cache did and holds, added up over all threads of this process.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let holdings = self.envelope.shared.cache.holdings();
        holdings.map(|holdings| holdings.stats()).unwrap_or_default()
    }

    /// Wipes all data keys that `key_id` wraps, by its canonical id. What is being asked for just now is
    /// used by who waits for it and not kept.
    pub fn invalidate_key(&self, key_id: &KeyId) {
        self.invalidate(&Invalidation::Key(key_id.clone()));
    }

    /// Wipes all data keys of `scope`, likewise.
    pub fn invalidate_scope(&self, scope: &Scope) {
        self.invalidate(&Invalidation::Scope(scope.clone()));
    }

    /// Wipes all data keys, likewise.
    pub fn invalidate_all(&self) {
        self.invalidate(&Invalidation::Everything);
    }

    /// Wipes what `what` names. Remembered refusals are forgotten, too: whatever changed, ask again.
    pub fn invalidate(&self, what: &Invalidation) {
        self.envelope.forget(what);
    }

    /// Wipes keys at the end of their time, and asks for new ones before it, so that no operation has to.
    /// Drive it on any executor; it ends when the last clone of the envelope is dropped.
    ///
    /// Without it the next operation does both.
    pub fn maintenance(&self) -> impl Future<Output = ()> + Send + use<> {
        maintain(Arc::downgrade(&self.envelope.shared))
    }

    /// Invalidates whatever comes from a channel: a control plane that tells all processes at once.
    ///
    /// Ends with the stream, or with the first item after the last clone of the envelope was dropped.
    /// The stream decides what happens when it falls behind; send
    /// [`Invalidation::Everything`] after a gap.
    #[cfg(feature = "async")]
    pub fn follow<S: futures_core::Stream<Item = Invalidation>>(
        &self,
        stream: S,
    ) -> impl Future<Output = ()> + use<S> {
        let shared = Arc::downgrade(&self.envelope.shared);
        async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(what) = std::future::poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
                let Some(shared) = shared.upgrade() else { return };
                EnvelopeEncryption::from_parts(shared, Scope::empty()).forget(&what);
            }
        }
    }
}

impl fmt::Debug for DataKeyCache<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("DataKeyCache");
        out.field("policy", &self.policy()).field("stats", &self.stats()).finish()
    }
}
