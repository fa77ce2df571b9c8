//! cargo-deny: licences, bans, sources and known advisories.
//!
//! deny.toml names the public advisory database. The lane `deny` has git fetch the committed snapshot in
//! its place, so that it works offline and gives the same answer tomorrow; the lane `advisories`
//! asks the live one.

use std::fs;
use std::path::{Path, PathBuf};

use super::tools::Tool;
use crate::shell::{self, Outcome, Shell};

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// The address in deny.toml that git is told to look for elsewhere.
const DATABASE: &str = "https://github.com/rustsec/advisory-db";

pub(super) fn snapshot() -> Outcome {
    let (archive, date) = newest_snapshot()?;
    println!("    advisories as of {date}; `cargo xtask ci advisories` asks today's database");
    let database = unpack(&archive, &date)?;
    forget_fetched()?;
    let instead_of = format!("url.{}.insteadOf", database.display());
    CARGO_DENY
        .ready()?
        .args(["deny", "--all-features", "check", "--hide-inclusion-graph"])
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", instead_of)
        .env("GIT_CONFIG_VALUE_0", DATABASE)
        .run()
}

pub(super) fn live() -> Outcome {
    forget_fetched()?;
    CARGO_DENY.ready()?.args(["deny", "--all-features", "check", "advisories"]).run()
}

/// The archive and the date in its name, `rustsec-advisories-YYYY-MM-DD.tar.xz`.
fn newest_snapshot() -> Outcome<(PathBuf, String)> {
    let folder = shell::root().join("security/advisories");
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(date) = date_of(&name) {
            found.push((date.to_owned(), path.clone()));
        }
    }
    let newest = found.into_iter().max().ok_or("security/advisories holds no snapshot")?;
    Ok((newest.1, newest.0))
}

fn date_of(name: &str) -> Option<&str> {
    name.strip_prefix("rustsec-advisories-")?.strip_suffix(".tar.xz")
}

/// Unpacks the snapshot into a git repository with the one branch that cargo-deny expects.
fn unpack(archive: &Path, date: &str) -> Outcome<PathBuf> {
    let folder = shell::target().join("advisories").join(date);
    if folder.join(".git/refs/heads/main").is_file() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Shell::new("tar").args(["-xJf"]).args([archive]).args(["-C"]).args([&folder]).output()?;
    let git = |args: &[&str]| Shell::new("git").folder(&folder).args(args).output();
    git(&["init", "--quiet", "-b", "main"])?;
    git(&["add", "--all"])?;
    let message = format!("Advisories of {date}");
    git(&[
        "-c",
        "user.name=snapshot",
        "-c",
        "user.email=snapshot@invalid",
        "-c",
        "commit.gpgsign=false",
        "commit",
        "--quiet",
        "-m",
        &message,
    ])?;
    Ok(folder)
}

/// cargo-deny keeps its clone under the address; the snapshot and the live database share one.
fn forget_fetched() -> Outcome {
    let fetched = shell::root().join("target/advisory-dbs");
    if fetched.exists() { Ok(fs::remove_dir_all(fetched)?) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_snapshot_is_found_with_its_date() {
        let (archive, date) = newest_snapshot().unwrap();
        assert!(archive.is_file());
        assert_eq!(date.len(), "2026-08-21".len());
    }

    #[test]
    fn only_a_snapshot_has_a_date() {
        assert_eq!(date_of("rustsec-advisories-2026-08-21.tar.xz"), Some("2026-08-21"));
        assert_eq!(date_of("README.md"), None);
    }
}
