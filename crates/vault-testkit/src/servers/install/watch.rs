//! Running a command that takes minutes: what it prints goes to a log, and a line says every so often
//! that it is still at work.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use vault_crypto_core::{Clock as _, SystemClock};

use super::Tell;

const EVERY: Duration = Duration::from_secs(15);
/// How many of its last lines a failure shows.
const LAST_LINES: usize = 20;

/// Runs `command`; `what` begins each line of progress.
pub(super) fn run(
    command: &mut Command,
    what: &str,
    log: &Path,
    tell: Tell<'_>,
) -> Result<(), String> {
    let line = line(command);
    let failed = |error: std::io::Error| format!("`{line}` cannot be run: {error}");
    let out = File::create(log).map_err(failed)?;
    let err = out.try_clone().map_err(failed)?;
    let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(failed)?;
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(child.wait()));
    let clock = SystemClock::new();
    let begin = clock.monotonic();
    let status: ExitStatus = loop {
        match receive.recv_timeout(EVERY) {
            Ok(status) => break status.map_err(failed)?,
            Err(RecvTimeoutError::Timeout) => {
                let seconds = clock.monotonic().saturating_sub(begin).as_secs();
                tell(&format!("{what}: {} min {:02} s", seconds / 60, seconds % 60));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(format!("`{line}` is lost")),
        }
    };
    if status.success() {
        return Ok(());
    }
    Err(format!("`{line}` failed: {status}; the end of {}:\n{}", log.display(), tail(log)))
}

/// What a person would type, without the environment.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.len().saturating_sub(LAST_LINES);
    lines.get(begin..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_shows_the_end_of_what_it_said() {
        let log = std::env::temp_dir().join(format!("vaultkit-watch-{}", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "seq 100; echo it broke >&2; exit 3"]);
        let error = run(&mut command, "test", &log, &|_| {}).unwrap_err();
        fs::remove_file(log).unwrap();
        assert!(error.contains("`sh -c seq 100") && error.contains("status: 3"), "{error}");
        assert!(error.contains("\n100\nit broke") && !error.contains("\n50\n"), "{error}");
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let log = std::env::temp_dir().join(format!("vaultkit-watch-none-{}", std::process::id()));
        let error = run(&mut Command::new("vaultkit-none"), "test", &log, &|_| {}).unwrap_err();
        fs::remove_file(log).unwrap();
        assert!(error.contains("`vaultkit-none` cannot be run"), "{error}");
    }
}
