//! Runs every target under `fuzz/` for a bounded time.
//!
//! `RUSTC_BOOTSTRAP=1` lets the stable compiler take the coverage flags; no sanitizer, because the
//! parsers are free of `unsafe` and the round-trip assertions are what is looked for.

use std::fs;

use super::tools::Tool;
use crate::shell::{self, Outcome};

const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

pub(super) fn run() -> Outcome {
    let seconds = match std::env::var("VAULTKIT_FUZZ_SECONDS") {
        Ok(text) => text.parse::<u32>().map_err(|_| "VAULTKIT_FUZZ_SECONDS is not a number")?,
        Err(_) => 20,
    };
    let targets = targets()?;
    if targets.is_empty() {
        return Err("fuzz/fuzz_targets holds no target".into());
    }
    for target in targets {
        CARGO_FUZZ
            .ready()?
            .args(["fuzz", "run", &target, "-s", "none", "--"])
            .args([format!("-max_total_time={seconds}")])
            .folder(&shell::root().join("fuzz"))
            .env("RUSTC_BOOTSTRAP", "1")
            .run()?;
    }
    Ok(())
}

fn targets() -> Outcome<Vec<String>> {
    let folder = shell::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder)
        .map_err(|error| format!("cannot list {}: {error}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "rs") {
            targets.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}
