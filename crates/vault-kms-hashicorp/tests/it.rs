//! What `vault-kms-hashicorp` promises, held to it from outside, over a real Vault.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod changes;
    mod cluster;
    mod conformance;
    mod interop;
    mod keys;
    mod logs;
    mod moving;
    mod outage;
    mod rotation;
    mod support;
    mod transport;
}
