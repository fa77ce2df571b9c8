#![doc = include_str!("../README.md")]

mod admin;
mod backup;
mod client;
mod codec;
mod config;
mod container;
mod cost;
mod disk;
mod error;
mod files;
mod generation;
mod id;
mod master;
mod memory;
mod provider;
mod record;
mod sealed;

pub use backup::RestoreOptions;
pub use client::{Created, LocalKms};
pub use config::LocalKmsConfig;
pub use master::MasterSource;

/// Entry points of the fuzz targets; no part of the interface.
#[doc(hidden)]
pub mod fuzz {
    use vault_crypto_core::locked::LockedPool;

    use crate::container::{self, Form};
    use crate::memory::Material;
    use crate::record;

    /// Takes a key file apart without opening it.
    #[must_use]
    pub fn parse_key_file(bytes: &[u8]) -> bool {
        container::parse(Form::KeyFile, bytes).is_ok()
    }

    /// Decodes a body; what it accepts, encodes to the same bytes.
    #[must_use]
    pub fn decode_body(bytes: &[u8]) -> Option<bool> {
        let pool = LockedPool::process();
        let keys = record::decode(bytes, |material| Material::keep(&pool, material).ok())?;
        Some(record::encode(&keys).is_some_and(|again| again.as_slice() == bytes))
    }
}
