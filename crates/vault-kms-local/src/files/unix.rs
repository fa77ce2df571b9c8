//! Owners, modes and flags on Unix: everything about the store is for its owner alone.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use vault_crypto_core::Result;

use crate::error::damaged;

/// Device, inode, length and the two times: a replacement differs in at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([i64; 7]);

pub(super) fn stamp(meta: &Metadata) -> Stamp {
    Stamp([
        meta.dev().cast_signed(),
        meta.ino().cast_signed(),
        meta.size().cast_signed(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ])
}

pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The owner is who runs this program, and nobody else has any right.
pub(super) fn check_private(path: &Path, meta: &Metadata, mode: &str) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user {
        return Err(damaged(format!(
            "{} belongs to user {} and this program runs as user {user}; run it as the owner, or `chown {user} {}`",
            path.display(),
            meta.uid(),
            path.display()
        )));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(damaged(format!(
            "others have rights on {} (mode {:o}), so its keys may be known to them; `chmod {mode} {}` and rotate the keys",
            path.display(),
            meta.mode() & 0o7777,
            path.display()
        )));
    }
    Ok(())
}

/// A link is an error, and opening a pipe does not wait for its writer.
pub(super) fn no_follow(options: &mut OpenOptions) {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed());
}

pub(super) fn owner_only(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// Makes the rename itself durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
