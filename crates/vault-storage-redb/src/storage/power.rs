//! What a loss of power takes: a disk that forgets whatever was not synced when the power went.

use std::io;
use std::sync::{Arc, Mutex};

use pollster::block_on;
use vault_crypto_core::ErrorKind;

use super::*;

/// A disk with a volatile cache. Clones share it.
#[derive(Debug, Clone, Default)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    cached: Vec<u8>,
    synced: Vec<u8>,
    syncs: usize,
    broken: bool,
}

impl Disk {
    /// The disk as it is when the power is back.
    fn after_power_loss(&self) -> Self {
        let synced = self.0.lock().unwrap().synced.clone();
        let platters = Platters { cached: synced.clone(), synced, ..Platters::default() };
        Self(Arc::new(Mutex::new(platters)))
    }

    fn open(&self) -> RedbStorage {
        RedbStorage::prepared(builder().create_with_backend(self.clone()).unwrap()).unwrap()
    }

    fn syncs(&self) -> usize {
        self.0.lock().unwrap().syncs
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap().cached[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().cached.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let platters = &mut *self.0.lock().unwrap();
        if platters.broken {
            return Err(io::Error::other("the disk is broken"));
        }
        platters.synced.clone_from(&platters.cached);
        platters.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.0.lock().unwrap().cached[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn try_lock_range(
        &self,
        _: std::ops::Bound<u64>,
        _: std::ops::Bound<u64>,
    ) -> Result<bool, redb::BackendError> {
        Ok(true)
    }

    fn unlock_range(
        &self,
        _: std::ops::Bound<u64>,
        _: std::ops::Bound<u64>,
    ) -> Result<(), redb::BackendError> {
        Ok(())
    }
}

#[test]
fn what_was_answered_survives_a_loss_of_power() {
    let disk = Disk::default();
    let storage = disk.open();
    for round in 0..50_u8 {
        let key = format!("key-{}", round % 7);
        let held = block_on(storage.get(&key)).unwrap().map(|held| held.version);
        let expected = held.map_or(Expected::Absent, Expected::Version);
        let put = block_on(storage.put(&key, &[round; 300], expected)).unwrap();
        let after = disk.after_power_loss().open();
        assert_eq!(block_on(after.get(&key)).unwrap(), Some(Stored::new([round; 300], put)));
        if round % 5 == 4 {
            block_on(storage.delete(&key, put)).unwrap();
            assert_eq!(block_on(disk.after_power_loss().open().get(&key)).unwrap(), None);
        }
    }
    assert!(disk.syncs() >= 120, "two for each change: {}", disk.syncs());
}

#[test]
fn reading_writes_nothing() {
    let disk = Disk::default();
    let storage = disk.open();
    block_on(storage.put("key", b"value", Expected::Absent)).unwrap();
    let syncs = disk.syncs();
    let before = disk.0.lock().unwrap().cached.clone();
    block_on(storage.get("key")).unwrap();
    block_on(storage.list("", None, 10)).unwrap();
    let refused = block_on(storage.put("key", b"other", Expected::Absent)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(disk.0.lock().unwrap().cached, before);
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_disk_that_fails_is_an_error_and_then_the_store_must_be_opened_anew() {
    let disk = Disk::default();
    let storage = disk.open();
    let version = block_on(storage.put("key", b"old", Expected::Absent)).unwrap();
    disk.0.lock().unwrap().broken = true;
    let put = || block_on(storage.put("key", b"new", Expected::Version(version)));
    assert_eq!(put().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(put().unwrap_err().kind(), ErrorKind::Unavailable);
    let after = disk.after_power_loss().open();
    let held = block_on(after.get("key")).unwrap();
    assert_eq!(held, Some(Stored::new(*b"old", version)));
}
