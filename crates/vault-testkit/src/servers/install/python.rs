//! Python packages in a virtual environment each, every one held to the hashes of its lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::ServerError;
use super::super::cache::{self, Fill};
use super::{Tell, watch};

/// A virtual environment and what is in it.
pub(in super::super) struct Environment {
    pub(in super::super) name: &'static str,
    /// The version by which the whole is known.
    pub(in super::super) version: &'static str,
    /// All that is in it, with hashes.
    pub(in super::super) requirements: &'static str,
    /// What can be imported when it is whole.
    pub(in super::super) imports: &'static str,
    /// How long installing takes when nothing is there yet.
    pub(in super::super) usually: &'static str,
}

const PIP: &[&str] = &[
    "-m",
    "pip",
    "install",
    "--no-input",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "-r",
];

impl Environment {
    /// Where its Python is, if it is installed.
    pub(in super::super) fn found(&self) -> Option<PathBuf> {
        Some(python(&self.place())).filter(|python| python.is_file())
    }

    /// Makes it unless it is there and works.
    pub(in super::super) fn install(&self, tell: Tell<'_>) -> Result<(), ServerError> {
        cache::install(&self.place(), self.name, &Filling { environment: self, tell })
    }

    /// What a person types.
    pub(in super::super) fn command(&self) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/servers");
        let place = self.place();
        let requirements = format!("{folder}/{}/requirements.txt", self.name);
        format!(
            "python3 -m venv {} && {} {} {requirements}",
            place.display(),
            python(&place).display(),
            PIP.join(" ")
        )
    }

    fn place(&self) -> PathBuf {
        cache::place(self.name, self.version, [self.requirements])
    }
}

/// Scripts beside it begin with the name of the folder in which they were made, so only this is used.
fn python(place: &Path) -> PathBuf {
    place.join("bin/python")
}

struct Filling<'a> {
    environment: &'a Environment,
    tell: Tell<'a>,
}

impl Fill for Filling<'_> {
    fn check(&self, folder: &Path) -> Result<(), String> {
        let imports = format!("import {}", self.environment.imports);
        let mut command = Command::new(python(folder));
        command.args(["-I", "-c", &imports]).stdin(Stdio::null());
        let said = command.output().map_err(|error| format!("{}: {error}", folder.display()))?;
        if said.status.success() {
            return Ok(());
        }
        let name = self.environment.name;
        Err(format!("{name}: `{imports}` failed: {}", String::from_utf8_lossy(&said.stderr)))
    }

    fn fill(&self, folder: &Path, log: &Path) -> Result<(), String> {
        let environment = self.environment;
        let what = format!("installing {} {}", environment.name, environment.version);
        (self.tell)(&format!("{what}, once; it takes {}", environment.usually));
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(folder);
        watch::run(&mut venv, &what, log, self.tell).map_err(|why| {
            format!("{why}\nit needs Python 3.11 with venv (Debian: python3 and python3-venv)")
        })?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, environment.requirements)
            .map_err(|error| format!("{}: {error}", requirements.display()))?;
        let mut pip = Command::new(python(folder));
        pip.args(PIP).arg(&requirements);
        watch::run(&mut pip, &what, log, self.tell)
            .map_err(|why| format!("{why}\nby hand: {}", environment.command()))
    }
}
