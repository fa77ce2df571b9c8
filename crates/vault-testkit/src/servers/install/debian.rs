//! Installing what a server needs from the system's packages, in sight of whoever asked for it.

use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use super::super::ServerError;

const UPDATE: &[&str] = &["apt-get", "update", "-q"];
const INSTALL: &[&str] =
    &["apt-get", "install", "-y", "-q", "--no-upgrade", "--no-install-recommends"];

/// What a person types.
pub(in super::super) fn command(package: &str) -> String {
    format!("sudo {} && sudo {} {package}", UPDATE.join(" "), INSTALL.join(" "))
}

/// Installs a Debian package, if this is root on a system that has such.
pub(in super::super) fn install(package: &str) -> Result<(), ServerError> {
    let by_hand = |why: &str| {
        let command = command(package);
        ServerError(format!("{package} is missing, and {why}; install it: {command}"))
    };
    if !has_apt() {
        return Err(by_hand("this system has no apt-get to install it with"));
    }
    if !is_root() {
        return Err(by_hand("only root can install it"));
    }
    run(UPDATE, None).and_then(|()| run(INSTALL, Some(package))).map_err(|why| by_hand(&why))
}

fn run(words: &[&str], package: Option<&str>) -> Result<(), String> {
    let words: Vec<&str> = words.iter().copied().chain(package).collect();
    let line = words.join(" ");
    let (program, args) = words.split_first().ok_or("there is no command")?;
    let status = Command::new(program)
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("`{line}` cannot start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed: {status}")) }
}

fn has_apt() -> bool {
    let asked = Command::new("apt-get").arg("--version").stdout(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// A process of root owns its own folder under /proc; where there is none, nobody is taken for root.
fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
