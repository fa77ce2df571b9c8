//! What `vault-kms-azure` promises, held to it from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod conformance;
    mod faults;
    mod keys;
    mod logins;
    mod recorded;
    mod secrets;
    mod support;
    mod transport;
}
