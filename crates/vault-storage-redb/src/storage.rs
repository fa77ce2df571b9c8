//! The store: two tables, and each change one transaction that is on the disk when it is answered.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use async_trait::async_trait;
use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use vault_crypto_core::storage::{
    Expected, StorageCapabilities, StorageVersion, Stored, StoredEntry, StoredPage, check_key,
    check_list, check_put, conflict,
};
use vault_crypto_core::{Operation, Result, StorageBackend};

use crate::error::{self, failed};
use crate::file;

/// Version and value of each key.
const HELD: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("held");
/// Under `CHANGES`, how many changes there were: the next one's version is one more, so that no key
/// ever sees a version twice.
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const CHANGES: &str = "changes";

/// What is read often fits; the rest is read from the file.
const CACHE_BYTES: usize = 1 << 20;

/// A store in one file. Share it in an `Arc`: the file is locked while it is open.
pub struct RedbStorage {
    database: Database,
}

impl RedbStorage {
    /// Opens the store in the file `path`, and makes it first if there is none. The folder must be there.
    ///
    /// # Errors
    /// `Unavailable` if it is open already, here or in another process; `StoreDamaged` for a file that
    /// is damaged, or that others than its owner can read or write; `Unsupported` for one of another
    /// generation of redb; `PermissionDenied` and `Io` where the file cannot be opened.
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if let Some(file) = file::open(path)? {
            return Self::over(path, file);
        }
        match file::create(path, |file| Self::over(path, file))? {
            Some(made) => Ok(made),
            None => Self::open(path),
        }
    }

    /// Opens the store in the file `path`, which must be there: a path mistyped by one of many processes
    /// then is an error instead of a second, empty store.
    ///
    /// # Errors
    /// As [`open_or_create`](Self::open_or_create).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let missing = || error::open_io(path, io::ErrorKind::NotFound.into());
        Self::over(path, file::open(path)?.ok_or_else(missing)?)
    }

    fn over(path: &Path, file: File) -> Result<Self> {
        let backend = FileBackend::new(file).map_err(|error| error::open(path, error))?;
        let opened = builder().create_with_backend(backend);
        Self::prepared(opened.map_err(|error| error::open(path, error))?)
    }

    /// With both tables there, so that reading finds them.
    fn prepared(database: Database) -> Result<Self> {
        let prepare = || -> std::result::Result<(), redb::Error> {
            if database.begin_read()?.open_table(HELD).is_ok() {
                return Ok(());
            }
            let change = database.begin_write()?;
            change.open_table(HELD)?;
            change.open_table(COUNTERS)?;
            Ok(change.commit()?)
        };
        prepare().map_err(|error| failed(Operation::KeyStore, error))?;
        Ok(Self { database })
    }

    fn read(&self, key: &str) -> Result<Option<Stored>, redb::Error> {
        let held = self.database.begin_read()?.open_table(HELD)?;
        let found = held.get(key)?;
        Ok(found.map(|found| {
            let (version, value) = found.value();
            Stored::new(value, StorageVersion::new(version))
        }))
    }

    /// Puts `value` under `key`, or removes the key for `None`, if it holds what is expected; `None` if
    /// it does not. One writer at a time: a second one waits here.
    fn change(
        &self,
        key: &str,
        value: Option<&[u8]>,
        expected: Expected,
    ) -> Result<Option<StorageVersion>, redb::Error> {
        let mut change = self.database.begin_write()?;
        // Values may come from a stranger: with one phase, bytes of his choice could pass for a commit.
        change.set_two_phase_commit(true);
        let version = {
            let mut held = change.open_table(HELD)?;
            let found = held.get(key)?.map(|found| StorageVersion::new(found.value().0));
            if !expected.is_met_by(found) {
                return Ok(None);
            }
            let mut counters = change.open_table(COUNTERS)?;
            let version = counters.get(CHANGES)?.map_or(0, |changes| changes.value()) + 1;
            counters.insert(CHANGES, version)?;
            match value {
                Some(value) => drop(held.insert(key, (version, value))?),
                None => drop(held.remove(key)?),
            }
            StorageVersion::new(version)
        };
        change.commit()?;
        Ok(Some(version))
    }

    fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<StoredPage, redb::Error> {
        let held = self.database.begin_read()?.open_table(HELD)?;
        // Keys with the prefix stand together, the first of them at or after the prefix itself.
        let start = after.map_or(prefix, |after| after.max(prefix));
        let mut entries = Vec::new();
        for entry in held.range(start..)? {
            let (key, found) = entry?;
            let key = key.value();
            if !key.starts_with(prefix) || entries.len() > limit {
                break;
            }
            if after.is_none_or(|after| key > after) {
                entries.push(StoredEntry::new(key, StorageVersion::new(found.value().0)));
            }
        }
        Ok(StoredPage::first(entries, limit))
    }
}

/// Checks every page when it opens, so that damage is an error then and not a guess later.
fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

#[async_trait]
impl StorageBackend for RedbStorage {
    fn storage_type(&self) -> &'static str {
        "redb"
    }

    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities::none().with_durable(true)
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        check_key(key, Operation::StorageGet)?;
        self.read(key).map_err(|error| failed(Operation::StorageGet, error))
    }

    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion> {
        check_put(key, value)?;
        let put = self.change(key, Some(value), expected);
        put.map_err(|error| failed(Operation::StoragePut, error))?
            .ok_or_else(|| conflict(Operation::StoragePut))
    }

    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()> {
        check_key(key, Operation::StorageDelete)?;
        let deleted = self.change(key, None, Expected::Version(expected));
        match deleted.map_err(|error| failed(Operation::StorageDelete, error))? {
            Some(_) => Ok(()),
            None => Err(conflict(Operation::StorageDelete)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StoredPage> {
        check_list(prefix, after, limit)?;
        let page = self.page(prefix, after, limit);
        page.map_err(|error| failed(Operation::StorageList, error))
    }
}

impl fmt::Debug for RedbStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedbStorage")
    }
}

#[cfg(test)]
mod power;
