//! What `vault-connection` promises, held to it from outside, over a real Vault.

mod it {
    mod env;
    mod logins;
    mod redaction;
    mod redirects;
    mod server;
    mod support;
    mod tokens;
    mod upkeep;
}
