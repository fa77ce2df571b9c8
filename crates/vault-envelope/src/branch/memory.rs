//! Branch keys in memory: for how long, how many, and what was seen of the storage.
//!
//! Only keys are forgotten. The newest version that was ever seen stays, so that a storage that was
//! put back in time is noticed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use vault_crypto_core::derive::{BranchKey, DataKeySecret, branch_name};
use vault_crypto_core::header::DATA_KEY_ID_LEN;
use vault_crypto_core::locked::Locked;
use vault_crypto_core::{DATA_KEY_LEN, Scope};

use zeroize::Zeroizing;

use super::place::Name;
use crate::{Invalidation, OpenedBy};

/// Most branches of which anything is remembered, keys or not: 2^16, a few megabytes.
const MOST_BRANCHES: usize = 1 << 16;

/// The versions of a branch.
pub(super) type Versions = BTreeSet<u32>;

/// A branch key at hand.
pub(super) struct HeldKey {
    pub(super) version: u32,
    /// Which slot of the branch's entry opened, and whose the others are.
    pub(super) opened_by: OpenedBy,
    pub(super) key: Locked<[u8; DATA_KEY_LEN]>,
    pub(super) expires: Duration,
}

impl HeldKey {
    /// The data key of one id; `None` once the branch key was wiped.
    pub(super) fn data_key(
        &self,
        id: &[u8; DATA_KEY_ID_LEN],
        scope: &Scope,
    ) -> Option<DataKeySecret> {
        self.key.with(|key| BranchKey::new(key).data_key(self.version, id, scope))
    }

    /// The key that wraps; `None` once the branch key was wiped.
    pub(super) fn wrap_key(&self) -> Option<Zeroizing<[u8; DATA_KEY_LEN]>> {
        self.key.with(|key| BranchKey::new(key).wrap_key())
    }
}

/// What one process knows of its branches.
#[derive(Default)]
pub(super) struct Memory(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    branches: HashMap<Name, Known>,
    /// Counts uses, to find the one longest ago.
    uses: u64,
    /// Counts invalidations: what was begun before the last one is not kept.
    invalidations: u64,
    /// No key is too old before this.
    next_end: Duration,
}

/// What is known of one branch.
#[derive(Default)]
struct Known {
    /// The newest version that was opened here. It only grows.
    newest: u32,
    /// When to look for a newer one.
    look_at: Duration,
    /// The versions that the storage had, and until when that is believed.
    listed: Option<(Duration, Versions)>,
    keys: Vec<(u64, Arc<HeldKey>)>,
    used: u64,
}

impl Memory {
    /// The key to seal with, unless it is time to look for a newer one.
    pub(super) fn to_seal(&self, name: &Name, now: Duration) -> Option<Arc<HeldKey>> {
        let mut shelf = self.lock();
        let known = shelf.branches.get(name)?;
        let (newest, fresh) = (known.newest, now < known.look_at);
        fresh.then(|| shelf.use_key(name, newest, now)).flatten()
    }

    /// The key of one version.
    pub(super) fn key(&self, name: &Name, version: u32, now: Duration) -> Option<Arc<HeldKey>> {
        self.lock().use_key(name, version, now)
    }

    /// The newest version that this process has seen; 0 if none.
    pub(super) fn newest_seen(&self, name: &Name) -> u32 {
        self.lock().branches.get(name).map_or(0, |known| known.newest)
    }

    /// Nobody needs to look for a newer version before `look_at`.
    pub(super) fn postpone(&self, name: &Name, look_at: Duration) {
        if let Some(known) = self.lock().branches.get_mut(name) {
            known.look_at = look_at;
        }
    }

    /// Whether the storage was seen lately to have no such version.
    pub(super) fn knows_missing(&self, name: &Name, version: u32, now: Duration) -> bool {
        let shelf = self.lock();
        let listed = shelf.branches.get(name).and_then(|known| known.listed.as_ref());
        listed.is_some_and(|(until, versions)| now < *until && !versions.contains(&version))
    }

    /// Remembers which versions there are.
    pub(super) fn list(&self, name: &Name, versions: Versions, until: Duration) {
        self.lock().known(name).listed = Some((until, versions));
    }

