//! Branch keys: one key for each scope, wrapped by the KMS and kept in a [`StorageBackend`], from which
//! the data keys of compact records are derived. A fleet then asks its KMS a few times an hour.
//!
//! Left to others: keeping and sharing data keys (`cache`), the bytes of a compact record (`compact`),
//! dealing out key slots (`fresh`) and trying them (`unlock`).

mod entry;
mod fetch;
mod kms;
mod manage;
mod memory;
mod place;
mod source;
mod stats;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, StorageBackend};

use crate::EnvelopeBuilder;
use crate::cache::PerProcess;
use crate::shared::Shared;
pub use kms::BranchKms;
pub use manage::{Branch, BranchPage, BranchRewrap, BranchRewraps};
pub(crate) use source::BranchSource;
use source::Own;
pub use stats::BranchStats;
use stats::Counts;

/// How branch keys are kept: where, and for how long in memory.
///
/// Each scope has a branch of its own, made by whoever seals first in it. With a
/// [`StorageBackend`] that processes share, each of them asks the KMS once per scope and
/// [`max_age`](Self::with_max_age), whatever it seals and opens; records carry a prefix of 24 bytes in place
/// of a header (96 bytes of overhead in suite 3). Streams, values over a whole budget and messages that
/// were sealed with headers are what they are without branch keys.
///
/// **The store is part of every message**: whoever loses it has lost what was sealed. Whoever reads it
/// learns scopes and wrapped keys; whoever writes it can deny service, and no more.
///
/// ```
/// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
/// use std::sync::Arc;
/// use vault_crypto_core::{EncryptionContext, MemoryStorage};
/// use vault_envelope::{BranchKeys, EnvelopeEncryption};
/// use vault_testkit::{MemoryKms, VirtualClock};
///
/// let clock = VirtualClock::new();
/// let kms = MemoryKms::new();
/// let key = kms.add_key("orders")?;
/// let orders = EnvelopeEncryption::builder(Arc::new(kms), key)
///     .branch_keys(BranchKeys::new(Arc::new(MemoryStorage::new())))
///     .build()?;
/// let acme = orders.scoped([("tenant", "acme")])?;
/// let sealed = clock.run(acme.encrypt(b"4111", &EncryptionContext::new()))?;
/// assert_eq!(sealed.len(), 4 + 96);
/// assert_eq!(clock.run(acme.decrypt(&sealed, &EncryptionContext::new()))?, b"4111");
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct BranchKeys {
    storage: Arc<dyn StorageBackend>,
    refresh: Duration,
    max_age: Duration,
    capacity: usize,
}

impl BranchKeys {
    /// Branch keys in `storage`, with every default.
    pub fn new(storage: Arc<dyn StorageBackend>) -> Self {
        Self {
            storage,
            refresh: Duration::from_secs(300),
            max_age: Duration::from_secs(3_600),
            capacity: 1_024,
        }
    }

    /// How often a process that seals looks into the storage for a newer version; 5 minutes by default.
    /// After a rotation, everybody seals under the new version when this time and the data keys'
    /// [`Budget`](crate::Budget) are over.
    pub fn with_refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// How long an unwrapped branch key serves from memory before the KMS is asked again; an hour by
    /// default. So long may a key that was disabled at the KMS still be used. Each process draws up
    /// to a tenth less, so that a fleet does not ask all at once.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// How many branch keys are kept in memory, at least 1; 1,024 by default. The least recently used
    /// one gives way.
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }
}

impl fmt::Debug for BranchKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchKeys")
            .field("storage", &self.storage.storage_type())
            .field("refresh", &self.refresh)
            .field("max_age", &self.max_age)
            .field("capacity", &self.capacity)
            .finish()
    }
}

impl EnvelopeBuilder {
    /// Derives data keys from branch keys: records become compact, and the KMS is asked for branch
    /// keys alone. Records with headers still open.
    ///
    /// [`build`](Self::build) refuses it for recipients whose data keys must serve one message alone:
    /// a branch key serves many.
    pub fn branch_keys(mut self, keys: BranchKeys) -> Self {
        self.shared.branches = Some(Arc::new(Branches::new(keys)));
        self
    }
}

/// The branch keys of one envelope.
pub(crate) struct Branches {
    settings: BranchKeys,
    own: PerProcess<Own>,
    counts: Counts,
}

impl Shared {
    /// Finds what can never work.
    pub(crate) fn check_branches(&self) -> Result<()> {
        if self.branches.is_none() || !self.needs_exclusive() {
            return Ok(());
        }
        Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(
            "a branch key serves many messages; people and thresholds need a data key for each",
        ))
    }
}

impl Branches {
    fn new(settings: BranchKeys) -> Self {
        Self { settings, own: PerProcess::new(Own::new), counts: Counts::default() }
    }
}

impl Branches {
    /// Wipes branch keys that are too old, and says when the next one will be; for ever is never.
    pub(crate) fn sweep(&self, now: Duration) -> Duration {
        self.memory().map_or(Duration::MAX, |memory| memory.sweep(now))
    }

    /// Lets go of the branch key that was used longest ago; `false` if there is none.
    pub(crate) fn evict_one(&self) -> bool {
        self.memory().is_ok_and(|memory| memory.evict())
    }
}

impl fmt::Debug for Branches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
