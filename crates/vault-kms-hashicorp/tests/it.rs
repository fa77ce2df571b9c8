//! What `vault-kms-hashicorp` promises, held to it from outside.

mod it {
    mod conformance;
    mod support;
    mod transport;
}
