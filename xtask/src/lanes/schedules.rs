//! The cache's concurrent core under shuttle, in a workspace of its own: `schedules/`.

use crate::shell::{self, Outcome};

/// Runs every property in many orders of its threads' steps; `VAULTKIT_SCHEDULES` says in how many.
pub(super) fn run() -> Outcome {
    shell::cargo()
        .args(["run", "--release", "--manifest-path", "schedules/Cargo.toml"])
        .env("CARGO_TARGET_DIR", shell::target().join("schedules"))
        // That it takes all orderings for the strongest one is said in schedules/src/main.rs.
        .env("SHUTTLE_SILENCE_WARNINGS", "1")
        .run()
}
