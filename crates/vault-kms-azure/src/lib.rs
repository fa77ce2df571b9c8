#![doc = include_str!("../README.md")]

#[cfg(feature = "admin")]
mod admin;
mod binding;
mod client;
mod config;
mod credentials;
mod describe;
mod error;
mod login;
mod names;
mod operate;
mod pages;
mod provider;
mod rotation;
mod transport;

pub use config::{AzureCloud, AzureKmsConfig, danger};
pub use credentials::AzureCredentials;
pub use provider::AzureKmsProvider;
