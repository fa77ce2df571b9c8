//! The one module that holds keys by `unsafe`, under AddressSanitizer and under valgrind.
//!
//! Both run the tests of `vault_crypto_core::locked`: its unit tests, `tests/it/locked.rs` and the
//! binary `tests/memory.rs`. Children that a test starts run without valgrind.

use crate::shell::{self, Outcome, Shell};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Cargo's name for the program that runs what was built for it.
const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";
/// The pool, and the keys that may lie in it.
const FEATURES: &str = "locked,xaes,header-mac";
/// What to test, and the part of a name that its tests of the pool have.
const TESTS: [(&[&str], &str); 2] =
    [(&["--lib", "--test", "it"], "locked::"), (&["--test", "memory"], "")];

pub(super) fn asan() -> Outcome {
    let nightly = || Shell::new("rustup").args(["run", "nightly", "cargo"]);
    if !nightly().args(["--version"]).succeeds() {
        return Err("needs a nightly Rust: rustup toolchain install nightly".into());
    }
    for (binaries, name) in TESTS {
        test(nightly(), binaries, name)
            .env("RUSTFLAGS", "-Zsanitizer=address")
            // The guards' tests want the signal, not the sanitizer's report of it.
            .env("ASAN_OPTIONS", "handle_segv=0")
            .env("CARGO_TARGET_DIR", shell::target().join("asan"))
            .run()?;
    }
    Ok(())
}

pub(super) fn valgrind() -> Outcome {
    if !Shell::new("valgrind").args(["--version"]).succeeds() {
        return Err("needs valgrind in the PATH: install your system's package `valgrind`".into());
    }
    for (binaries, name) in TESTS {
        test(shell::cargo(), binaries, name)
            .env(RUNNER, "valgrind --quiet --error-exitcode=99 --fair-sched=yes")
            .env("CARGO_TARGET_DIR", shell::target().join("valgrind"))
            .run()?;
    }
    Ok(())
}

fn test(cargo: Shell, binaries: &[&str], name: &str) -> Shell {
    cargo
        .args(["test", "-p", "vault-crypto-core", "--features", FEATURES, "--target", TARGET])
        .args(binaries)
        .args(["--", name])
}
