//! What `vault-connection` promises, held to it from outside, over a real Vault.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod dropped;
    mod env;
    mod http_client;
    mod logins;
    mod namespaces;
    mod redaction;
    mod redirects;
    mod refusals;
    mod server;
    mod support;
    mod tokens;
    mod upkeep;
    #[cfg(feature = "vaultrs")]
    mod vaultrs_bridge;
}
