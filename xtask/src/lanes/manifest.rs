//! The few things the lanes read out of Cargo.toml files, line by line. Not a TOML parser: the
//! manifests here are written by us, one key a line.

use std::fs;

use crate::shell::{self, Outcome};

/// Name and manifest of every crate under `crates/`, sorted.
pub(super) fn members() -> Outcome<Vec<(String, String)>> {
    let mut members = Vec::new();
    for entry in fs::read_dir(shell::root().join("crates"))? {
        let manifest = entry?.path().join("Cargo.toml");
        if manifest.is_file() {
            let text = fs::read_to_string(&manifest)?;
            let name = value(&text, "[package]", "name")
                .ok_or_else(|| format!("{} states no name", manifest.display()))?;
            members.push((name, text));
        }
    }
    members.sort();
    Ok(members)
}

/// The features a manifest declares.
pub(super) fn features(manifest: &str) -> Vec<String> {
    section(manifest, "[features]")
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .collect()
}

/// The workspace's promised Rust version.
pub(super) fn rust_version(manifest: &str) -> Option<String> {
    value(manifest, "[workspace.package]", "rust-version")
}

/// The Rust version of a crate that needs a later one than the workspace promises.
pub(super) fn own_rust_version(manifest: &str) -> Option<String> {
    value(manifest, "[package]", "rust-version")
}

fn value(manifest: &str, header: &str, key: &str) -> Option<String> {
    section(manifest, header).find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.split('#').next().unwrap_or(value);
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    })
}

fn section<'a>(manifest: &'a str, header: &'a str) -> impl Iterator<Item = &'a str> {
    manifest
        .lines()
        .skip_while(move |line| line.trim() != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[workspace.package]\nrust-version = \"1.91\"\n\n[features]\n# none\ndefault = []\nring = [\"aead\"]\n\n[dependencies]\nhex = \"1\"\n";

    #[test]
    fn features_end_where_the_section_ends() {
        assert_eq!(features(MANIFEST), ["default", "ring"]);
    }

    #[test]
    fn the_rust_version_is_found() {
        assert_eq!(rust_version(MANIFEST).as_deref(), Some("1.91"));
        assert_eq!(own_rust_version("[package]\nrust-version.workspace = true\n"), None);
        let own = "[package]\nrust-version = \"1.94.1\" # of a dependency\n";
        assert_eq!(own_rust_version(own).as_deref(), Some("1.94.1"));
    }
}
