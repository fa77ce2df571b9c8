//! What `vault-kms-hashicorp` promises, held to it from outside, over a real Vault.

mod it {
    mod conformance;
    mod interop;
    mod keys;
    mod outage;
    mod rotation;
    mod support;
    mod transport;
}
