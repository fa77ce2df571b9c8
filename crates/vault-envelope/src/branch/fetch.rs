//! Getting a branch key: made by the KMS and stored, or read from the storage and unwrapped; then kept.

use std::sync::Arc;

use vault_crypto_core::locked::Locked;
use vault_crypto_core::{DATA_KEY_LEN, ErrorKind, Result};

use super::Branches;
use super::entry::{Opened, parse_entry};
use super::memory::HeldKey;
use super::place::Name;
use super::store::Written;
use crate::EnvelopeEncryption;
use crate::cache::Count;

impl Branches {
    /// Makes a version that nobody has made; if somebody was first, takes theirs.
    pub(super) async fn make_version(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
    ) -> Result<Arc<HeldKey>> {
        let began = self.memory()?.invalidations();
        self.counts.made.add_one();
        count_kms_call(envelope);
        // Whoever makes one opens it again.
        self.counts.unwraps.add_one();
        count_kms_call(envelope);
        let (made, entry) = envelope.new_branch_entry(name, version).await?;
        // Stored before its first use: nothing is sealed under a key that nobody can find.
        let opened = match self.write(name, version, &entry).await? {
            Written::Ours => made,
            Written::Theirs(entry) => self.open(envelope, &entry, name, version).await?,
        };
        self.keep(envelope, name, version, opened, began)
    }

    pub(super) async fn load(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
    ) -> Result<Option<Arc<HeldKey>>> {
        let began = self.memory()?.invalidations();
        let Some(entry) = self.read(name, version).await? else { return Ok(None) };
        let opened = self.open(envelope, &entry, name, version).await?;
        self.keep(envelope, name, version, opened, began).map(Some)
    }

    async fn open(
        &self,
        envelope: &EnvelopeEncryption,
        entry: &[u8],
        name: &Name,
        version: u32,
    ) -> Result<Opened> {
        let parsed = parse_entry(entry, name, version)?;
        self.counts.unwraps.add_one();
        count_kms_call(envelope);
        envelope.open_branch_entry(&parsed).await
    }

    /// Puts a key into memory and gives its handle.
    fn keep(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
        opened: Opened,
        began: u64,
    ) -> Result<Arc<HeldKey>> {
        let mut draw = [0];
        envelope.shared.random.fill(&mut draw)?;
        let [draw] = draw;
        let max_age = self.settings.max_age;
        let less = max_age / 2_560 * u32::from(draw);
        let key = Arc::new(HeldKey {
            version,
            opened_by: opened.opened_by,
            key: self.place(envelope, &opened.key)?,
            expires: envelope.shared.clock.monotonic() + (max_age - less),
        });
        self.memory()?.admit(name, &key, began, self.settings.capacity);
        Ok(key)
    }

    /// Puts a branch key into locked memory. In a full pool data keys give way first: they are derived
    /// anew without a call.
    fn place(
        &self,
        envelope: &EnvelopeEncryption,
        key: &[u8; DATA_KEY_LEN],
    ) -> Result<Locked<[u8; DATA_KEY_LEN]>> {
        let pool = envelope.shared.pool();
        loop {
            match pool.store_with(|| *key) {
                Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                    let holdings = envelope.shared.cache.holdings();
                    let of_cache = holdings.is_some_and(|holdings| {
                        holdings.openings.evict_one(0) || holdings.sealings.evict_one(0)
                    });
                    if !of_cache && !self.memory()?.evict() {
                        return Err(error);
                    }
                }
                stored => return stored,
            }
        }
    }
}

/// Among the calls that the cache's statistics show.
fn count_kms_call(envelope: &EnvelopeEncryption) {
    if let Some(holdings) = envelope.shared.cache.holdings() {
        holdings.count(Count::KmsCall);
    }
}
