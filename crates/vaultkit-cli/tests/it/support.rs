//! A folder with a key store of its own, and the program run in it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use vaultkit::core::{Clock as _, SystemClock};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_vaultkit");

/// A folder for files beside a place for a key store, both gone at the end.
pub(super) struct Desk {
    root: tempfile::TempDir,
}

/// How a run ended and what it said.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
}

impl Desk {
    pub(super) fn new() -> Self {
        let desk = Self { root: tempfile::tempdir().unwrap() };
        fs::create_dir(desk.folder()).unwrap();
        desk
    }

    /// With a key store and its key `default`.
    pub(super) fn with_store() -> Self {
        let desk = Self::new();
        desk.done(["keys", "create", "default"]);
        desk
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("files")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.root.path().join("store")
    }

    pub(super) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join(name)
    }

    pub(super) fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// All names in the folder for files, hidden ones too.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    pub(super) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        self.prepare(Command::new(PROGRAM), args)
    }

    /// As [`command`](Self::command), with the signals that a person sends at their defaults: who runs the
    /// tests in the background of a script ignores them, and so would the program.
    pub(super) fn interruptible<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let args = ["--default-signal=INT,TERM,HUP", PROGRAM].into_iter().chain(args);
        self.prepare(Command::new("env"), args)
    }

    /// A script of the shell in which `$V` is the program.
    pub(super) fn shell(&self, script: &str) -> Ended {
        end(self.prepare(Command::new("sh"), ["-c", script]).env("V", PROGRAM))
    }

    fn prepare<S: AsRef<OsStr>>(
        &self,
        mut command: Command,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        command
            .args(args)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("VAULTKIT_HOME", self.store())
            .stdin(Stdio::null());
        command
    }

    pub(super) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        end(&mut self.command(args))
    }

    /// Runs what must succeed.
    #[track_caller]
    pub(super) fn done<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{}", ended.err);
        ended
    }

    /// Runs what must end with `code`, say `word` in an `error:`, and leave no new name behind.
    #[track_caller]
    pub(super) fn fails<S: AsRef<OsStr>>(
        &self,
        code: i32,
        word: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Ended {
        let before = self.names();
        let ended = self.run(args);
        assert_eq!(ended.code, code, "{}", ended.err);
        assert!(ended.err.contains("error:") && ended.err.contains(word), "{}", ended.err);
        assert_eq!(self.names(), before);
        ended
    }

    /// Runs with `input` on standard input.
    pub(super) fn pipe<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Ended {
        use std::io::Write as _;
        let mut command = self.command(args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // The program may end before it has read everything.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let ended = ended(child.wait_with_output().unwrap());
        writer.join().unwrap();
        ended
    }
}

pub(super) fn end(command: &mut Command) -> Ended {
    ended(command.output().unwrap())
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Bytes in which no two chunks are alike.
pub(super) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

pub(super) fn pause(duration: Duration) {
    pollster::block_on(SystemClock::new().sleep(duration));
}

/// Waits until `condition` holds; ten seconds are longer than any run here takes.
#[track_caller]
pub(super) fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        pause(Duration::from_millis(1));
    }
    panic!("waited for ten seconds in vain");
}
