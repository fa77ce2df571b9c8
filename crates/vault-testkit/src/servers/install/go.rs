//! Programs in Go, built from the module proxy through a wrapper module of ours: `go install` refuses
//! them, and the wrapper's `go.sum` holds every byte of theirs to its sum.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::ServerError;
use super::super::cache::{self, Fill};
use super::{Tell, watch};

/// A program and the module that builds it.
pub(in super::super) struct GoProgram {
    pub(in super::super) name: &'static str,
    pub(in super::super) version: &'static str,
    /// What is built, as `go build` is told.
    pub(in super::super) package: &'static str,
    /// The wrapper module's files.
    pub(in super::super) files: &'static [(&'static str, &'static str)],
    /// What makes it print its version, if anything does.
    pub(in super::super) version_flag: Option<&'static str>,
    /// How long building it takes when nothing is there yet.
    pub(in super::super) usually: &'static str,
}

/// The toolchain that is there, and programs that lean on no library of this system.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("GOTOOLCHAIN", "local"),
    ("CGO_ENABLED", "0"),
    ("GOWORK", "off"),
    ("GOFLAGS", "-mod=readonly"),
];
const BUILD: &[&str] = &["build", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w"];

impl GoProgram {
    /// Where the program is, if it is installed.
    pub(in super::super) fn found(&self) -> Option<PathBuf> {
        Some(self.program(&self.place())).filter(|program| program.is_file())
    }

    /// Builds it unless it is there and works.
    pub(in super::super) fn install(&self, tell: Tell<'_>) -> Result<(), ServerError> {
        cache::install(&self.place(), self.name, &Building { program: self, tell })
    }

    /// What a person types.
    pub(in super::super) fn command(&self) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/servers");
        let environment: String =
            ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        format!(
            "(cd {folder}/{} && {environment}go build -trimpath -ldflags '-s -w' -o {} {})",
            self.name,
            self.program(&self.place()).display(),
            self.package
        )
    }

    fn place(&self) -> PathBuf {
        cache::place(self.name, self.version, self.files.iter().map(|(_, text)| *text))
    }

    fn program(&self, place: &Path) -> PathBuf {
        place.join("bin").join(self.name)
    }

    /// Without arguments a program with no version to tell still says that it runs.
    fn says_its_version(&self, program: &Path) -> Result<(), String> {
        let mut command = Command::new(program);
        let said = command.args(self.version_flag).stdin(Stdio::null()).output();
        let said = said.map_err(|error| format!("{}: {error}", program.display()))?;
        let expected = self.version_flag.map_or("usage:", |_| self.version);
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        if text.contains(expected) {
            return Ok(());
        }
        Err(format!("{} does not say `{expected}`, but: {text}", program.display()))
    }
}

struct Building<'a> {
    program: &'a GoProgram,
    tell: Tell<'a>,
}

impl Fill for Building<'_> {
    fn check(&self, folder: &Path) -> Result<(), String> {
        self.program.says_its_version(&self.program.program(folder))
    }

    fn fill(&self, folder: &Path, log: &Path) -> Result<(), String> {
        let program = self.program;
        has_go()?;
        let source = folder.join("source");
        write_files(&source, program.files)
            .map_err(|error| format!("{}: {error}", source.display()))?;
        let what = format!("building {} {}", program.name, program.version);
        (self.tell)(&format!("{what}, once; it takes {}", program.usually));
        let mut go = Command::new("go");
        go.args(BUILD).arg("-o").arg(program.program(folder)).arg(program.package);
        go.envs(ENVIRONMENT.iter().copied()).current_dir(&source);
        watch::run(&mut go, &what, log, self.tell)
            .map_err(|why| format!("{why}\nby hand: {}", program.command()))
    }
}

fn write_files(folder: &Path, files: &[(&str, &str)]) -> std::io::Result<()> {
    fs::create_dir(folder)?;
    files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

fn has_go() -> Result<(), String> {
    let asked = Command::new("go").arg("version").stdin(Stdio::null()).output();
    if asked.is_ok_and(|said| said.status.success()) {
        return Ok(());
    }
    Err("there is no `go` in the PATH; install Go 1.25.3 or later (https://go.dev/dl)".into())
}
