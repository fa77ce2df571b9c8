//! What `vault-kms-gcp` promises, held to it from outside.
