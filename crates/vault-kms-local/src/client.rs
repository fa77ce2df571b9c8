//! The open store: finding, making and reading it, noticing what other programs change, and changing
//! it under the lock. What the keys are used for is `provider`, how they are managed `admin`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::{Clock, CryptoError, ErrorKind, KeyId, Operation, Result};

use crate::config::LocalKmsConfig;
use crate::container;
use crate::disk::{Disk, Loaded};
use crate::error::{damaged, limit};
use crate::files::{self, StoreLock};
use crate::id::StoreId;
use crate::memory::Material;
use crate::record::{self, Keys};

/// An embedded KMS: versioned keys in one authenticated file of this machine.
///
/// Calls do blocking file I/O of a few microseconds; changes wait for the disk (fsync) and for other
/// writers. Every call first looks whether another program has changed the key file, so that a
/// rotation or a disabled key takes effect everywhere at once. All futures are cancellation-safe: a
/// change is either not begun or whole.
pub struct LocalKms {
    pub(crate) disk: Disk,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cost: Argon2Params,
    pub(crate) store_id: StoreId,
    state: RwLock<Arc<Loaded>>,
}

/// Whether `open_or_create` made the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// By this call.
    Now,
    /// It was there.
    Before,
}

impl LocalKms {
    /// Whether the store in `dir` is under a passphrase, so that a program can ask for it before it
    /// opens the store. Unverified; `false` where there is no readable key file, which opening tells.
    #[must_use]
    pub fn wants_passphrase(dir: &Path) -> bool {
        let key_file = files::read_private(&dir.join(files::KEY_FILE), container::MAX_LEN);
        key_file.ok().flatten().is_some_and(|(bytes, _)| container::names_passphrase(&bytes))
    }

    /// Opens an existing store.
    ///
    /// # Errors
    /// `Unavailable` where there is none; `StoreDamaged` for damaged, older or too widely readable
    /// files; `PermissionDenied` for a wrong or missing master secret; `Unsupported` for a store of a
    /// newer program.
    pub fn open(config: LocalKmsConfig) -> Result<Self> {
        let dir = config.dir.clone();
        if !dir.exists() {
            return Err(absent(&dir));
        }
        files::check_folder(&dir)?;
        if files::stamp(&dir.join(files::KEY_FILE))?.is_none() {
            refuse_lost_key_file(&dir)?;
            return Err(absent(&dir));
        }
        let disk =
            Disk::open(config.dir, config.master, config.cost, config.random, config.memory)?;
        let loaded = disk.load()?;
        let kms = Self::new(disk, config.clock, config.cost, loaded);
        pollster::block_on(kms.settle());
        Ok(kms)
    }

    /// Opens the store, or makes it with its initial key. Of several first uses at once exactly one
    /// makes it, and all open the same.
    ///
    /// # Errors
    /// As [`open`](Self::open); `StoreDamaged` where the key file of an existing store is missing.
    pub fn open_or_create(config: LocalKmsConfig) -> Result<(Self, Created)> {
        let dir = config.dir.clone();
        files::create_folder(&dir)?;
        let key_file = dir.join(files::KEY_FILE);
        if files::stamp(&key_file)?.is_some() {
            return Ok((Self::open(config)?, Created::Before));
        }
        let lock = pollster::block_on(StoreLock::acquire(&dir, config.clock.as_ref()))?;
        if files::stamp(&key_file)?.is_some() {
            drop(lock);
            return Ok((Self::open(config)?, Created::Before));
        }
        refuse_lost_key_file(&dir)?;
        let now = record::millis(config.clock.now());
        let mut keys = Keys::new();
        if let Some(name) = config.initial_key {
            let first = vault_crypto_core::KeyConfig::new(name.as_str());
            let material = || Material::generate(&config.memory, config.random.as_ref());
            keys.insert(name, record::Key::create(&first, now, material)?);
        }
        let store_id = StoreId::generate(config.random.as_ref())?;
        let mut disk =
            Disk::create(config.dir, config.master, config.cost, config.random, config.memory)?;
        let protection = disk.new_protection()?;
        disk.write_new_master()?;
        let loaded = disk.store(&lock, store_id, 1, protection, keys)?;
        Ok((Self::new(disk, config.clock, config.cost, loaded), Created::Now))
    }

    pub(crate) fn new(
        disk: Disk,
        clock: Arc<dyn Clock>,
        cost: Argon2Params,
        loaded: Loaded,
    ) -> Self {
        let store_id = loaded.store_id;
        Self { disk, clock, cost, store_id, state: RwLock::new(Arc::new(loaded)) }
    }

