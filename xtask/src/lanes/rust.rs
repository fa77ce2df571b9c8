//! The lanes that are one or a few calls of cargo.

use std::collections::BTreeSet;
use std::fs;

use super::manifest;
use crate::servers;
use crate::shell::{self, Outcome, Shell};

/// The most crates that the core without features may bring, itself not counted.
const CORE_TREE_LIMIT: usize = 24;

/// The workspaces beside the main one, whose lints and tests are their own.
const BESIDE: &[&str] = &["fuzz/Cargo.toml", "bench/Cargo.toml", "schedules/Cargo.toml"];

pub(super) fn fmt() -> Outcome {
    shell::cargo().args(["fmt", "--all", "--check"]).run()?;
    BESIDE.iter().filter(|manifest| shell::root().join(manifest).is_file()).try_for_each(
        |manifest| shell::cargo().args(["fmt", "--check", "--manifest-path", manifest]).run(),
    )
}

pub(super) fn tests() -> Outcome {
    servers::prepare()?;
    shell::cargo().args(["test", "--workspace", "--all-features", "--no-fail-fast"]).run()
}

pub(super) fn long() -> Outcome {
    servers::prepare()?;
    shell::cargo()
        .args(["test", "--workspace", "--all-features"])
        .env("VAULTKIT_LONG_TESTS", "1")
        .run()
}

pub(super) fn clippy() -> Outcome {
    shell::cargo()
        .args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
        .run()
}

pub(super) fn docs() -> Outcome {
    shell::cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

pub(super) fn msrv() -> Outcome {
    let version = manifest::rust_version(&fs::read_to_string(shell::root().join("Cargo.toml"))?)
        .ok_or("Cargo.toml states no rust-version")?;
    let run = |command: &[&str]| Shell::new("rustup").args(["run", &version]).args(command);
    if !run(&["cargo", "--version"]).succeeds() {
        return Err(format!("needs Rust {version}: rustup toolchain install {version}").into());
    }
    run(&["cargo", "check", "--workspace", "--all-features", "--all-targets"])
        .env("CARGO_TARGET_DIR", shell::target().join("msrv"))
        .run()
}

/// Lints every published crate without features and with each feature alone: it compiles, and
/// nothing in it is there for another feature only.
pub(super) fn features() -> Outcome {
    for (name, text) in manifest::members()? {
        let features = manifest::features(&text);
        let alone = features.iter().filter(|feature| *feature != "default").map(String::as_str);
        for feature in std::iter::once("").chain(alone) {
            shell::cargo()
                .args(["clippy", "--quiet", "--no-default-features", "-p", &name])
                .args(["--features", feature, "--", "-D", "warnings"])
                .run()?;
        }
    }
    Ok(())
}

/// Counts what the core brings when nothing is asked of it.
pub(super) fn tree() -> Outcome {
    let printed = shell::cargo()
        .args(["tree", "-p", "vault-crypto-core", "--no-default-features"])
        .args(["-e", "normal,build", "--prefix", "none", "--format", "{p}"])
        .output()?;
    let crates = crates_of_tree(&printed);
    println!("    vault-crypto-core without features brings {} crates", crates.len());
    if crates.len() > CORE_TREE_LIMIT {
        return Err(format!("more than {CORE_TREE_LIMIT}: {crates:?}").into());
    }
    let banned = ["tokio", "rustls", "native-tls", "openssl", "openssl-sys", "ring", "aws-lc-rs"];
    match banned.iter().find(|name| crates.contains(**name)) {
        Some(name) => Err(format!("the bare core brings `{name}`").into()),
        None => Ok(()),
    }
}

fn crates_of_tree(printed: &str) -> BTreeSet<String> {
    printed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "vault-crypto-core")
        .map(str::to_owned)
        .collect()
}

/// Packs every published crate and builds it from its package, so that nothing in it leans on the
/// checkout. Nothing is uploaded.
pub(super) fn package() -> Outcome {
    shell::cargo().args(["package", "--workspace", "--exclude", "xtask", "--allow-dirty"]).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_named_twice_in_the_tree_counts_once_and_the_core_not_at_all() {
        let printed = "vault-crypto-core v0.1.0 (/x)\nzeroize v1.9.1\nsyn v2.0.1\nsyn v2.0.1 (*)\n";
        let crates = crates_of_tree(printed);
        assert_eq!(crates.len(), 2);
        assert!(crates.contains("syn") && crates.contains("zeroize"));
    }
}
