//! Making and opening the file: its owner's alone, whole from the beginning, and durably there before
//! anything is put into it.
//!
//! What is in it, and locking it, is left to redb.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use vault_crypto_core::Result;

use crate::error::{damaged, open_io};

/// How many names are tried for the file in the making, should killed processes have left some.
const NAMES: u32 = 1000;

/// Makes the file with what `fill` puts into it, or answers `None` if there is one of that name by then.
///
/// The file gets its name when it is whole: a process that is killed meanwhile leaves no half of a store
/// under that name, and of two that make it at once one finds the other's.
pub(crate) fn create<T>(path: &Path, fill: impl FnOnce(File) -> Result<T>) -> Result<Option<T>> {
    let (file, making) = unnamed(path).map_err(|error| open_io(path, error))?;
    let filled = fill(file);
    let named = filled.and_then(|filled| match fs::hard_link(&making, path) {
        Ok(()) => Ok(Some(filled)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(open_io(path, error)),
    });
    let removed = fs::remove_file(&making).and_then(|()| sync_folder(path));
    let named = named?;
    removed.map_err(|error| open_io(path, error))?;
    Ok(named)
}

/// A new file beside `path`.
fn unnamed(path: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0..NAMES {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".new-{}-{number}", std::process::id()));
        match options().create_new(true).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, name.into())),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Opens the file that is there; `None` if there is none.
pub(crate) fn open(path: &Path) -> Result<Option<File>> {
    let file = match options().open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| open_io(path, error))?,
    };
    let meta = file.metadata().map_err(|error| open_io(path, error))?;
    if !meta.is_file() {
        return Err(damaged(path, "is not a regular file"));
    }
    check_private(path, &meta)?;
    // redb would make a new store of it.
    if meta.len() == 0 {
        return Err(damaged(path, "is empty; remove it, or put a copy from a backup there"));
    }
    Ok(Some(file))
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

#[cfg(unix)]
fn check_private(path: &Path, meta: &Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let detail =
        format!("can be read or written by others (mode {mode:o}); say `chmod 600` if it is yours");
    Err(damaged(path, &detail))
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &Metadata) -> Result<()> {
    Ok(())
}

/// Makes the file's name last: its content is synced by each commit, its place in the folder is not.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
