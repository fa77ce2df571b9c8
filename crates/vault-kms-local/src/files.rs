//! The store's files: opened only when they are owner-only regular files, replaced only whole, and
//! changed by one writer at a time.
//!
//! What is in them is left to `key_file`, `generation` and `master`.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use vault_crypto_core::{Clock, RandomSource, Result};
use zeroize::Zeroizing;

use crate::error::{conflict, damaged, store_io};

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;
#[cfg(not(unix))]
use other as platform;
#[cfg(unix)]
use unix as platform;

pub(crate) use platform::Stamp;

/// Name of the key file inside the folder.
pub(crate) const KEY_FILE: &str = "keys.vks";
/// Name of the master secret's file.
pub(crate) const MASTER_FILE: &str = "master";
/// Name of the file that remembers the newest generation.
pub(crate) const GENERATION_FILE: &str = "generation";
const LOCK_FILE: &str = "lock";
const TEMP_SUFFIX: &str = ".vks-tmp";

const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Makes the folder (0700) unless it is there, durably, and checks it.
pub(crate) fn create_folder(dir: &Path) -> Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
    if !missing.is_empty() {
        platform::create_dir(dir)
            .and_then(|()| missing.iter().try_for_each(|made| platform::sync_dir(parent(made))))
            .map_err(|error| store_io(dir, "create the key store's folder", error))?;
    }
    check_folder(dir)
}

/// The folder that a path stands in; the current one for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses a folder that others can enter.
pub(crate) fn check_folder(dir: &Path) -> Result<()> {
    let meta = fs::metadata(dir).map_err(|error| store_io(dir, "open the key store", error))?;
    if !meta.is_dir() {
        return Err(damaged(format!("{} is not a folder", dir.display())));
    }
    platform::check_private(dir, &meta, "700")
}

/// Reads an owner-only regular file of at most `limit` bytes; `None` where there is none.
pub(crate) fn read_private(path: &Path, limit: u64) -> Result<Option<(Zeroizing<Vec<u8>>, Stamp)>> {
    let Some(file) = open_private(path)? else { return Ok(None) };
    let meta = file.metadata().map_err(|error| store_io(path, "read", error))?;
    let len = usize::try_from(meta.len()).ok().filter(|_| meta.len() <= limit);
    let Some(len) = len else {
        return Err(damaged(format!(
            "{} has more than {limit} bytes, which no file of a key store has",
            path.display()
        )));
    };
    // Sized once, so that no reallocation leaves a copy of a secret behind.
    let mut bytes = Zeroizing::new(vec![0; len]);
    (&file).read_exact(&mut bytes).map_err(|error| store_io(path, "read", error))?;
    Ok(Some((bytes, platform::stamp(&meta))))
}

/// What tells one file from its replacement; `None` where there is no file.
pub(crate) fn stamp(path: &Path) -> Result<Option<Stamp>> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(platform::stamp(&meta))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(store_io(path, "read", error)),
    }
}

fn open_private(path: &Path) -> Result<Option<File>> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(store_io(path, "open", error)),
    };
    check_file(path, &meta)?;
    let mut options = OpenOptions::new();
    options.read(true);
    platform::no_follow(&mut options);
    let file = options.open(path).map_err(|error| store_io(path, "open", error))?;
    // Again on what was really opened: the name may have been given to something else meanwhile.
    let opened = file.metadata().map_err(|error| store_io(path, "open", error))?;
    check_file(path, &opened)?;
    Ok(Some(file))
}

fn check_file(path: &Path, meta: &fs::Metadata) -> Result<()> {
    if meta.file_type().is_symlink() {
        return Err(damaged(format!(
            "{} is a symbolic link; put the file itself there",
            path.display()
        )));
    }
    if !meta.is_file() {
        return Err(damaged(format!(
            "{} is not a regular file; move it away and restore the store from a backup",
            path.display()
        )));
    }
    platform::check_private(path, meta, "600")
}

/// The right to change the store, until dropped. One holder on the machine.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Waits for at most ten seconds while another writer works.
    pub(crate) async fn acquire(dir: &Path, clock: &dyn Clock) -> Result<Self> {
        let path = dir.join(LOCK_FILE);
        let file = open_lock(&path)?;
        let started = clock.monotonic();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(store_io(&path, "lock", error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if clock.monotonic().saturating_sub(started) >= LOCK_PATIENCE {
                return Err(conflict(format!(
                    "another program has been changing the key store {} for ten seconds; try again when it has ended",
                    dir.display()
                )));
            }
            clock.sleep(LOCK_PAUSE).await;
        }
        remove_leftovers(dir)?;
        Ok(Self { _file: file })
    }
}

