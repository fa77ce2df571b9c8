//! Unix: modes and owners, `renameat2`, reflinks.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};

static UMASK: OnceLock<u32> = OnceLock::new();

/// Reads the umask, which can only be read by setting it: before there is a second thread.
pub(crate) fn remember_umask() {
    let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
    rustix::process::umask(umask);
    let _ = UMASK.set(umask.as_raw_mode());
}

fn umask() -> u32 {
    UMASK.get().copied().unwrap_or(0o077)
}

/// Who may do what with a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rights {
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Rights {
    /// Those of an existing file.
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() }
    }

    /// Gives `file` at most these rights: what its group cannot be given goes away.
    pub(crate) fn give_at_most(self, file: &File) -> io::Result<()> {
        let mut mode = self.mode & 0o777 & !umask();
        if file.metadata()?.gid() != self.gid && fchown(file, None, Some(self.gid)).is_err() {
            // Other people are in the new file's group.
            let others = mode & 0o007;
            mode &= !0o070 | (others << 3);
        }
        file.set_permissions(fs::Permissions::from_mode(mode))
    }

    /// Makes `file` the successor of the one these rights were read from.
    pub(crate) fn give(self, file: &File) -> io::Result<()> {
        let meta = file.metadata()?;
        if meta.uid() != self.uid && fchown(file, Some(self.uid), Some(self.gid)).is_err() {
            return file.set_permissions(fs::Permissions::from_mode(self.mode & 0o700));
        }
        if meta.gid() != self.gid && fchown(file, None, Some(self.gid)).is_err() {
            return self.give_at_most(file);
        }
        file.set_permissions(fs::Permissions::from_mode(self.mode))
    }
}

/// Whether two looks at a file saw the same file with the same content, as far as its times tell.
pub(crate) fn is_unchanged(before: &Metadata, now: &Metadata) -> bool {
    let what =
        |meta: &Metadata| (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    what(before) == what(now)
}

/// Whether it is a disk, a terminal or the like.
pub(crate) fn is_device(meta: &Metadata) -> bool {
    let kind = meta.file_type();
    kind.is_char_device() || kind.is_block_device()
}

/// Whether somebody besides the owner may do anything with it.
pub(crate) fn is_open_to_others(meta: &Metadata) -> bool {
    meta.mode() & 0o077 != 0
}

/// Whether somebody else than this user or root could have written it.
pub(crate) fn is_of_somebody_else(meta: &Metadata) -> bool {
    let owners = [rustix::process::geteuid().as_raw(), 0];
    !owners.contains(&meta.uid()) || meta.mode() & 0o002 != 0
}

/// A new file for its owner alone.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Opens what may be a dead writer's file, without following a link or waiting for a pipe.
pub(crate) fn open_leftover(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let meta = file.metadata()?;
    if meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw() {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Whether the file still has a name.
pub(crate) fn is_linked(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() > 0)
}

/// Renames unless there is something of that name, in one step where the file system can.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            result => return Ok(result?),
        }
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Makes the rename itself durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    match File::open(dir)?.sync_all() {
        // Some file systems know no such thing.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Lets `to` share all blocks of `from`, where the file system can.
pub(crate) fn share_blocks(from: &File, to: &File) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::ioctl_ficlone(to, from).is_ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        false
    }
}

/// Standard input without the buffer between.
pub(crate) fn stdin() -> io::Result<File> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Standard output without the buffer between.
pub(crate) fn stdout() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Writes at a place of its own.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}
