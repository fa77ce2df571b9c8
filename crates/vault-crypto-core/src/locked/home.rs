//! What the clones of a pool share: its first region, which may be locked, and the further ones.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::books::{BLOCK_LEN, Class, Kind};
use super::region::{Found, Region};
use super::{LockPolicy, PoolUsage};
use crate::{CryptoError, ErrorKind, Operation, Result};

/// Blocks of the first further region; each next one has twice as many.
const FURTHER_BLOCKS: usize = 16;
/// Further regions at most: 256 MiB in all.
const FURTHER_REGIONS: usize = 12;

pub(super) struct Home {
    policy: LockPolicy,
    first: Region,
    further: [AtomicPtr<Region>; FURTHER_REGIONS],
    /// Generations given. On the heap, so that a child goes on from its parent's count.
    generations: AtomicU64,
    /// Keys that found no room in locked pages, so far.
    spills: AtomicU64,
}

impl Home {
    pub(super) fn new(policy: LockPolicy, bytes: usize) -> Result<Self> {
        if policy != LockPolicy::Require {
            return Ok(Self::forgiving(policy, bytes));
        }
        let first = Region::map(blocks_for(bytes), true).map_err(no_such_pages)?;
        first.lock_all().map_err(|error| not_locked(bytes, error))?;
        Ok(Self::with_first(policy, first))
    }

    /// Under [`LockPolicy::Prefer`] there always is a pool.
    pub(super) fn preferred(bytes: usize) -> Self {
        Self::forgiving(LockPolicy::Prefer, bytes)
    }

    fn forgiving(policy: LockPolicy, bytes: usize) -> Self {
        let blocks = blocks_for(bytes);
        let mapped = Region::map(blocks, policy == LockPolicy::Prefer);
        let heap = || Region::heap(blocks, std::process::id());
        Self::with_first(policy, mapped.unwrap_or_else(|_| heap()))
    }

    fn with_first(policy: LockPolicy, first: Region) -> Self {
        Self {
            policy,
            first,
            further: [const { AtomicPtr::new(std::ptr::null_mut()) }; FURTHER_REGIONS],
            generations: AtomicU64::new(0),
            spills: AtomicU64::new(0),
        }
    }

    pub(super) fn policy(&self) -> LockPolicy {
        self.policy
    }

