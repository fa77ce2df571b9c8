//! Outputs. A file appears at its name only when it is whole: temporary file beside it, fsync, rename,
//! fsync of the folder.
//!
//! A temporary file is locked as long as its writer lives. One that can be locked is a dead writer's and
//! is removed by the next run that works in the folder.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use vaultkit::core::{RandomSource as _, SystemRandom};

use crate::failure::Failure;
use crate::platform::{self, Rights};
use crate::signals;
use crate::source::is_dash;

mod leftover;

const INFIX: &str = ".vaultkit-";
const SUFFIX: &str = ".tmp";
const SALT_LEN: usize = 6;
/// Longest name on the usual file systems, in bytes.
const MAX_NAME_LEN: usize = 255;

/// Where the result of one input goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    File(PathBuf),
}

impl Target {
    /// The target for `input`: as -o says, or the default that `rename` makes of the input's name.
    pub(crate) fn of(
        input: &Path,
        output: Option<&Path>,
        rename: impl Fn(&Path) -> Result<PathBuf, Failure>,
    ) -> Result<Self, Failure> {
        match output {
            Some(output) if is_dash(output) => Ok(Self::Stdout),
            Some(folder) if names_folder(folder) => {
                if is_dash(input) {
                    return Err(Failure::usage("standard input has no name; name the output file"));
                }
                let renamed = rename(input)?;
                let name = renamed.file_name().ok_or_else(|| nameless(input))?;
                Ok(Self::File(folder.join(name)))
            }
            Some(file) => Ok(Self::File(file.to_owned())),
            None if is_dash(input) => Ok(Self::Stdout),
            None => Ok(Self::File(rename(input)?)),
        }
    }

    /// Refuses what would be in the way, before any work is done.
    pub(crate) fn check(&self, force: bool) -> Result<(), Failure> {
        let Self::File(path) = self else { return Ok(()) };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::io(path, "write it", &error)),
            Ok(meta) if meta.is_dir() => {
                Err(Failure::file(path, "it is a folder; name a file in it"))
            }
            Ok(_) if !force => Err(exists(path)),
            Ok(meta) if meta.is_file() || meta.is_symlink() => Ok(()),
            Ok(_) => Err(Failure::file(
                path,
                "it is a device or pipe, which cannot be replaced by a file; write to it with -o - and >",
            )),
        }
    }
}

/// Whether -o means a folder: it is one, or ends with a slash.
pub(crate) fn names_folder(path: &Path) -> bool {
    let ends_so = path
        .as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|last| std::path::is_separator(char::from(*last)));
    ends_so || path.is_dir()
}

fn nameless(path: &Path) -> Failure {
    Failure::file(path, "it names no file")
}

fn exists(path: &Path) -> Failure {
    Failure::file(
        path,
        "it exists already and is kept; name another with -o, or replace it with --force",
    )
}

/// A file on its way to its name. Dropped without [`commit`](Self::commit), it leaves nothing.
#[derive(Debug)]
pub(crate) struct Pending {
    file: File,
    temp: PathBuf,
    target: PathBuf,
}

impl Pending {
    /// A new temporary file beside `target`, for its owner alone.
    pub(crate) fn create(target: &Path) -> Result<Self, Failure> {
        let (folder, name) = split(target)?;
        leftover::sweep(folder);
        // Another run may sweep in the moment between making and locking: then once more.
        for _ in 0..16 {
            let temp = folder.join(temporary_name(name)?);
            signals::remember(&temp);
            match Self::create_locked(&temp) {
                Ok(Some(file)) => return Ok(Self { file, temp, target: target.to_owned() }),
                Ok(None) => signals::forget(&temp),
                Err(error) => {
                    signals::forget(&temp);
                    return Err(Failure::io(target, "write it", &error));
                }
            }
        }
        Err(Failure::file(target, "cannot make a temporary file beside it; try again"))
    }

    fn create_locked(temp: &Path) -> io::Result<Option<File>> {
        let file = match platform::create_private(temp) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            file => file?,
        };
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            // A file system without locks: a leftover stays until somebody removes it.
            Err(fs::TryLockError::Error(_)) | Ok(()) => {}
        }
        Ok(platform::is_linked(&file)?.then_some(file))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name. An existing one is replaced only with `replace`.
    pub(crate) fn commit(self, replace: bool) -> Result<(), Failure> {
        let fault = |error: &io::Error| Failure::io(&self.target, "write it", error);
        self.file.sync_all().map_err(|error| fault(&error))?;
        let renamed = if replace {
            fs::rename(&self.temp, &self.target)
        } else {
            platform::rename_new(&self.temp, &self.target)
        };
        renamed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists if !replace => exists(&self.target),
            _ => fault(&error),
        })?;
        let (folder, _) = split(&self.target)?;
        platform::sync_dir(folder).map_err(|error| fault(&error))
    }

    /// Gives at most the rights of the input; without one the file stays its owner's.
    pub(crate) fn limit_rights(&self, rights: Option<Rights>) -> Result<(), Failure> {
        rights.map_or(Ok(()), |rights| rights.give_at_most(&self.file)).map_err(|e| self.fault(&e))
    }

    /// Gives exactly the rights of the file that is replaced.
    pub(crate) fn keep_rights(&self, rights: Rights) -> Result<(), Failure> {
        rights.give(&self.file).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &io::Error) -> Failure {
        Failure::io(&self.target, "write it", error)
    }
}

impl Drop for Pending {
    /// After a successful commit there is nothing of the temporary name left to remove.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temp);
        signals::forget(&self.temp);
    }
}

fn split(target: &Path) -> Result<(&Path, &OsStr), Failure> {
    let name = target.file_name().ok_or_else(|| nameless(target))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), name))
}

/// `.NAME.vaultkit-SALT.tmp`; of a long name only so much that it fits.
fn temporary_name(name: &OsStr) -> Result<OsString, Failure> {
    let mut salt = [0; SALT_LEN];
    SystemRandom::new().fill(&mut salt)?;
    let room = MAX_NAME_LEN - 1 - INFIX.len() - 2 * SALT_LEN - SUFFIX.len();
    let mut temp = OsString::from(".");
    if name.len() <= room {
        temp.push(name);
    } else {
        temp.push(name.to_string_lossy().chars().take(room / 4).collect::<String>());
    }
    temp.push(INFIX);
    temp.push(crate::text::hex(&salt));
    temp.push(SUFFIX);
    Ok(temp)
}
