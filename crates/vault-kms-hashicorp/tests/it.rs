//! What `vault-kms-hashicorp` promises, held to it from outside.
