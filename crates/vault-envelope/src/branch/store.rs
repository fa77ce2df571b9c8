//! Entries in the storage: which versions a branch has, reading one, and writing one so that of all who
//! try exactly one wins.

use vault_crypto_core::storage::{Expected, MAX_STORAGE_PAGE_LEN, StoredPage};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::place::{self, Name};
use super::{Branches, memory::Versions};

/// Whose entry lies under a version after a try to write one.
pub(super) enum Written {
    /// The one that was to be written.
    Ours,
    /// Another one, written by somebody who was first.
    Theirs(Vec<u8>),
}

impl Branches {
    /// The entry of one version, if it is there.
    pub(super) async fn read(&self, name: &Name, version: u32) -> Result<Option<Vec<u8>>> {
        self.counts.gets.add_one();
        let stored = self.settings.storage.get(&place::of(name, version)).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Writes the entry of a version that is not there yet. Whatever the storage answers, whose
    /// entry it is in the end is known, or it is an error.
    pub(super) async fn write(&self, name: &Name, version: u32, entry: &[u8]) -> Result<Written> {
        self.counts.puts.add_one();
        let key = place::of(name, version);
        let Err(error) = self.settings.storage.put(&key, entry, Expected::Absent).await else {
            return Ok(Written::Ours);
        };
        // Refused because somebody else was first, or done with the answer lost: reading tells.
        match self.read(name, version).await {
            Ok(Some(found)) if found == entry => Ok(Written::Ours),
            Ok(Some(found)) => Ok(Written::Theirs(found)),
            _ => Err(error),
        }
    }

    /// The newest version that is stored, looking from `seen` on; `None` where there is none.
    pub(super) async fn newest_version(&self, name: &Name, seen: u32) -> Result<Option<u32>> {
        let mut newest = None;
        let mut after = seen.checked_sub(1).map(|before| place::of(name, before));
        loop {
            let page =
                self.page(&place::folder(name), after.as_deref(), MAX_STORAGE_PAGE_LEN).await?;
            let versions = page.entries.iter().filter_map(|entry| place::parse(&entry.key));
            newest = versions.map(|(_, version)| version).max().max(newest);
            match page.entries.into_iter().next_back() {
                Some(last) if page.more => after = Some(last.key),
                _ => return Ok(newest),
            }
        }
    }

    /// All versions of a branch, unless they are more than one page.
    pub(super) async fn all_versions(&self, name: &Name) -> Result<Option<Versions>> {
        let page = self.page(&place::folder(name), None, MAX_STORAGE_PAGE_LEN).await?;
        let versions = page.entries.iter().filter_map(|entry| place::parse(&entry.key));
        Ok((!page.more).then(|| versions.map(|(_, version)| version).collect()))
    }

    /// One page of names, held to what the trait promises: a store that answers otherwise could
    /// send a caller in circles.
    pub(super) async fn page(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<StoredPage> {
        self.counts.lists.add_one();
        let page = self.settings.storage.list(folder, after, limit).await?;
        let mut last = after;
        for entry in &page.entries {
            let in_order = last.is_none_or(|last| last < entry.key.as_str());
            if !in_order || !entry.key.starts_with(folder) {
                return Err(CryptoError::new(ErrorKind::StoreDamaged, Operation::KeyStore)
                    .with_detail("the storage lists keys that were not asked for"));
            }
            last = Some(entry.key.as_str());
        }
        if page.more && page.entries.is_empty() {
            return Err(CryptoError::new(ErrorKind::StoreDamaged, Operation::KeyStore)
                .with_detail("the storage promises more keys after none"));
        }
        Ok(page)
    }
}