    /// The canonical id of the key `name`, whether or not there is one.
    #[must_use]
    pub fn key_id(&self, name: &str) -> KeyId {
        self.store_id.key_id(name)
    }

    /// The random name of the store: 16 hex digits.
    #[must_use]
    pub fn store_id(&self) -> String {
        self.store_id.to_string()
    }

    /// The store's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.disk.dir
    }

    /// How often the store has been changed.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn generation(&self) -> Result<u64> {
        Ok(self.current()?.generation)
    }

    pub(crate) fn now_millis(&self) -> u64 {
        record::millis(self.clock.now())
    }

    /// The keys as they are on disk at this moment.
    pub(crate) fn current(&self) -> Result<Arc<Loaded>> {
        self.disk.check_process()?;
        let known = Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner));
        let stamp = files::stamp(&self.disk.dir.join(files::KEY_FILE))?;
        if stamp == Some(known.stamp) {
            return Ok(known);
        }
        let loaded = self.disk.load()?;
        self.check_successor(&known, &loaded)?;
        Ok(self.remember(loaded))
    }

    /// Changes the keys under the lock: read, change, write whole. `change` answers a value and
    /// whether there is anything to write.
    pub(crate) async fn change<T: Send>(
        &self,
        change: impl FnOnce(&mut Keys, u64) -> Result<(T, bool)> + Send,
    ) -> Result<T> {
        self.disk.check_process()?;
        let lock = StoreLock::acquire(&self.disk.dir, self.clock.as_ref()).await?;
        // From here on nothing waits, so a cancelled call has done nothing or everything.
        let Loaded { stamp, store_id, generation, recorded, protection, mut keys } =
            self.disk.load()?;
        let now_millis = self.now_millis();
        let erased = record::destroy_due(&mut keys, now_millis);
        let outcome = change(&mut keys, now_millis);
        let changed = erased || matches!(outcome, Ok((_, true)));
        let known = Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner));
        let loaded = Loaded { stamp, store_id, generation, recorded, protection, keys };
        self.check_successor(&known, &loaded)?;
        if changed {
            let next = generation.checked_add(1).ok_or_else(|| limit("too many changes"))?;
            let stored = self.disk.store(&lock, store_id, next, protection, loaded.keys)?;
            self.remember(stored);
        } else if recorded != Some(generation) {
            self.disk.record_generation(&lock, store_id, generation, protection)?;
        }
        outcome.map(|(answer, _)| answer)
    }

    /// Finishes what a dead writer left and erases what is due. It fails on a read-only or full
    /// disk; then the store is still good for reading, and the next change does it.
    async fn settle(&self) {
        let Ok(current) = self.current() else { return };
        let now_millis = self.now_millis();
        let is_due = current.keys.values().any(|key| key.is_due(now_millis));
        if is_due || current.recorded != Some(current.generation) {
            // Not reported, for the reason above.
            let _ = self.change(|_, _| Ok(((), false))).await;
        }
    }

    fn check_successor(&self, known: &Loaded, loaded: &Loaded) -> Result<()> {
        if loaded.store_id != self.store_id {
            return Err(damaged(format!(
                "{} now holds another key store than the one that was opened; start the program again",
                self.disk.dir.display()
            )));
        }
        if loaded.generation < known.generation {
            return Err(damaged(
                "the key file became older while it was open; put the newest one back, or restore the store from a backup",
            ));
        }
        Ok(())
    }

    fn remember(&self, loaded: Loaded) -> Arc<Loaded> {
        let loaded = Arc::new(loaded);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have read a newer file meanwhile.
        if state.generation <= loaded.generation {
            *state = Arc::clone(&loaded);
        }
        loaded
    }
}

impl fmt::Debug for LocalKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKms")
            .field("folder", &self.disk.dir)
            .field("store_id", &self.store_id())
            .finish_non_exhaustive()
    }
}

fn absent(dir: &Path) -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, Operation::KeyStore).with_detail(format!(
        "there is no key store in {}; name the right folder, or create one",
        dir.display()
    ))
}

/// A missing key file beside a generation is a loss: a new store in its place would hide it.
fn refuse_lost_key_file(dir: &Path) -> Result<()> {
    let path: PathBuf = dir.join(files::GENERATION_FILE);
    if files::stamp(&path)?.is_some() {
        return Err(damaged(format!(
            "the key file {} is missing; put it back, or restore the store from a backup",
            dir.join(files::KEY_FILE).display()
        )));
    }
    Ok(())
}
