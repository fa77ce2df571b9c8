#![doc = include_str!("../README.md")]

mod address;
mod answer;
mod attempt;
mod buffer;
mod config;
mod connection;
mod credentials;
mod date;
mod env;
mod failure;
mod lease;
mod login;
mod namespace;
mod refusal;
mod server;
mod session;
mod token;
mod transport;
mod upkeep;
#[cfg(feature = "vaultrs")]
mod vaultrs_bridge;

pub use address::VaultMount;
pub use answer::{VaultAnswer, VaultLease};
pub use config::VaultConnectionConfig;
pub use connection::VaultConnection;
pub use credentials::{Jwt, SecretId, VaultCredentials};
pub use failure::{VaultFailure, VaultFailureKind};
pub use server::{VaultHealth, VaultProduct};
#[cfg(feature = "vaultrs")]
pub use vaultrs_bridge::VaultrsClient;
