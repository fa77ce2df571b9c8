//! The store on disk: key file and generation file read and checked together, and written in the
//! order that a crash cannot hurt.

use std::path::PathBuf;
use std::sync::Arc;

use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::locked::LockedPool;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, RandomSource, Result};

use crate::container::{self, Fault, Form, Header, OpenFault, Protection};
use crate::error::{damaged, refused};
use crate::files::{self, Stamp, StoreLock};
use crate::generation;
use crate::id::StoreId;
use crate::master::{Master, MasterSource, Root};
use crate::memory::Material;
use crate::record::Keys;

/// A folder and the secret that opens what is in it.
pub(crate) struct Disk {
    pub(crate) dir: PathBuf,
    pub(crate) random: Arc<dyn RandomSource>,
    /// Where keys lie while they are at hand.
    pub(crate) pool: LockedPool,
    master: Master,
    /// The master secret was drawn and its file is not written yet.
    master_is_new: bool,
}

/// What was read, authenticated.
pub(crate) struct Loaded {
    pub(crate) stamp: Stamp,
    pub(crate) store_id: StoreId,
    pub(crate) generation: u64,
    /// What the generation file says; behind where a writer died between the two files.
    pub(crate) recorded: Option<u64>,
    pub(crate) protection: Protection,
    pub(crate) keys: Keys,
}

impl Disk {
    /// For a store that is there.
    pub(crate) fn open(
        dir: PathBuf,
        source: MasterSource,
        cost: Argon2Params,
        random: Arc<dyn RandomSource>,
        pool: LockedPool,
    ) -> Result<Self> {
        let master = Master::load(source, cost, &dir, &pool)?;
        Ok(Self { dir, random, pool, master, master_is_new: false })
    }

    /// For a store to be made; the caller holds the lock. Nothing is written yet: see
    /// [`write_new_master`](Self::write_new_master).
    pub(crate) fn create(
        dir: PathBuf,
        source: MasterSource,
        cost: Argon2Params,
        random: Arc<dyn RandomSource>,
        pool: LockedPool,
    ) -> Result<Self> {
        let (master, master_is_new) =
            Master::load_or_draw(source, cost, &dir, random.as_ref(), &pool)?;
        Ok(Self { dir, random, pool, master, master_is_new })
    }

    /// Writes the master secret where it was just drawn. That comes before the first
    /// [`store`](Self::store): no key file may be under a secret that nobody has.
    pub(crate) fn write_new_master(&mut self) -> Result<()> {
        if self.master_is_new {
            self.master.write_file(&self.dir, self.random.as_ref())?;
            self.master_is_new = false;
        }
        Ok(())
    }

    /// The material of a new version.
    pub(crate) fn new_material(&self) -> Result<Material> {
        Material::generate(&self.pool, self.random.as_ref())
    }

    /// Refuses a process that was forked from the one that opened the store: it has no key of it.
    pub(crate) fn check_process(&self) -> Result<()> {
        self.master.check_process()
    }

    pub(crate) fn new_protection(&self) -> Result<Protection> {
        self.master.new_protection(self.random.as_ref())
    }

    /// Reads both files without the lock.
    pub(crate) fn load(&self) -> Result<Loaded> {
        // A writer may have replaced one file between our two reads; a second look settles it.
        self.load_once().or_else(|error| match error.kind() {
            ErrorKind::StoreDamaged => self.load_once(),
            _ => Err(error),
        })
    }

