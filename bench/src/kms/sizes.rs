//! What a provider weighs: the crates that it brings, and the program that does nothing but make one data key.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Service;
use crate::report::Table;

/// Crates of each provider; with `full` the minimal programs are built too, which takes minutes.
pub fn table(services: &[&dyn Service], full: bool) -> Result<Table, String> {
    let columns = ["crates", "program, MB"];
    let mut table = Table::new("kms-sizes".into(), "A minimal program".into(), columns);
    let target = target()?;
    for service in services {
        let mut cells = vec![crates(service.provider())?.to_string()];
        if full {
            cells.push(format!("{:.1}", program(service.name(), &target)? as f64 / 1e6));
        }
        table.row(service.provider(), cells);
    }
    Ok(table)
}

/// Where the minimal programs are built: beside this one, so that a second time costs little.
fn target() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = this.parent().ok_or("this program lies in no folder")?;
    Ok(profile.with_file_name("minimal"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All crates under `package`, itself and what only builds it included.
fn crates(package: &str) -> Result<usize, String> {
    let tree = ["tree", "-p", package, "-e", "normal,build", "--prefix", "none", "--locked"];
    let printed = said(Command::new("cargo").args(tree).current_dir(root()))?;
    let name = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(printed.lines().map(name).filter(|name| !name.is_empty()).collect::<BTreeSet<_>>().len())
}

/// Bytes of the stripped program.
fn program(service: &str, target: &Path) -> Result<u64, String> {
    let (feature, name) = (format!("kms-{service}"), format!("minimal-{service}"));
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let build = ["build", "--release", "--locked", "--no-default-features", "--features"];
    said(
        Command::new("cargo")
            .args(build)
            .args([&feature, "--bin", &name, "--manifest-path"])
            .arg(manifest)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    )?;
    let built = target.join("release").join(name);
    built.metadata().map(|file| file.len()).map_err(|error| error.to_string())
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}
