//! Edges between our crates: core <- libraries <- facade <- program, and the test kit only in tests.

use super::Finding;
use super::tree::Tree;

const CORE: &str = "vault-crypto-core";
const CONNECTION: &str = "vault-connection";
const FACADE: &str = "vaultkit";
const PROGRAM: &str = "vaultkit-cli";
const TESTKIT: &str = "vault-testkit";

/// The libraries that share a connection to a Vault server.
const OVER_CONNECTION: &[&str] = &["vault-kms-hashicorp", "vault-secrets", "vault-mtls"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Dev,
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.with_extension("toml") {
        let Some(from) = crate_of(&file.path) else { continue };
        for (line, kind, to) in edges(&file.text) {
            if !allowed(from, &to, kind) {
                let message = format!("{from} must not depend on {to} (see docs/ARCHITECTURE.md)");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

fn crate_of(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/Cargo.toml")?;
    folder.strip_prefix("crates/").or_else(|| (folder == "xtask").then_some(folder))
}

fn allowed(from: &str, to: &str, kind: Kind) -> bool {
    if kind == Kind::Dev && to == TESTKIT {
        return from != TESTKIT;
    }
    match (from, to) {
        (_, TESTKIT | PROGRAM) | (CORE | "xtask", _) => false,
        (PROGRAM, to) => to == FACADE,
        (_, FACADE) => false,
        (FACADE, _) | (_, CORE) => true,
        (from, CONNECTION) => OVER_CONNECTION.contains(&from),
        _ => false,
    }
}

/// The dependencies on our own crates: line, kind and name.
fn edges(manifest: &str) -> Vec<(usize, Kind, String)> {
    let mut kind = None;
    let mut found = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_matches(['[', ']']);
            let (table, name) = match header.rsplit_once("dependencies.") {
                Some((table, name)) => (format!("{table}dependencies"), Some(name)),
                None => (header.to_owned(), None),
            };
            kind = kind_of(&table);
            found.extend(kind.zip(name).map(|(kind, name)| (index + 1, kind, name.to_owned())));
        } else if let Some(kind) = kind {
            found.extend(dependency(line).map(|name| (index + 1, kind, name)));
        }
    }
    found.retain(|(_, _, name)| is_ours(name));
    found
}

/// Others' crates begin with the same word (`vaultrs`).
fn is_ours(name: &str) -> bool {
    name == FACADE || name.starts_with("vaultkit-") || name.starts_with("vault-")
}

fn kind_of(table: &str) -> Option<Kind> {
    if table.ends_with("dev-dependencies") {
        Some(Kind::Dev)
    } else {
        table.ends_with("dependencies").then_some(Kind::Normal)
    }
}

/// The package a line names; a rename gives the real name.
fn dependency(line: &str) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    if let Some((_, renamed)) = value.split_once("package = \"") {
        return renamed.split('"').next().map(str::to_owned);
    }
    let name = key.trim().split('.').next()?;
    (!name.starts_with('#')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, manifest: &str) -> Vec<Finding> {
        check(&Tree::of(&[(&format!("crates/{name}/Cargo.toml"), manifest)]))
    }

    #[test]
    fn a_library_on_a_sibling_is_found_in_every_spelling() {
        for manifest in [
            "[dependencies]\nvault-kms-local.workspace = true\n",
            "[dependencies.vault-kms-local]\nworkspace = true\n",
            "[target.'cfg(unix)'.dependencies]\nvault-kms-local = { workspace = true }\n",
            "[build-dependencies]\nlocal = { package = \"vault-kms-local\", version = \"1\" }\n",
        ] {
            assert_eq!(findings("vault-envelope", manifest).len(), 1, "{manifest}");
        }
    }

    #[test]
    fn the_core_depends_on_nobody_and_the_program_only_on_the_facade() {
        assert_eq!(findings(CORE, "[dependencies]\nvault-envelope = \"1\"\n").len(), 1);
        assert_eq!(findings(PROGRAM, "[dependencies]\nvault-envelope = \"1\"\n").len(), 1);
        assert!(findings(PROGRAM, "[dependencies]\nvaultkit.workspace = true\n").is_empty());
    }

    #[test]
    fn the_test_kit_is_for_tests() {
        assert_eq!(findings(FACADE, "[dependencies]\nvault-testkit = \"1\"\n").len(), 1);
        assert!(findings(FACADE, "[dev-dependencies]\nvault-testkit = \"1\"\n").is_empty());
    }

    #[test]
    fn a_connection_serves_only_the_crates_that_talk_to_vault() {
        let manifest = "[dependencies]\nvault-connection.workspace = true\n";
        assert!(findings("vault-secrets", manifest).is_empty());
        assert_eq!(findings("vault-kms-aws", manifest).len(), 1);
    }

    #[test]
    fn crates_of_others_are_no_edges() {
        assert!(findings(CONNECTION, "[dependencies]\nvaultrs.workspace = true\n").is_empty());
    }
}
