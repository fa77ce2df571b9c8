//! The store in a file from outside: its contract, its file, and processes that share or die.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod conformance;
    mod files;
    mod processes;
}
