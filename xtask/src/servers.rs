//! Real servers for tests: builds the test kit's launcher and hands the command line on to it.
//!
//! What servers there are, and how each is installed, started and stopped, is left to the test kit, which
//! the tests themselves call.

use crate::shell::{self, Outcome, Shell};

/// Runs the launcher with the arguments as they are.
pub(crate) fn run(args: &[String]) -> Outcome {
    shell::cargo()
        .args(["run", "--quiet", "-p", "vault-testkit", "--features", "servers"])
        .args(["--example", "servers", "--"])
        .args(args)
        .run()
}

/// Installs the servers that the tests need and this machine lacks. Built as the tests are built, so that
/// they find it done.
pub(crate) fn prepare() -> Outcome {
    shell::cargo()
        .args(["build", "--workspace", "--all-features", "--example", "servers"])
        .run()?;
    Shell::new(shell::target().join("debug/examples/servers")).args(["prepare"]).run()
}
