//! What `vault-kms-azure` promises, held to it from outside.
