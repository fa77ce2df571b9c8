//! A store in the memory of this process: for tests, and for a process that shares nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Expected, StorageBackend, StorageCapabilities, StorageVersion, Stored, StoredEntry, StoredPage,
    check_key, check_list, check_put, conflict,
};
use crate::{Operation, Result};

/// Keeps everything in memory; it is gone with the last handle. Share it in an `Arc`.
#[derive(Default)]
pub struct MemoryStorage(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    held: BTreeMap<String, Stored>,
    /// Counts every change of any key, so that no key ever sees a version twice.
    changes: u64,
}

impl MemoryStorage {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn version_of(&self, key: &str) -> Option<StorageVersion> {
        self.held.get(key).map(|stored| stored.version)
    }
}

#[async_trait]
impl StorageBackend for MemoryStorage {
    fn storage_type(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities::none()
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        check_key(key, Operation::StorageGet)?;
        Ok(self.shelf().held.get(key).cloned())
    }

    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion> {
        check_put(key, value)?;
        let mut shelf = self.shelf();
        if !expected.is_met_by(shelf.version_of(key)) {
            return Err(conflict(Operation::StoragePut));
        }
        shelf.changes += 1;
        let version = StorageVersion::new(shelf.changes);
        shelf.held.insert(key.to_owned(), Stored::new(value, version));
        Ok(version)
    }

    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()> {
        check_key(key, Operation::StorageDelete)?;
        let mut shelf = self.shelf();
        if shelf.version_of(key) != Some(expected) {
            return Err(conflict(Operation::StorageDelete));
        }
        shelf.held.remove(key);
        Ok(())
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StoredPage> {
        check_list(prefix, after, limit)?;
        let shelf = self.shelf();
        // Keys with the prefix stand together, the first of them at or after the prefix itself.
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let from = shelf.held.range::<str, _>((start, Bound::Unbounded));
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        let entries = matching.map(|(key, stored)| StoredEntry::new(key, stored.version));
        Ok(StoredPage::first(entries, limit))
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("keys", &self.shelf().held.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn of_threads_that_race_one_wins_each_round() {
        let storage = MemoryStorage::new();
        let wins = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let key = format!("round-{round}");
                        let put = storage.put(&key, b"mine", Expected::Absent);
                        if pollster::block_on(put).is_ok() {
                            wins.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert_eq!(wins.into_inner(), 200);
    }

    #[test]
    fn debug_shows_no_value() {
        let storage = MemoryStorage::new();
        let put = pollster::block_on(storage.put("k", b"PRIVATE", Expected::Absent));
        put.unwrap();
        let stored = pollster::block_on(storage.get("k")).unwrap();
        let shown = format!("{storage:?} {stored:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains("80, 82"), "{shown}");
    }
}
