//! What `vault-kms-aws` promises, held to it from outside.
