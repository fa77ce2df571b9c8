#![doc = include_str!("../README.md")]

pub mod kms;

pub use vault_crypto_core as core;
pub use vault_envelope as envelope;
