//! As `flawed`, for the promises of `StorageBackend`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use vault_crypto_core::storage::{
    Expected, MemoryStorage, StorageCapabilities, StorageVersion, Stored, StoredEntry, StoredPage,
};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, StorageBackend};
use vault_testkit::conformance::{self, StorageFixture};

#[test]
fn every_broken_promise_of_a_store_is_seen() {
    for case in conformance::storage::CASES {
        let flawed = Arc::new(Flawed::new(case.method, case.sentence));
        let anew = Arc::clone(&flawed);
        let fixture =
            StorageFixture::new(flawed.clone(), flawed, "suite/").with_open_anew(move || {
                let anew: Arc<dyn StorageBackend> = if anew.breaks("put", "Where") {
                    Arc::new(MemoryStorage::new())
                } else {
                    anew.clone()
                };
                async { Ok(anew) }
            });
        let report = pollster::block_on(conformance::storage::run_all(&fixture));
        assert!(report.broken().contains(&case.sentence), "not seen: {case:?}\n{report}");
        assert!(report.proved() > 0, "a flaw so coarse that it proves nothing: {case:?}");
    }
}

/// Keeps every promise but one.
struct Flawed {
    storage: MemoryStorage,
    method: &'static str,
    sentence: &'static str,
    calls: AtomicU64,
    /// What was there before the last change.
    before: Mutex<Option<(String, Stored)>>,
}

impl Flawed {
    fn new(method: &'static str, sentence: &'static str) -> Self {
        let storage = MemoryStorage::new();
        Self { storage, method, sentence, calls: AtomicU64::new(0), before: Mutex::default() }
    }

    fn breaks(&self, method: &str, beginning: &str) -> bool {
        self.method == format!("StorageBackend::{method}") && self.sentence.starts_with(beginning)
    }

    async fn version_of(&self, key: &str) -> Result<Option<StorageVersion>> {
        Ok(self.storage.get(key).await?.map(|stored| stored.version))
    }

    /// What the key needs to hold for the change to happen, which it then does.
    async fn whatever_it_holds(&self, key: &str) -> Result<Expected> {
        Ok(self.version_of(key).await?.map_or(Expected::Absent, Expected::Version))
    }
}

const REPLACED: char = '_';

/// A key that keeps the rules in place of one that breaks them.
fn repaired(key: &str) -> String {
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || "._-/:".contains(c) { c } else { REPLACED };
    let key: String = key.chars().map(plain).take(512).collect();
    if key.is_empty() { REPLACED.into() } else { key }
}

#[async_trait]
impl StorageBackend for Flawed {
    fn storage_type(&self) -> &'static str {
        "flawed"
    }

    fn capabilities(&self) -> StorageCapabilities {
        self.storage.capabilities().with_durable(true)
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        if self.breaks("get", "A key that breaks") {
            return self.storage.get(&repaired(key)).await;
        }
        let found = self.storage.get(key).await?;
        if self.breaks("get", "A key that holds") && found.is_none() {
            return Ok(Some(Stored::new([], StorageVersion::new(1))));
        }
        let before = self.before.lock().unwrap().clone();
        match before {
            Some((name, before)) if self.breaks("get", "It answers") && name == key => {
                Ok(Some(before))
            }
            _ => Ok(found),
        }
    }

    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion> {
        if let Some(before) = self.storage.get(key).await.ok().flatten() {
            *self.before.lock().unwrap() = Some((key.to_owned(), before));
        }
        let (mut key, mut value, mut expected) = (key.to_owned(), value.to_vec(), expected);
        if self.breaks("put", "A longer") {
            value.truncate(65_536);
            key = repaired(&key);
        }
        if self.breaks("put", "Up to") && value.len() == 65_536 {
            value.pop();
        }
        if self.breaks("put", "`Expected::Absent` makes") && key.len() == 512 {
            return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::StoragePut));
        }
        if self.breaks("put", "A key that holds anything else") {
            expected = self.whatever_it_holds(&key).await?;
        }
        if self.breaks("put", "Of calls that race") && key.ends_with("race") {
            // Between looking and putting, somebody else may look, too.
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if call < 2 {
                expected = self.whatever_it_holds(&key).await?;
            }
        }
        let version = self.storage.put(&key, &value, expected).await?;
        let starts_again = self.breaks("put", "The versions") && expected == Expected::Absent;
        Ok(if starts_again { StorageVersion::new(1) } else { version })
    }

    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()> {
        if self.breaks("delete", "A key that breaks") && repaired(key) != key {
            return Err(CryptoError::new(ErrorKind::Conflict, Operation::StorageDelete));
        }
        if self.breaks("delete", "Afterwards") {
            self.storage.put(key, b"tombstone", Expected::Version(expected)).await?;
            return Ok(());
        }
        if self.breaks("delete", "A key that holds")
            && let Some(version) = self.version_of(key).await?
        {
            return self.storage.delete(key, version).await;
        }
        self.storage.delete(key, expected).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StoredPage> {
        let skips = self.breaks("list", "Keys that stay") && after.is_some();
        if skips {
            // Counts its way to the page, as if nothing had been made before it.
            let skipped = self.calls.fetch_add(2, Ordering::SeqCst) + 2;
            let all = self.storage.list(prefix, None, 1000).await?;
            let rest = all.entries.into_iter().skip(usize::try_from(skipped).unwrap());
            return Ok(StoredPage::first(rest, limit));
        }
        if self.breaks("list", "A limit") {
            return self.storage.list(prefix, after, limit.clamp(1, 1000)).await;
        }
        if self.breaks("list", "A page has") && limit > 1 {
            return self.storage.list(prefix, after, limit - 1).await;
        }
        let mut page = self.storage.list(prefix, after, limit).await?;
        if let (Some(after), true) = (after, self.breaks("list", "The page begins")) {
            let again = StoredEntry::new(after, StorageVersion::new(1));
            page.entries.insert(0, again);
            page.entries.truncate(limit);
        }
        if self.breaks("list", "Walking") {
            page.entries.sort_by_key(|entry| entry.key.to_ascii_lowercase());
        }
        Ok(page)
    }
}
