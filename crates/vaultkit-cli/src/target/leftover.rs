//! Temporary files of runs that were killed: found by their name, told from living ones by their lock.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{INFIX, SALT_LEN, SUFFIX};
use crate::platform;

/// Removes what dead runs left in `folder`, once per run. What cannot be removed stays: it is in
/// nobody's way.
pub(super) fn sweep(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let is_first = SWEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
    if !is_first {
        return;
    }
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if is_temporary(&entry.file_name()) {
            remove_dead(&entry.path());
        }
    }
}

fn remove_dead(path: &Path) {
    if let Ok(file) = platform::open_leftover(path)
        && file.try_lock().is_ok()
    {
        // Removed under the lock, so that its writer, if it has just made it, sees that it is gone.
        let _ = fs::remove_file(path);
    }
}

fn is_temporary(name: &OsStr) -> bool {
    let Some(rest) = name.as_encoded_bytes().strip_suffix(SUFFIX.as_bytes()) else { return false };
    let Some((rest, salt)) = rest.split_at_checked(rest.len().saturating_sub(2 * SALT_LEN)) else {
        return false;
    };
    rest.starts_with(b".")
        && rest.ends_with(INFIX.as_bytes())
        && salt.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_temporary_names_are_recognized() {
        assert!(is_temporary(OsStr::new(".a.vk.vaultkit-0123456789ab.tmp")));
        for name in [
            "a.vk.vaultkit-0123456789ab.tmp",
            ".a.vk.vaultkit-0123456789a.tmp",
            ".a.vk.vaultkit-0123456789xy.tmp",
            ".a.vk.vaultkit-0123456789ab",
            ".tmp",
            "",
        ] {
            assert!(!is_temporary(OsStr::new(name)), "{name}");
        }
    }
}
