//! What a pool got from the system and what of it is in use.

use std::fmt;

use super::LockPolicy;

/// The state of a pool. Printed, it is one sentence for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolUsage {
    /// What the pool does without locked pages.
    pub policy: LockPolicy,
    /// Bytes of keys it was made for.
    pub capacity: usize,
    /// Bytes of those that are locked, in this process.
    pub locked_bytes: usize,
    /// Slots in use.
    pub used: usize,
    /// Bytes in these slots.
    pub used_bytes: usize,
    /// Slots in use outside of locked pages, under [`LockPolicy::Prefer`].
    pub spilled: usize,
    /// How often a key found no room in locked pages, under [`LockPolicy::Prefer`].
    pub spills: u64,
    /// Whether the pages are guarded, left out of core dumps and wiped by a fork, locked or not.
    pub wiped_by_fork: bool,
}

impl fmt::Display for PoolUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.wiped_by_fork {
            return f.write_str(
                "keys lie on the heap: this system has no pages that are locked, left out of core \
                 dumps and wiped by a fork",
            );
        }
        let (locked, capacity) = (self.locked_bytes / 1_024, self.capacity / 1_024);
        match self.policy {
            LockPolicy::Off => f.write_str("keys lie in memory that is not locked, as asked for"),
            _ if locked == capacity => write!(f, "keys lie in {locked} KiB of locked memory"),
            _ => write!(
                f,
                "the system locks {locked} of {capacity} KiB for keys: the rest may reach swap \
                 (raise the limit: `ulimit -l`, LimitMEMLOCK=)"
            ),
        }?;
        f.write_str(", left out of core dumps and wiped by a fork")?;
        if self.spilled > 0 {
            write!(f, "; {} of {} keys lie outside of locked memory", self.spilled, self.used)?;
        }
        Ok(())
    }
}
