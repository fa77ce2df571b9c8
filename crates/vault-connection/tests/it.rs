//! What `vault-connection` promises, held to it from outside, over a real Vault.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod env;
    mod http_client;
    mod logins;
    mod redaction;
    mod redirects;
    mod server;
    mod support;
    mod tokens;
    mod upkeep;
    #[cfg(feature = "vaultrs")]
    mod vaultrs_bridge;
}
