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

/// What each script begins with: it tells of a failure, and leaves nothing behind. `pid` is the server's.
/// A script may stop it in another way; by default nothing is left to it, as in a crash. The shell is its
/// parent, so that nothing is left to be reaped by a container without an init.
const PRELUDE: &str = r#"
set -eu
# Told of a pipe that nobody reads any more, instead of dying of it.
trap '' PIPE
dir=$1; shift
end() { code=$?; stop || true; [ "$code" = 0 ] || cat "$dir/log" || true; rm -rf "$dir"; }
trap end EXIT
pid=
stop() {
  [ -n "$pid" ] || return 0
  kill -KILL "$pid" 2>>"$dir/log" || true
  wait "$pid" || true
  pid=
}
pause() { kill -STOP "$pid"; }
resume() { kill -CONT "$pid"; }
# Repeats a command until it succeeds: for a minute, and while the server is there.
await() {
  tries=0
  until "$@" >>"$dir/log" 2>&1; do
    kill -0 "$pid"
    tries=$((tries + 1))
    [ "$tries" -lt 1200 ]
    sleep 0.05
  done
  kill -0 "$pid"
}
"#;

/// What each script ends with: it does what it is told until the pipe closes.
const CODA: &str = r#"
start
echo ready
while read -r told; do "$told"; echo ready; done
"#;

/// As whom a server runs when this process is root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// As `nobody`, which the server insists on.
    AsNobody,
    /// As root too: what was installed under root's home is there for nobody else.
    AsMyself,
}

/// What is to be started.
pub(super) struct Launch<'a> {
    /// For the folder and for errors.
    pub(super) name: &'a str,
    /// Defines `start`, and may define `stop` and what else it can be told.
    pub(super) script: &'a str,
    /// The script's, from `$1`.
    pub(super) args: &'a [&'a str],
    pub(super) runs: Runs,
}

/// The shell and what it looks after.
pub(super) struct Supervisor {
    shell: Child,
    folder: PathBuf,
    pipes: Mutex<Option<Pipes>>,
}

struct Pipes {
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Runs the script in a new temporary folder.
    pub(super) fn start(launch: &Launch<'_>) -> Result<Self, ServerError> {
        let name = launch.name;
        let failed = |error: io::Error| ServerError(format!("{name} cannot be started: {error}"));
        let folder = private_folder(name).map_err(failed)?;
        let owner = std::fs::metadata(&folder).map_err(failed)?.uid();
        let mut command = if owner == 0 && launch.runs == Runs::AsNobody {
            chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(failed)?;
            let mut command = Command::new("setpriv");
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            command.args(ids).args(["--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command.arg("-c").arg(format!("{PRELUDE}{}{CODA}", launch.script));
        command.arg(name).arg(&folder).args(launch.args);
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
            .env("HOME", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        let mut shell = command.spawn()?;
        let pipes = shell.stdin.take().zip(shell.stdout.take());
        let pipes = pipes.map(|(told, says)| Pipes { told, says: BufReader::new(says) });
        Ok(Self { shell, folder: folder.to_owned(), pipes: Mutex::new(pipes) })
    }

    /// The server's folder, its working folder and home; `log` in it is what the server printed.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has the script do what it calls `word`, and waits until it is done.
    pub(super) fn tell(&self, word: &str) -> Result<(), ServerError> {
        self.until_ready(Some(word)).map_err(|said| ServerError(format!("`{word}` failed: {said}")))
    }

    /// The text of a file of the server's.
    pub(super) fn read(&self, file: &str) -> Result<String, ServerError> {
        let path = self.folder.join(file);
        let bytes = std::fs::read(&path)
            .map_err(|error| ServerError(format!("{}: {error}", path.display())))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
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
