//! What `vault-kms-azure` promises, held to it from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod conformance;
    mod environment;
    mod faults;
    mod hsm;
    mod keys;
    mod logins;
    mod logs;
    mod raw;
    mod recorded;
    mod secrets;
    mod support;
    mod transport;
    mod witness;
}
