//! Where there are no Unix modes the folder's own access list is all the protection there is.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use vault_crypto_core::Result;

/// Length and time: all that the standard library tells everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp(u64, Option<SystemTime>);

pub(super) fn stamp(meta: &Metadata) -> Stamp {
    Stamp(meta.len(), meta.modified().ok())
}

pub(super) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(dir)
}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(super) fn check_private(_: &Path, _: &Metadata, _: &str) -> Result<()> {
    Ok(())
}

pub(super) fn no_follow(_: &mut OpenOptions) {}

pub(super) fn owner_only(_: &mut OpenOptions) {}

#[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
pub(super) fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}
