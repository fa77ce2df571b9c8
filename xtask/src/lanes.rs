//! The table of lanes, and the benchmark command. Each family of lanes has its own file.

mod deny;
mod fuzz;
mod manifest;
mod memory;
mod rust;
mod schedules;
mod stranger;
mod tools;

use crate::lane::{Lane, When};
use crate::shell::{self, Outcome};
use crate::tidy;

/// Every lane there is, in the order in which they run: cheap ones first.
pub(crate) const ALL: &[Lane] = &[
    lane("fmt", When::Test, "the code is formatted", rust::fmt),
    lane("tidy", When::Test, "the rules of the house hold", tidy::run),
    lane("tests", When::Test, "all tests and examples pass, with every feature", rust::tests),
    lane("stranger", When::Test, "a reader written from the format alone agrees", stranger::run),
    lane("clippy", When::Ci, "no lint fires, the promised Rust version included", rust::clippy),
    lane("docs", When::Ci, "the documentation builds without a warning", rust::docs),
    lane("features", When::Ci, "every feature compiles alone, without a warning", rust::features),
    lane(
        "tree",
        When::Ci,
        "crates bring little: the core no tokio and TLS, a cloud one TLS and no cipher",
        rust::tree,
    ),
    lane("package", When::Ci, "every published crate builds from its package", rust::package),
    lane("deny", When::Ci, "licences, bans, sources, known advisories (snapshot)", deny::snapshot),
    lane("fuzz", When::Ci, "every parser survives a bounded time of fuzzing", fuzz::run),
    lane("asan", When::Ci, "the pool of keys under AddressSanitizer (needs nightly)", memory::asan),
    lane("valgrind", When::Ci, "the pool of keys under valgrind", memory::valgrind),
    lane(
        "shuttle",
        When::Ci,
        "the cache's concurrent core holds in thousands of orders of its steps",
        schedules::run,
    ),
    lane("long", When::Ci, "the tests at full length", rust::long),
    lane(
        "msrv",
        When::Named,
        "the promised Rust version builds it (needs that toolchain)",
        rust::msrv,
    ),
    lane("advisories", When::Named, "known advisories of today (needs the network)", deny::live),
];

const fn lane(name: &'static str, when: When, proves: &'static str, run: fn() -> Outcome) -> Lane {
    Lane { name, proves, when, run }
}

/// The lanes of `cargo xtask test`.
pub(crate) fn of_test() -> Vec<Lane> {
    ALL.iter().filter(|lane| lane.when == When::Test).copied().collect()
}

/// The lanes of `cargo xtask ci`.
pub(crate) fn of_ci() -> Vec<Lane> {
    ALL.iter().filter(|lane| lane.when != When::Named).copied().collect()
}

/// The lane called `name`.
pub(crate) fn named(name: &str) -> Outcome<Lane> {
    ALL.iter().find(|lane| lane.name == name).copied().ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|lane| lane.name).collect();
        format!("no lane named `{name}`; there are: {}", names.join(", ")).into()
    })
}

/// Runs the benchmark program.
pub(crate) fn bench(args: &[String]) -> Outcome {
    let args = args.strip_prefix(&["--".to_owned()]).unwrap_or(args);
    // The SDKs of all services build for minutes: only who measures them has them.
    let services = args.iter().any(|arg| arg == "kms");
    let features: &[&str] = if services { &["--features", "kms"] } else { &[] };
    shell::cargo()
        .args(["run", "--release", "--manifest-path", "bench/Cargo.toml"])
        .args(features)
        .args(["--"])
        .args(args)
        .env("CARGO_TARGET_DIR", shell::target().join("bench"))
        .run()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn lane_names_are_unique_and_found() {
        for lane in ALL {
            assert_eq!(ALL.iter().filter(|other| other.name == lane.name).count(), 1);
            assert_eq!(named(lane.name).unwrap().proves, lane.proves);
        }
        assert!(named("nothing").is_err());
    }

    #[test]
    fn ci_holds_every_lane_of_test() {
        let ci: Vec<&str> = of_ci().iter().map(|lane| lane.name).collect();
        assert!(of_test().iter().all(|lane| ci.contains(&lane.name)));
        assert!(!ci.contains(&"advisories"));
    }

    #[test]
    fn a_workflow_runs_every_lane() {
        let read = |name| fs::read_to_string(shell::root().join(".github/workflows").join(name));
        let ci = read("ci.yml").unwrap();
        let scheduled = read("scheduled.yml").unwrap();
        for lane in ALL {
            let listed = format!("          - {}\n", lane.name);
            let called = format!("run: cargo xtask ci {}\n", lane.name);
            assert!(
                ci.contains(&listed) || ci.contains(&called) || scheduled.contains(&called),
                "no workflow runs the lane `{}`",
                lane.name
            );
        }
    }
}
