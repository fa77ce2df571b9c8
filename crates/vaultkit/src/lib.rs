#![doc = include_str!("../README.md")]

#[cfg(feature = "config")]
pub mod config;
pub mod kms;
pub mod storage;

pub use vault_crypto_core as core;
pub use vault_envelope as envelope;