    /// How many invalidations there were: to be asked before a key is fetched.
    pub(super) fn invalidations(&self) -> u64 {
        self.lock().invalidations
    }

    /// Keeps a key that was fetched since `began`, unless something was invalidated meanwhile.
    pub(super) fn admit(&self, name: &Name, key: &Arc<HeldKey>, began: u64, most: usize) {
        let mut shelf = self.lock();
        let (now, invalidated) = (shelf.tick(), shelf.invalidations != began);
        let known = shelf.known(name);
        known.newest = known.newest.max(key.version);
        known.listed = None;
        if invalidated {
            return;
        }
        known.keys.retain(|(_, other)| other.version != key.version);
        known.keys.push((now, key.clone()));
        shelf.next_end = shelf.next_end.min(key.expires);
        while shelf.held() > most && shelf.drop_oldest_key() {}
    }

    /// Wipes what is named; fetches under way are not kept.
    pub(super) fn invalidate(&self, what: &Invalidation) {
        let mut shelf = self.lock();
        shelf.invalidations += 1;
        match what {
            Invalidation::Key(key_id) => shelf.wipe(|_, key| key.opened_by.is_of(key_id)),
            Invalidation::Scope(scope) => {
                let gone = branch_name(scope);
                shelf.wipe(|name, _| *name == gone);
            }
            _ => shelf.wipe(|_, _| true),
        }
    }

    /// Wipes what is too old. Says when the next one will be.
    pub(super) fn sweep(&self, now: Duration) -> Duration {
        let mut shelf = self.lock();
        shelf.wipe_old(now);
        shelf.next_end
    }

    /// Drops the key that was used longest ago; `false` if there is none.
    pub(super) fn evict(&self) -> bool {
        self.lock().drop_oldest_key()
    }

    /// How many keys are here.
    pub(super) fn held(&self) -> usize {
        self.lock().held()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn tick(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn known(&mut self, name: &Name) -> &mut Known {
        if self.branches.len() >= MOST_BRANCHES && !self.branches.contains_key(name) {
            self.forget_branches();
        }
        let used = self.tick();
        let known = self.branches.entry(*name).or_default();
        known.used = used;
        known
    }

    fn use_key(&mut self, name: &Name, version: u32, now: Duration) -> Option<Arc<HeldKey>> {
        let tick = self.tick();
        self.wipe_old(now);
        let known = self.branches.get_mut(name)?;
        known.used = tick;
        let (used, key) = known.keys.iter_mut().find(|(_, key)| key.version == version)?;
        *used = tick;
        Some(key.clone())
    }

    /// Wipes what is too old, whether anybody asks for it or not.
    fn wipe_old(&mut self, now: Duration) {
        if now < self.next_end {
            return;
        }
        self.wipe(|_, key| key.expires <= now);
        let ends = self.branches.values().flat_map(|known| &known.keys).map(|(_, key)| key.expires);
        self.next_end = ends.min().unwrap_or(Duration::MAX);
    }

    fn held(&self) -> usize {
        self.branches.values().map(|known| known.keys.len()).sum()
    }

    fn drop_oldest_key(&mut self) -> bool {
        let all = self.branches.values().flat_map(|known| &known.keys);
        let Some(oldest) = all.map(|(used, _)| *used).min() else { return false };
        for known in self.branches.values_mut() {
            known.keys.retain(|(used, _)| *used != oldest);
        }
        true
    }

    /// Drops the eighth of all branches that was used longest ago, so that this is done seldom.
    fn forget_branches(&mut self) {
        let mut uses: Vec<u64> = self.branches.values().map(|known| known.used).collect();
        let (_, middle, _) = uses.select_nth_unstable(MOST_BRANCHES / 8);
        let oldest = *middle;
        self.branches.retain(|_, known| known.used > oldest);
    }

    fn wipe(&mut self, gone: impl Fn(&Name, &HeldKey) -> bool) {
        for (name, known) in &mut self.branches {
            known.keys.retain(|(_, key)| {
                let gone = gone(name, key);
                if gone {
                    // Whoever still holds the handle has nothing from now on.
                    key.key.wipe();
                }
                !gone
            });
        }
    }
}
