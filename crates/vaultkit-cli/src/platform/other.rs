//! Systems without Unix modes: a folder's access list decides, and everything goes the simple way.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::Path;

pub(crate) fn remember_umask() {}

/// Who may do what with a file: inherited from the folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights;

impl Rights {
    pub(crate) fn of(_: &Metadata) -> Self {
        Self
    }

    pub(crate) fn give_at_most(self, _: &File) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn give(self, _: &File) -> io::Result<()> {
        Ok(())
    }
}

/// Whether two looks at a file saw the same content, as far as its length and time tell.
pub(crate) fn is_unchanged(before: &Metadata, now: &Metadata) -> bool {
    before.len() == now.len() && before.modified().ok() == now.modified().ok()
}

pub(crate) fn is_open_to_others(_: &Metadata) -> bool {
    false
}

pub(crate) fn is_device(_: &Metadata) -> bool {
    false
}

pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).open(path)
}

pub(crate) fn open_leftover(path: &Path) -> io::Result<File> {
    File::open(path)
}

pub(crate) fn is_linked(_: &File) -> io::Result<bool> {
    Ok(true)
}

pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

pub(crate) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn share_blocks(_: &File, _: &File) -> bool {
    false
}

#[cfg(windows)]
pub(crate) fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

#[cfg(windows)]
pub(crate) fn stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

pub(crate) fn write_all_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Not told by a mode here: the folder's access list decides.
pub(crate) fn is_of_somebody_else(_: &Metadata) -> bool {
    false
}
