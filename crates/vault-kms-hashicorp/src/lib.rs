#![doc = include_str!("../README.md")]

#[cfg(feature = "admin")]
mod admin;
mod binding;
mod ciphertext;
mod client;
mod config;
mod describe;
mod error;
mod fitness;
mod key;
mod names;
mod provider;

pub use config::{ScopeBinding, VaultKmsConfig};
pub use provider::VaultKmsProvider;
pub use vault_connection::{
    Jwt, SecretId, VaultConnection, VaultConnectionConfig, VaultCredentials, VaultMount,
};
