//! Interruptions: Ctrl-C and the like remove the temporary files before they end the program.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

/// Temporary files that exist now.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn temporary() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on `path` is removed when the program is interrupted. Call it before the file is made.
pub(crate) fn remember(path: &Path) {
    temporary().push(path.to_owned());
}

/// The file is removed or has its final name.
pub(crate) fn forget(path: &Path) {
    temporary().retain(|other| other != path);
}

/// Starts listening. A signal that the caller of the program ignores stays ignored.
#[cfg(unix)]
pub(crate) fn install() -> Result<(), Failure> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    let refused = |error| Failure::stream_io("listen for signals", &error);
    let ignored = ignored_by_caller();
    let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|s| ignored >> (s - 1) & 1 == 0);
    let mut signals = Signals::new(wanted).map_err(refused)?;
    // Beyond the limit on file sizes writing shall fail, as on a full disk, and not kill.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(refused)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // Held until the end, so that no further file is made.
                let temporary = temporary();
                for path in temporary.iter() {
                    let _ = std::fs::remove_file(path);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })
        .map_err(refused)?;
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn install() -> Result<(), Failure> {
    Ok(())
}

/// The mask of ignored signals (`nohup`, a shell's background job), where the system shows it.
#[cfg(unix)]
fn ignored_by_caller() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
