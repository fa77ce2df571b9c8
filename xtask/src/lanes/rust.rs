//! The lanes that are one or a few calls of cargo.

use std::collections::BTreeSet;
use std::fs;

use super::manifest;
use crate::servers;
use crate::shell::{self, Outcome, Shell};

/// What a crate without more than these features brings at most, itself not counted.
const TREES: &[Brings] = &[
    Brings { package: "vault-crypto-core", features: "", limit: 24, cloud: false },
    Brings { package: "vault-envelope", features: "", limit: 60, cloud: false },
    Brings { package: "vaultkit", features: "local", limit: 66, cloud: false },
    Brings { package: "vault-kms-aws", features: "", limit: 165, cloud: true },
    Brings { package: "vault-kms-hashicorp", features: "", limit: 165, cloud: true },
    Brings { package: "vault-kms-azure", features: "", limit: 165, cloud: true },
    Brings { package: "vault-kms-gcp", features: "", limit: 205, cloud: true },
];

struct Brings {
    package: &'static str,
    features: &'static str,
    limit: usize,
    /// Asks a service across the network: with one TLS library, and without the core's ciphers.
    cloud: bool,
}

/// What nobody brings who asks no service.
const OFFLINE: &[&str] = &["tokio", "rustls", "hyper", "native-tls", "openssl-sys", "aws-lc-rs"];

/// What nobody brings who only asks a service.
const CIPHERS: &[&str] =
    &["aes-gcm", "chacha20poly1305", "argon2", "ring", "native-tls", "openssl-sys"];

/// The workspaces beside the main one, whose lints and tests are their own.
const BESIDE: &[&str] = &["fuzz/Cargo.toml", "bench/Cargo.toml", "schedules/Cargo.toml"];

pub(super) fn fmt() -> Outcome {
    shell::cargo().args(["fmt", "--all", "--check"]).run()?;
    BESIDE.iter().filter(|manifest| shell::root().join(manifest).is_file()).try_for_each(
        |manifest| shell::cargo().args(["fmt", "--check", "--manifest-path", manifest]).run(),
    )
}

pub(super) fn tests() -> Outcome {
    servers::install_beside(compile_tests)?;
    shell::cargo().args(TEST).args(["--no-fail-fast"]).run()?;
    servers::print_proofs()
}

pub(super) fn long() -> Outcome {
    servers::install_beside(compile_tests)?;
    shell::cargo().args(TEST).env("VAULTKIT_LONG_TESTS", "1").run()
}

const TEST: &[&str] = &["test", "--workspace", "--all-features"];

fn compile_tests() -> Outcome {
    shell::cargo().args(TEST).args(["--no-run"]).run()
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
    let workspace = fs::read_to_string(shell::root().join("Cargo.toml"))?;
    let version = manifest::rust_version(&workspace).ok_or("Cargo.toml states no rust-version")?;
    let (later, vaultkit): (Vec<_>, Vec<_>) = manifest::members()?
        .into_iter()
        .map(|(name, text)| (manifest::own_rust_version(&text), name, text))
        .filter(|(own, name, _)| own.is_some() || name == "vaultkit")
        .partition(|(own, ..)| own.is_some());
    let mut check = vec!["check", "--workspace", "--all-features", "--all-targets"];
    for (_, name, _) in later.iter().chain(&vaultkit) {
        check.extend(["--exclude", name]);
    }
    at_version(&version, &check)?;
    // The facade with all but what brings the later crates.
    for (_, name, text) in &vaultkit {
        let features = manifest::features(text);
        let early =
            features.iter().filter(|feature| !["default", "aws"].contains(&feature.as_str()));
        let early: Vec<&str> = early.map(String::as_str).collect();
        at_version(
            &version,
            &["check", "-p", name, "--no-default-features", "--features", &early.join(",")],
        )?;
    }
    for (own, name, _) in &later {
        at_version(own.as_deref().unwrap_or(&version), &["check", "-p", name, "--all-features"])?;
    }
    Ok(())
}

fn at_version(version: &str, command: &[&str]) -> Outcome {
    let run = |command: &[&str]| Shell::new("rustup").args(["run", version, "cargo"]).args(command);
    if !run(&["--version"]).succeeds() {
        return Err(format!("needs Rust {version}: rustup toolchain install {version}").into());
    }
    run(command).env("CARGO_TARGET_DIR", shell::target().join("msrv")).run()
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

/// Counts what crates bring when little is asked of them.
pub(super) fn tree() -> Outcome {
    for Brings { package, features, limit, cloud } in TREES {
        let printed = shell::cargo()
            .args(["tree", "-p", package, "--no-default-features", "--features", features])
            .args(["-e", "normal,build", "--prefix", "none", "--format", "{p}"])
            .output()?;
        let crates = crates_of_tree(&printed, package);
        let with = if features.is_empty() { "no feature" } else { features };
        println!("    {package} with {with}: {} crates of at most {limit}", crates.len());
        if crates.len() > *limit {
            return Err(format!("{package} brings more than {limit}: {crates:?}").into());
        }
        let banned = if *cloud { CIPHERS } else { OFFLINE };
        if let Some(name) = banned.iter().find(|name| crates.contains(**name)) {
            return Err(format!("{package} with {with} brings `{name}`").into());
        }
    }
    Ok(())
}

fn crates_of_tree(printed: &str, package: &str) -> BTreeSet<String> {
    printed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
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
        let crates = crates_of_tree(printed, "vault-crypto-core");
        assert_eq!(crates.len(), 2);
        assert!(crates.contains("syn") && crates.contains("zeroize"));
    }
}
