//! What `vault-kms-azure` promises, held to it from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod answers;
    mod between;
    mod conformance;
    mod environment;
    mod faults;
    mod halfway;
    mod hsm;
    mod keys;
    mod logins;
    mod logs;
    mod raw;
    mod recorded;
    mod renewal;
    mod secrets;
    mod support;
    mod transport;
    mod witness;
}