    fn load_once(&self) -> Result<Loaded> {
        // The generation first: whatever is read after it can only be newer.
        let recorded =
            files::read_private(&self.dir.join(files::GENERATION_FILE), generation::MAX_LEN)?;
        let path = self.dir.join(files::KEY_FILE);
        let (bytes, stamp) = files::read_private(&path, container::MAX_LEN)?.ok_or_else(|| {
            damaged(format!(
                "the key file {} is missing; put it back, or restore the store from a backup",
                path.display()
            ))
        })?;
        let parsed = container::parse(Form::KeyFile, &bytes).map_err(|fault| self.fault(fault))?;
        let Header { store_id, generation, protection, .. } = parsed.header;
        let root = self.master.root(protection)?;
        let keys = parsed
            .open(&root.file_key(store_id), &self.pool)
            .map_err(|fault| self.open_fault(fault, protection))?;
        let recorded =
            recorded.map(|(bytes, _)| generation::decode(&bytes, store_id, &root)).transpose()?;
        check_generation(generation, recorded)?;
        Ok(Loaded { stamp, store_id, generation, recorded, protection, keys })
    }

    /// Writes the key file, then the generation. A crash between the two leaves a key file that is
    /// newer than its record, which is accepted; the other order would lose the store.
    pub(crate) fn store(
        &self,
        lock: &StoreLock,
        store_id: StoreId,
        generation: u64,
        protection: Protection,
        keys: Keys,
    ) -> Result<Loaded> {
        let header = Header { form: Form::KeyFile, protection, store_id, generation };
        let root = self.master.root(protection)?;
        let bytes =
            container::encode(&header, &root.file_key(store_id), &keys, self.random.as_ref())?;
        let path = self.dir.join(files::KEY_FILE);
        files::replace(&self.dir, files::KEY_FILE.as_ref(), &bytes, self.random.as_ref())
            .map_err(|error| error.of_store(&path))?;
        self.record_generation(lock, store_id, generation, protection)?;
        let stamp = files::stamp(&path)?.ok_or_else(|| damaged("the key file vanished"))?;
        let recorded = Some(generation);
        Ok(Loaded { stamp, store_id, generation, recorded, protection, keys })
    }

    /// Writes the generation file.
    pub(crate) fn record_generation(
        &self,
        _: &StoreLock,
        store_id: StoreId,
        generation: u64,
        protection: Protection,
    ) -> Result<()> {
        let root: Root = self.master.root(protection)?;
        let bytes = generation::encode(store_id, generation, &root);
        let name = files::GENERATION_FILE;
        files::replace(&self.dir, name.as_ref(), &bytes, self.random.as_ref())
            .map_err(|error| error.of_store(&self.dir.join(name)))
    }

    fn fault(&self, fault: Fault) -> CryptoError {
        let path = self.dir.join(files::KEY_FILE);
        let path = path.display();
        match fault {
            Fault::Newer(version) => {
                CryptoError::new(ErrorKind::Unsupported, Operation::KeyStore).with_detail(format!(
                    "the key file {path} has form {version}, written by a newer program; update this one"
                ))
            }
            Fault::NotOurs => damaged(format!(
                "{path} is not a key file; put the right file back, or restore the store from a backup"
            )),
            Fault::Damaged(why) => {
                damaged(format!("the key file {path}: {why}; restore the store from a backup"))
            }
        }
    }

    fn open_fault(&self, fault: OpenFault, protection: Protection) -> CryptoError {
        match (fault, protection) {
            (OpenFault::NoRoom(error), _) => error,
            (OpenFault::BadBody, _) => self.fault(Fault::Damaged("its content breaks the rules")),
            (OpenFault::WrongSecret, Protection::Passphrase { .. }) => {
                refused("the passphrase is not the one of this key store")
            }
            (OpenFault::WrongSecret, Protection::Secret) => refused(format!(
                "the master secret is not the one of the key store {}; give the one it was made with, or restore the store from a backup",
                self.dir.display()
            )),
        }
    }
}

fn check_generation(generation: u64, recorded: Option<u64>) -> Result<()> {
    match recorded {
        Some(newest) if generation < newest => Err(damaged(format!(
            "the key file is an old copy (generation {generation}, and the newest was {newest}); put the newest one back, or restore a backup with --accept-older"
        ))),
        // Only a store whose maker died between its first two files has no record yet.
        None if generation > 1 => Err(damaged(
            "the file `generation` is missing; put it back, or restore a backup with --accept-older",
        )),
        _ => Ok(()),
    }
}
