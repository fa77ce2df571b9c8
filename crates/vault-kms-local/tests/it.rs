//! The embedded KMS from outside: its operations, its files, and what happens to them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod backup;
    mod conformance;
    mod corruption;
    mod files;
    mod kill;
    mod layout;
    mod life;
    mod master;
    mod race;
    mod secrets;
    mod support;
    mod wrapping;
}
