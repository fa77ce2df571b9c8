//! Starting other programs from the checkout's root, and the folders that the lanes share.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What every lane answers: nothing, or a sentence for a person.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// The checkout's root.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The cargo that started this program.
pub(crate) fn cargo() -> Shell {
    Shell::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// One command about to run in the checkout's root.
pub(crate) struct Shell(Command);

impl Shell {
    /// Starts from the program's name.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(root());
        Self(command)
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs in another folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it in sight, printing the command first.
    pub(crate) fn run(mut self) -> Outcome {
        println!("    $ {}", self.line());
        let status = self.0.status().map_err(|error| self.cannot_start(&error))?;
        if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", self.line()).into()) }
    }

    /// Runs it out of sight and answers its standard output.
    pub(crate) fn output(mut self) -> Outcome<String> {
        let output = self.0.output().map_err(|error| self.cannot_start(&error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}`: {}\n{}", self.line(), output.status, said.trim_end()).into())
    }

    /// Runs it in sight without printing the command.
    pub(crate) fn run_quietly(mut self) -> Outcome {
        let status = self.0.status().map_err(|error| self.cannot_start(&error))?;
        if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", self.line()).into()) }
    }

    /// Starts it in sight, to be joined later.
    pub(crate) fn spawn(mut self) -> Outcome<Running> {
        println!("    $ {} &", self.line());
        let child = self.0.spawn().map_err(|error| self.cannot_start(&error))?;
        Ok(Running { child, line: self.line() })
    }

    /// Whether it starts and succeeds; what it prints is thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn line(&self) -> String {
        let program = Path::new(self.0.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str());
        std::iter::once(name)
            .chain(self.0.get_args())
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn cannot_start(&self, error: &std::io::Error) -> String {
        format!("cannot start `{}`: {error}", self.line())
    }
}

/// A command that runs beside this program.
pub(crate) struct Running {
    child: Child,
    line: String,
}

impl Running {
    /// Waits until it is done.
    pub(crate) fn join(mut self) -> Outcome {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", self.line).into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_an_error_that_names_the_command() {
        let failure = cargo().args(["no-such-command"]).output().unwrap_err().to_string();
        assert!(failure.contains("cargo no-such-command"), "{failure}");
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let failure = Shell::new("vaultkit-no-such-program").output().unwrap_err().to_string();
        assert!(failure.contains("cannot start `vaultkit-no-such-program`"), "{failure}");
    }
}