    pub(super) fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Finds a slot for `len` bytes and hands it, with its region's owner, to `make`.
    pub(super) fn claim<C>(
        &self,
        kind: Kind,
        len: usize,
        make: impl FnOnce(Found<'_>, u32) -> C,
    ) -> Result<C> {
        let class = Class::of(len).ok_or_else(full)?;
        let locked = self.first.locked_blocks();
        if let Some(found) = self.first.claim(self.room(kind, locked), kind, class) {
            return Ok(make(found, self.first.owner()));
        }
        if self.policy == LockPolicy::Require {
            return Err(full());
        }
        self.spills.fetch_add(1, Ordering::Relaxed);
        if let Some(found) = self.first.claim(locked..self.first.blocks(), kind, class) {
            return Ok(make(found, self.first.owner()));
        }
        for index in 0..FURTHER_REGIONS {
            let region = self.further(index)?;
            if let Some(found) = region.claim(0..region.blocks(), kind, class) {
                return Ok(make(found, region.owner()));
            }
        }
        Err(full())
    }

    /// The locked blocks that keys of one kind may have. A block never changes its kind, so under
    /// [`LockPolicy::Require`], where there is nowhere else to go, each kind leaves a quarter to the
    /// other: the one that filled the pool first would shut the other out for ever.
    fn room(&self, kind: Kind, locked: usize) -> Range<usize> {
        let left = match self.policy {
            LockPolicy::Require => locked.div_ceil(4).min(locked / 2),
            _ => 0,
        };
        match kind {
            Kind::Shared => left..locked,
            Kind::Owned => 0..locked - left,
        }
    }

    /// The further region of this number, mapped when it is needed first.
    fn further(&self, index: usize) -> Result<&Region> {
        let cell = self.further.get(index).ok_or_else(full)?;
        let known = cell.load(Ordering::Acquire);
        // SAFETY: what is stored in `cell` is freed by `Drop` alone.
        if let Some(region) = unsafe { known.as_ref() } {
            return Ok(region);
        }
        let blocks = FURTHER_BLOCKS << index;
        let fresh = match self.first.owner() {
            0 => Region::map(blocks, false).map_err(|error| full().with_source(error))?,
            owner => Region::heap(blocks, owner),
        };
        let leaked = Box::into_raw(Box::new(fresh));
        let null = std::ptr::null_mut();
        match cell.compare_exchange(null, leaked, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: stored now, and freed by `Drop` alone.
            Ok(_) => Ok(unsafe { &*leaked }),
            Err(other) => {
                // SAFETY: nobody else has seen `leaked`.
                drop(unsafe { Box::from_raw(leaked) });
                // SAFETY: another thread was first; as above.
                Ok(unsafe { &*other })
            }
        }
    }

    pub(super) fn usage(&self) -> PoolUsage {
        let locked = self.first.locked_blocks();
        let inside = self.first.tally(0..locked);
        let mut outside = self.first.tally(locked..self.first.blocks());
        for cell in &self.further {
            // SAFETY: as in `further`.
            if let Some(region) = unsafe { cell.load(Ordering::Acquire).as_ref() } {
                let more = region.tally(0..region.blocks());
                outside.slots += more.slots;
                outside.bytes += more.bytes;
            }
        }
        let counts = self.policy == LockPolicy::Prefer;
        PoolUsage {
            policy: self.policy,
            capacity: self.first.bytes(),
            locked_bytes: locked * BLOCK_LEN,
            used: inside.slots + outside.slots,
            used_bytes: inside.bytes + outside.bytes,
            spilled: if counts { outside.slots } else { 0 },
            spills: if counts { self.spills.load(Ordering::Relaxed) } else { 0 },
            wiped_by_fork: self.first.owner() == 0,
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for cell in &mut self.further {
            let region = *cell.get_mut();
            if !region.is_null() {
                // SAFETY: came from a box, and every slot in it kept this `Home` alive.
                drop(unsafe { Box::from_raw(region) });
            }
        }
    }
}

fn blocks_for(bytes: usize) -> usize {
    bytes.div_ceil(BLOCK_LEN).max(1)
}

#[cold]
fn full() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Primitive)
        .with_detail("the pool of locked memory is full: let go of a key, or make it larger")
}

#[cold]
fn not_locked(bytes: usize, error: io::Error) -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Configure)
        .with_detail(format!(
            "the system does not lock {bytes} bytes of memory: raise the limit (`ulimit -l`, \
             LimitMEMLOCK=), make the pool smaller, or take the policy `prefer`"
        ))
        .with_source(error)
}

#[cold]
fn no_such_pages(error: io::Error) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, Operation::Configure)
        .with_detail("this system has no pages that are left out of dumps and wiped by a fork")
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::locked::LockedPool;

    /// A pool as on a system without such pages, in the process `owner`.
    fn on_heap(owner: u32) -> LockedPool {
        let home = Home::with_first(LockPolicy::Prefer, Region::heap(1, owner));
        LockedPool(Arc::new(home))
    }

    #[test]
    fn on_the_heap_keys_are_kept_wiped_and_counted_and_the_sentence_says_so() {
        let pool = on_heap(std::process::id());
        let keys: Vec<_> = (0..200_u8).map(|n| pool.store([n; 32]).unwrap()).collect();
        assert!((0..).zip(&keys).all(|(n, key)| key.with(|bytes| bytes[31]) == Some(n)));
        let owned = pool.boxed(|| vec![1_u8]).unwrap();
        assert_eq!(owned.get(), Some(&vec![1]));
        let usage = pool.usage();
        assert_eq!((usage.used, usage.spilled, usage.locked_bytes), (201, 201, 0));
        assert!(!usage.wiped_by_fork);
        assert!(usage.to_string().starts_with("keys lie on the heap"), "{usage}");
        keys[0].wipe();
        assert_eq!(keys[0].with(|bytes| bytes[0]), None);
        drop((keys, owned));
        assert_eq!(pool.usage().used, 0);
    }

    #[test]
    fn on_the_heap_a_process_finds_nothing_of_another_ones() {
        let pool = on_heap(std::process::id() + 1);
        let key = pool.store([1_u8; 32]).unwrap();
        let owned = pool.boxed(|| [1_u8; 32]).unwrap();
        assert!(key.is_wiped());
        assert_eq!(key.with(|bytes| bytes[0]), None);
        assert_eq!(owned.get(), None);
    }
}
