//! A shell that starts a server, and stops it when the pipe from this process closes: at the end of this
//! process, whichever way it ends, the system closes it.
//!
//! The shell is in a process group of its own, so that Ctrl-C reaches this process and not the server's
//! clean end. What it runs is each server's script.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::ServerError;

/// `nobody`, as whom a server runs that this process would otherwise start as root.
const NOBODY: u32 = 65_534;

/// What each script begins with: it tells of a failure, and leaves nothing behind.
const PRELUDE: &str = r#"
set -eu
# Told of a pipe that nobody reads any more, instead of dying of it.
trap '' PIPE
dir=$1; shift
end() { code=$?; stop || true; [ "$code" = 0 ] || cat "$dir/log" || true; rm -rf "$dir"; }
trap end EXIT
"#;

/// What each script ends with: it does what it is told until the pipe closes.
const CODA: &str = r#"
start
echo ready
while read -r told; do "$told"; echo ready; done
"#;

/// The shell and what it looks after.
pub(super) struct Supervisor {
    shell: Child,
    pipes: Mutex<Option<Pipes>>,
}

struct Pipes {
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Runs `script`, which defines `start` and `stop`, in a new temporary folder; `name` is for the
    /// folder, `args` are the script's from `$1`.
    pub(super) fn start(name: &str, script: &str, args: &[&str]) -> Result<Self, ServerError> {
        let failed = |error: io::Error| ServerError(format!("{name} cannot be started: {error}"));
        let folder = private_folder(name).map_err(failed)?;
        let owner = std::fs::metadata(&folder).map_err(failed)?.uid();
        let mut command = if owner == 0 {
            chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(failed)?;
            let mut command = Command::new("setpriv");
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            command.args(ids).args(["--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.arg("-c").arg(format!("{PRELUDE}{script}{CODA}")).arg(name).arg(&folder).args(args);
        let supervisor = Self::spawn(command, &folder).map_err(failed)?;
        supervisor.until_ready(None).map_err(|said| {
            // The shell has removed it, unless there was no shell.
            let _ = std::fs::remove_dir_all(&folder);
            ServerError(format!("{name} did not start: {said}"))
        })?;
        Ok(supervisor)
    }

    fn spawn(mut command: Command, folder: &Path) -> io::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut shell = command.spawn()?;
        let pipes = shell.stdin.take().zip(shell.stdout.take());
        let pipes = pipes.map(|(told, says)| Pipes { told, says: BufReader::new(says) });
        Ok(Self { shell, pipes: Mutex::new(pipes) })
    }

    /// Has the script do what it calls `word`, and waits until it is done.
    pub(super) fn tell(&self, word: &str) -> Result<(), ServerError> {
        self.until_ready(Some(word)).map_err(|said| ServerError(format!("`{word}` failed: {said}")))
    }

    fn until_ready(&self, word: Option<&str>) -> Result<(), String> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pipes) = pipes.as_mut() else { return Err("it was stopped".into()) };
        if let Some(word) = word {
            writeln!(pipes.told, "{word}").map_err(|error| error.to_string())?;
        }
        let mut said = String::new();
        loop {
            let begin = said.len();
            match pipes.says.read_line(&mut said) {
                Ok(0) if said.is_empty() => return Err("it ended and said nothing".into()),
                Ok(0) => return Err(said),
                Ok(_) if said.get(begin..) == Some("ready\n") => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Closes the pipe; the shell stops the server and removes its folder.
        drop(self.pipes.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.shell.wait();
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("shell", &self.shell.id()).finish_non_exhaustive()
    }
}

/// A new folder that only its owner can enter.
fn private_folder(name: &str) -> io::Result<PathBuf> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = format!("vaultkit-{name}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            // Left by a process of the same id whose shell was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}

/// A port of loopback that was free a moment ago.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
