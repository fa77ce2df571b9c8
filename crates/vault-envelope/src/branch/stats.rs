//! How often the storage and the KMS were asked for branch keys.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the envelope was built, and what is in memory now. All off the path of a cache hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchStats {
    /// Branch keys in memory.
    pub held: usize,
    /// Branch keys that the KMS made.
    pub made: u64,
    /// Branch keys that the KMS unwrapped, or refused to.
    pub unwraps: u64,
    /// Entries read from the storage.
    pub gets: u64,
    /// Entries written, or refused because another process was first.
    pub puts: u64,
    /// Pages of names read from the storage.
    pub lists: u64,
    /// Records of unknown versions that were refused from memory.
    pub refusals: u64,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) made: Count,
    pub(super) unwraps: Count,
    pub(super) gets: Count,
    pub(super) puts: Count,
    pub(super) lists: Count,
    pub(super) refusals: Count,
}

#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(super) fn read(&self, held: usize) -> BranchStats {
        BranchStats {
            held,
            made: self.made.read(),
            unwraps: self.unwraps.read(),
            gets: self.gets.read(),
            puts: self.puts.read(),
            lists: self.lists.read(),
            refusals: self.refusals.read(),
        }
    }
}
