//! Cargo subcommands of fixed versions, installed under the target folder by their first use.

use std::path::PathBuf;

use crate::shell::{self, Outcome, Shell};

/// A cargo subcommand of one version.
pub(super) struct Tool {
    /// The package and program name.
    pub(super) name: &'static str,
    /// The version that is installed, whatever the machine may have.
    pub(super) version: &'static str,
}

impl Tool {
    /// The program, installed where it was missing or of another version.
    pub(super) fn ready(&self) -> Outcome<Shell> {
        if !self.is_installed() {
            println!("    installing {} {} (once; minutes)", self.name, self.version);
            let package = format!("{}@{}", self.name, self.version);
            shell::cargo()
                .args(["install", "--locked", &package, "--root"])
                .args([folder()])
                .env("CARGO_TARGET_DIR", folder().join("build"))
                .run()?;
        }
        Ok(Shell::new(self.program()))
    }

    fn is_installed(&self) -> bool {
        // cargo-fuzz answers its version only as a subcommand, cargo-deny either way.
        let subcommand = self.name.trim_start_matches("cargo-");
        let version = Shell::new(self.program()).args([subcommand, "--version"]).output();
        version.is_ok_and(|said| said.split_whitespace().any(|word| word == self.version))
    }

    fn program(&self) -> PathBuf {
        folder().join("bin").join(self.name)
    }
}

fn folder() -> PathBuf {
    shell::target().join("tools")
}
