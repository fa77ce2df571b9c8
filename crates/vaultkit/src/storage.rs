//! Stores for branch keys: in memory, and behind features in a file or in PostgreSQL.
//!
//! Left to the crates behind them: everything.

pub use vault_crypto_core::storage::MemoryStorage;
#[cfg(feature = "postgres")]
pub use vault_storage_postgres as postgres;
#[cfg(feature = "redb")]
pub use vault_storage_redb as redb;