fn open_lock(path: &Path) -> Result<File> {
    if let Ok(meta) = fs::symlink_metadata(path) {
        check_file(path, &meta)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    platform::no_follow(&mut options);
    platform::owner_only(&mut options);
    options.open(path).map_err(|error| store_io(path, "open the lock", error))
}

/// Under the lock every temporary file is a dead writer's.
fn remove_leftovers(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).map_err(|error| store_io(dir, "list", error))?;
    for entry in entries.flatten() {
        if is_temporary(&entry.file_name()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn is_temporary(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(TEMP_SUFFIX))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(store_io(path, "remove", error))
        }
        _ => Ok(()),
    }
}

/// Replaces `dir/name` by `bytes`: temporary file, fsync, rename, fsync of the folder. A reader, and
/// whoever comes after a crash, finds the old file or the new one.
pub(crate) fn replace(
    dir: &Path,
    name: &OsStr,
    bytes: &[u8],
    random: &dyn RandomSource,
) -> Result<(), ReplaceError> {
    put(dir, name, bytes, random, |temp, path| fs::rename(temp, path))
}

/// Puts `bytes` into the new file `dir/name`, whole or not at all, and never over one that somebody made
/// meanwhile.
pub(crate) fn create(
    dir: &Path,
    name: &OsStr,
    bytes: &[u8],
    random: &dyn RandomSource,
) -> Result<(), ReplaceError> {
    put(dir, name, bytes, random, |temp, path| {
        link_new(temp, path, bytes)?;
        fs::remove_file(temp)
    })
}

/// Writes a temporary file, which `place` moves to its name, durably.
fn put(
    dir: &Path,
    name: &OsStr,
    bytes: &[u8],
    random: &dyn RandomSource,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), ReplaceError> {
    let mut salt = [0; 8];
    random.fill(&mut salt).map_err(ReplaceError::Random)?;
    let temp = temporary_path(dir, name, &salt);
    let written = write_new(&temp, bytes).and_then(|()| place(&temp, &dir.join(name)));
    if let Err(error) = written {
        // The write's own error is the one to report.
        let _ = fs::remove_file(&temp);
        return Err(ReplaceError::Io(error));
    }
    platform::sync_dir(dir).map_err(ReplaceError::Io)
}

/// Unlike a rename, a link does not replace what is there.
fn link_new(temp: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::hard_link(temp, path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported
            ) =>
        {
            write_new(path, bytes) // a file system that has no links
        }
        linked => linked,
    }
}

/// Why [`replace`] or [`create`] failed; the caller knows whether the file is the store's or the user's.
#[derive(Debug)]
pub(crate) enum ReplaceError {
    Random(vault_crypto_core::CryptoError),
    Io(io::Error),
}

impl ReplaceError {
    /// The name is somebody else's already.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::AlreadyExists)
    }

    pub(crate) fn of_store(self, path: &Path) -> vault_crypto_core::CryptoError {
        match self {
            Self::Random(error) => error,
            Self::Io(error) => store_io(path, "write", error),
        }
    }

    pub(crate) fn of_user(self, path: &Path) -> vault_crypto_core::CryptoError {
        match self {
            Self::Random(error) => error,
            Self::Io(error) => crate::error::user_io(path, "write", error),
        }
    }
}

fn temporary_path(dir: &Path, name: &OsStr, salt: &[u8]) -> PathBuf {
    let mut temp = std::ffi::OsString::from(".");
    temp.push(name);
    temp.push(".");
    for byte in salt {
        temp.push(format!("{byte:02x}"));
    }
    temp.push(TEMP_SUFFIX);
    dir.join(temp)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    platform::owner_only(&mut options);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::SystemRandom;

    use super::*;

    #[test]
    fn a_new_file_never_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let (random, name) = (SystemRandom::new(), OsStr::new("backup"));
        create(folder.path(), name, b"first", &random).unwrap();
        let refused = create(folder.path(), name, b"second", &random).unwrap_err();
        assert!(refused.is_taken());
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
