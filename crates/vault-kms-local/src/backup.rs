//! Backups: all keys in one file under a passphrase, so that it opens on a machine that has nothing of
//! the old one. Restoring seals the keys anew under the master secret of the machine it happens on.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use vault_crypto_core::locked::LockedPool;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureString};
use zeroize::Zeroizing;

use crate::client::LocalKms;
use crate::config::LocalKmsConfig;
use crate::container::{self, Fault, Form, Header, OpenFault, Protection};
use crate::cost::{SALT_LEN, check_new_passphrase};
use crate::disk::{Disk, Loaded};
use crate::error::{conflict, damaged, limit, refused, user_io};
use crate::files::{self, StoreLock};
use crate::generation;
use crate::id::StoreId;
use crate::master::Root;
use crate::record::{self, Keys};

/// What restoring may do to a store that is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreOptions {
    accept_older: bool,
    replace_other: bool,
}

impl RestoreOptions {
    /// Neither of the two below.
    #[must_use]
    pub const fn new() -> Self {
        Self { accept_older: false, replace_other: false }
    }

    /// Takes a backup that is older than the store, or whose age cannot be compared because the
    /// store is damaged. What was made or changed since then is lost.
    #[must_use]
    pub const fn with_accept_older(mut self, accept: bool) -> Self {
        self.accept_older = accept;
        self
    }

    /// Overwrites another store. Its keys are lost.
    #[must_use]
    pub const fn with_replace_other(mut self, replace: bool) -> Self {
        self.replace_other = replace;
        self
    }
}

impl LocalKms {
    /// Writes all keys to the new file `to`, sealed under `passphrase`.
    ///
    /// Who has the file and the passphrase has every key. Deleted keys live on in older backups.
    ///
    /// # Errors
    /// `Conflict` where `to` exists, `InvalidInput` for a passphrase under 8 bytes, `Io` where it cannot
    /// be written, or as [`open`](Self::open).
    pub fn backup(&self, to: &Path, passphrase: &SecureString) -> Result<()> {
        check_new_passphrase(passphrase)?;
        refuse_existing(to)?;
        let loaded = self.current()?;
        let mut salt = [0; SALT_LEN];
        self.disk.random.fill(&mut salt)?;
        let header = Header {
            form: Form::Backup,
            protection: Protection::Passphrase { cost: self.cost, salt },
            store_id: loaded.store_id,
            generation: loaded.generation,
        };
        let root = Root::of_passphrase(passphrase, self.cost, &salt)?;
        let key = root.file_key(loaded.store_id);
        let bytes = container::encode(&header, &key, &loaded.keys, self.disk.random.as_ref())?;
        let name = to.file_name().ok_or_else(|| refuse_target(to))?;
        files::create(files::parent(to), name, &bytes, self.disk.random.as_ref())
            .map_err(|error| if error.is_taken() { taken(to) } else { error.of_user(to) })
    }

    /// Makes the store of `config` hold what the backup `from` holds.
    ///
    /// # Errors
    /// `Conflict` where another store, or a newer or damaged one, is there and `options` do not allow it;
    /// `PermissionDenied` for a wrong passphrase, `Malformed` for a file that is no whole backup,
    /// `Unsupported` for one of a newer program, `Io` where it cannot be read, or as [`open`](Self::open).
    pub fn restore(
        config: LocalKmsConfig,
        from: &Path,
        passphrase: &SecureString,
        options: RestoreOptions,
    ) -> Result<Self> {
        let backup = read_backup(from, passphrase, &config.memory)?;
        files::create_folder(&config.dir)?;
        let lock = pollster::block_on(StoreLock::acquire(&config.dir, config.clock.as_ref()))?;
        let mut disk =
            Disk::create(config.dir, config.master, config.cost, config.random, config.memory)?;
        let found = look(&disk)?;
        check(&found, &backup, options)?;
        let (known, protection) = match &found {
            Found::Store(loaded) => (loaded.generation, loaded.protection),
            Found::Nothing | Found::Unreadable { .. } => (0, disk.new_protection()?),
        };
        // Above both, so that neither the old key file nor a copy of it is ever taken again.
        let generation = known.max(backup.generation).checked_add(1);
        let generation = generation.ok_or_else(|| limit("too many changes"))?;
        let mut keys = backup.keys;
        record::destroy_due(&mut keys, record::millis(config.clock.now()));
        disk.write_new_master()?;
        let loaded = disk.store(&lock, backup.store_id, generation, protection, keys)?;
        Ok(Self::new(disk, config.clock, config.cost, loaded))
    }
}

