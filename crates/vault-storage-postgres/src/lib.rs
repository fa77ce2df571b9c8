#![doc = include_str!("../README.md")]

mod client;
mod config;
mod error;
mod sql;
mod storage;

pub use config::PostgresStorageConfig;
pub use storage::PostgresStorage;
/// The driver, whose `Config` and TLS connectors this crate takes.
pub use tokio_postgres;
