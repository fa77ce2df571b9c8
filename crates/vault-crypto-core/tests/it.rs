//! The primitives against published vectors, against each other and against bad input. One binary;
//! each module is the proof of one module of the library.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, where a panic is the report"
)]

#[path = "it/aead.rs"]
#[cfg(feature = "aead")]
mod aead;
#[path = "it/cbc_hmac.rs"]
#[cfg(feature = "cbc-hmac")]
mod cbc_hmac;
#[path = "it/engine.rs"]
#[cfg(feature = "engine")]
mod engine;
#[path = "it/header.rs"]
mod header;
#[path = "it/header_derivations.rs"]
#[cfg(feature = "header-mac")]
mod header_derivations;
#[path = "it/kdf.rs"]
#[cfg(all(feature = "kdf", feature = "hazmat"))]
mod kdf;
#[path = "it/locked.rs"]
#[cfg(feature = "locked")]
mod locked;
#[path = "it/mac.rs"]
#[cfg(feature = "kdf")]
mod mac;
#[path = "it/manager.rs"]
#[cfg(feature = "manager")]
mod manager;
#[path = "it/password.rs"]
#[cfg(feature = "kdf")]
mod password;
#[path = "it/rsa.rs"]
#[cfg(feature = "rsa")]
mod rsa;
#[path = "it/stack.rs"]
mod stack;
#[path = "it/xaes.rs"]
#[cfg(feature = "xaes")]
mod xaes;
