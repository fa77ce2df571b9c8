//! Counting without a shared counter: each thread has cells of its own, which are added up when asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::sync::lock;

/// What the cache did since the envelope was built, and what it holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Operations that found their data key in the cache.
    pub hits: u64,
    /// Operations that did not.
    pub misses: u64,
    /// Misses that waited for a question another one had asked.
    pub waits: u64,
    /// Questions asked before a key's time was over.
    pub refreshes: u64,
    /// Uses of a key past its time, during an outage.
    pub stale_uses: u64,
    /// Keys that had to make room for others.
    pub evictions: u64,
    /// Misses answered with a remembered refusal.
    pub negative_hits: u64,
    /// How often a data key was made or unwrapped: one call to each KMS that takes part.
    pub kms_calls: u64,
    /// Data keys for opening, now.
    pub opening_keys: u64,
    /// Data keys for sealing, now.
    pub sealing_keys: u64,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Hit,
    Miss,
    Wait,
    Refresh,
    StaleUse,
    Eviction,
    NegativeHit,
    KmsCall,
}

const COUNTS: usize = 8;

/// One thread's counts. Only that thread writes them, so a plain load and store do; in lines of memory that
/// no other thread's share.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cells([AtomicU64; COUNTS]);

impl Cells {
    #[inline]
    pub(crate) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    #[inline]
    pub(crate) fn add(&self, what: Count, number: u64) {
        if let Some(cell) = self.0.get(what as usize) {
            cell.store(cell.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
        }
    }
}

/// The cells of all threads.
#[derive(Debug, Default)]
pub(crate) struct Census {
    threads: Mutex<Vec<Arc<Cells>>>,
    /// Of threads that ended, or that have no cells any more.
    rest: Cells,
}

impl Census {
    /// Cells for one more thread.
    pub(crate) fn enrol(&self) -> Arc<Cells> {
        let cells = Arc::new(Cells::default());
        let mut threads = lock(&self.threads);
        // Who is the only one to know its cells has no thread any more.
        let (gone, alive) = threads.drain(..).partition(|cells| Arc::strong_count(cells) == 1);
        *threads = alive;
        let gone: Vec<Arc<Cells>> = gone;
        gone.iter().for_each(|cells| self.retire(cells));
        threads.push(cells.clone());
        cells
    }

    /// Counts for a thread without cells.
    pub(crate) fn add(&self, what: Count, number: u64) {
        if let Some(cell) = self.rest.0.get(what as usize) {
            cell.fetch_add(number, Ordering::Relaxed);
        }
    }

    fn retire(&self, cells: &Cells) {
        for (rest, cell) in self.rest.0.iter().zip(&cells.0) {
            rest.fetch_add(cell.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> CacheStats {
        let threads = lock(&self.threads);
        let of = |what: Count| {
            let all = threads.iter().map(|cells| &**cells).chain([&self.rest]);
            let cells = all.filter_map(|cells| cells.0.get(what as usize));
            cells.map(|cell| cell.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        };
        CacheStats {
            hits: of(Count::Hit),
            misses: of(Count::Miss),
            waits: of(Count::Wait),
            refreshes: of(Count::Refresh),
            stale_uses: of(Count::StaleUse),
            evictions: of(Count::Eviction),
            negative_hits: of(Count::NegativeHit),
            kms_calls: of(Count::KmsCall),
            opening_keys: 0,
            sealing_keys: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_threads_that_ended_are_not_lost() {
        let census = Census::default();
        for _ in 0..10 {
            census.enrol().add(Count::Hit, 3);
        }
        census.add(Count::Hit, 1);
        assert_eq!(census.sum().hits, 31);
        assert!(lock(&census.threads).len() <= 2);
    }
}
