//! The folder that holds what was installed, outside the checkout: each thing in a folder of its own,
//! named by its version and its locks, there only when it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::ServerError;

/// Where everything is: `vaultkit/servers` under the user's cache folder.
pub(super) fn folder() -> PathBuf {
    let named = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || named("HOME").map(|home| home.join(".cache"));
    let cache = named("XDG_CACHE_HOME").or_else(home).unwrap_or_else(std::env::temp_dir);
    cache.join("vaultkit/servers")
}

/// Where the thing called `name` is or will be; other locks, another place.
pub(super) fn place<'a>(
    name: &str,
    version: &str,
    locks: impl IntoIterator<Item = &'a str>,
) -> PathBuf {
    let sum = locks.into_iter().fold(FNV_OFFSET, |sum, lock| fnv1a(sum, lock.as_bytes()));
    folder().join(format!("{name}-{version}-{:08x}", sum >> 32))
}

/// FNV-1a: names that differ where the locks differ; it protects nothing.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv1a(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What a place is good for: whether it works, and how it is filled.
pub(super) trait Fill {
    /// Whether what is in `folder` works.
    fn check(&self, folder: &Path) -> Result<(), String>;

    /// Puts it into `folder`, which is there and empty.
    fn fill(&self, folder: &Path, log: &Path) -> Result<(), String>;
}

/// Fills `place` unless it is filled and works. Two processes never fill at once: the second waits, and
/// finds it done. A failure leaves the place empty and the log of the commands beside it.
pub(super) fn install(place: &Path, name: &str, filling: &dyn Fill) -> Result<(), ServerError> {
    let failed = |error: io::Error| ServerError(format!("{}: {error}", place.display()));
    let parent = place.parent().unwrap_or(place);
    fs::create_dir_all(parent).map_err(failed)?;
    let lock = File::create(parent.join(format!("{name}.lock"))).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if place.is_dir() {
        if filling.check(place).is_ok() {
            return Ok(());
        }
        fs::remove_dir_all(place).map_err(failed)?;
    }
    // Whatever was there is of a process that died: nobody else holds the lock.
    let begun = parent.join(format!("{name}.begun"));
    if begun.exists() {
        fs::remove_dir_all(&begun).map_err(failed)?;
    }
    fs::create_dir(&begun).map_err(failed)?;
    let log = parent.join(format!("{name}.log"));
    let filled = filling.fill(&begun, &log).and_then(|()| filling.check(&begun));
    if let Err(why) = filled {
        let _ = fs::remove_dir_all(&begun);
        return Err(ServerError(why));
    }
    fs::rename(&begun, place).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Text(&'static str, Cell<u32>);

    impl Fill for Text {
        fn check(&self, folder: &Path) -> Result<(), String> {
            let text =
                fs::read_to_string(folder.join("text")).map_err(|error| error.to_string())?;
            if text == "good" { Ok(()) } else { Err("it is broken".into()) }
        }

        fn fill(&self, folder: &Path, _: &Path) -> Result<(), String> {
            self.1.set(self.1.get() + 1);
            fs::write(folder.join("text"), self.0).map_err(|error| error.to_string())
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let id = std::process::id();
        std::env::temp_dir().join(format!("vaultkit-cache-{id}-{name}"))
    }

    #[test]
    fn a_place_is_filled_once_and_again_when_it_no_longer_works() {
        let folder = scratch("once");
        let place = folder.join("thing-1");
        let good = Text("good", Cell::new(0));
        install(&place, "thing", &good).unwrap();
        install(&place, "thing", &good).unwrap();
        assert_eq!(good.1.get(), 1);
        fs::write(place.join("text"), "bad").unwrap();
        install(&place, "thing", &good).unwrap();
        assert_eq!(good.1.get(), 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_does_not_work_never_takes_its_place() {
        let folder = scratch("broken");
        let place = folder.join("thing-1");
        let error = install(&place, "thing", &Text("bad", Cell::new(0))).unwrap_err();
        assert_eq!(error.to_string(), "it is broken");
        assert!(!place.exists() && !folder.join("thing.begun").exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn other_locks_are_another_place() {
        assert_ne!(place("a", "1", ["x"]), place("a", "1", ["y"]));
        assert_eq!(place("a", "1", ["x"]), place("a", "1", ["x"]));
    }
}
