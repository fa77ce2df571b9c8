#![doc = include_str!("../README.md")]

#[cfg(feature = "admin")]
mod admin;
mod binding;
mod client;
mod config;
mod credentials;
mod describe;
mod error;
mod names;
mod operate;
mod provider;
mod rotation;

pub use config::{AzureCloud, AzureKmsConfig, danger};
pub use credentials::AzureCredentials;
pub use provider::AzureKmsProvider;