struct Backup {
    store_id: StoreId,
    generation: u64,
    keys: Keys,
}

enum Found {
    Nothing,
    Store(Loaded),
    Unreadable { claims: Option<StoreId>, error: CryptoError },
}

fn read_backup(from: &Path, passphrase: &SecureString, pool: &LockedPool) -> Result<Backup> {
    let bytes = read_user_file(from)?;
    let parsed =
        container::parse(Form::Backup, &bytes).map_err(|fault| not_a_backup(from, fault))?;
    let Header { store_id, generation, protection, .. } = parsed.header;
    let Protection::Passphrase { cost, salt } = protection else {
        return Err(not_a_backup(from, Fault::Damaged("it is under no passphrase")));
    };
    let root = Root::of_passphrase(passphrase, cost, &salt)?;
    let keys = parsed.open(&root.file_key(store_id), pool).map_err(|fault| match fault {
        OpenFault::NoRoom(error) => error,
        OpenFault::WrongSecret => refused("the passphrase is not the one of this backup"),
        OpenFault::BadBody => not_a_backup(from, Fault::Damaged("its content breaks the rules")),
    })?;
    Ok(Backup { store_id, generation, keys })
}

fn read_user_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let fault = |error| user_io(path, "read the backup", error);
    let meta = fs::metadata(path).map_err(fault)?;
    if !meta.is_file() {
        return Err(fault(io::Error::other("it is not a regular file")));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(container::MAX_LEN + 1).read_to_end(&mut bytes))
        .map_err(fault)?;
    Ok(bytes)
}

fn not_a_backup(path: &Path, fault: Fault) -> CryptoError {
    let path = path.display();
    let (kind, detail) = match fault {
        Fault::NotOurs => (ErrorKind::Malformed, format!("{path} is not a backup of a key store")),
        Fault::Newer(version) => (
            ErrorKind::Unsupported,
            format!(
                "the backup {path} has form {version}, written by a newer program; update this one"
            ),
        ),
        Fault::Damaged(why) => {
            (ErrorKind::Malformed, format!("the backup {path}: {why}; use another backup"))
        }
    };
    CryptoError::new(kind, Operation::KeyStore).with_detail(detail)
}

fn refuse_existing(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(user_io(path, "write", error)),
        Ok(_) => Err(taken(path)),
    }
}

fn taken(path: &Path) -> CryptoError {
    conflict(format!("{} exists already; name a new file", path.display()))
}

fn refuse_target(path: &Path) -> CryptoError {
    user_io(path, "write", io::Error::other("it does not name a file"))
}

/// What is in the folder now; the caller holds the lock.
fn look(disk: &Disk) -> Result<Found> {
    let key_file = disk.dir.join(files::KEY_FILE);
    let record = disk.dir.join(files::GENERATION_FILE);
    if files::stamp(&key_file)?.is_none() && files::stamp(&record)?.is_none() {
        return Ok(Found::Nothing);
    }
    match disk.load() {
        Ok(loaded) => Ok(Found::Store(loaded)),
        Err(error) => {
            let key_file = files::read_private(&key_file, container::MAX_LEN).ok().flatten();
            let record = files::read_private(&record, generation::MAX_LEN).ok().flatten();
            let claims = key_file
                .and_then(|(bytes, _)| container::claimed_store(Form::KeyFile, &bytes))
                .or_else(|| record.and_then(|(bytes, _)| generation::claimed_store(&bytes)));
            Ok(Found::Unreadable { claims, error })
        }
    }
}

fn check(found: &Found, backup: &Backup, options: RestoreOptions) -> Result<()> {
    let store = match found {
        Found::Nothing => return Ok(()),
        Found::Store(loaded) => Some(loaded.store_id),
        Found::Unreadable { claims, .. } => *claims,
    };
    if let Some(other) = store.filter(|id| *id != backup.store_id) {
        if options.replace_other {
            return Ok(());
        }
        return Err(conflict(format!(
            "the folder holds another key store ({other}) than the backup ({}); restore into an empty folder",
            backup.store_id
        )));
    }
    if options.accept_older {
        return Ok(());
    }
    match found {
        Found::Store(loaded) if backup.generation < loaded.generation => Err(damaged(format!(
            "the backup is older (generation {}) than the key store ({}); with --accept-older what changed since is lost",
            backup.generation, loaded.generation
        ))),
        Found::Unreadable { error, .. } => Err(damaged(format!(
            "the key store that is there does not open, so it cannot be told whether the backup is older; restore with --accept-older to replace it ({error})"
        ))),
        _ => Ok(()),
    }
}
