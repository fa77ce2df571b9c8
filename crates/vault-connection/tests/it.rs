//! What `vault-connection` promises, held to it from outside.
