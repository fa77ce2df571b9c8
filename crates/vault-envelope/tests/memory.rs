//! Own binary: it forks, and it is stopped and read like a core dump.
//!
//! What a process that seals and opens leaves in memory, and what its children find there.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests, where a panic is the report"
)]

mod memory {
    mod dump;
    mod forks;
    mod needles;
    mod recorder;
    mod worker;
}
