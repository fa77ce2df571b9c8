#![doc = include_str!("../README.md")]

mod binding;
mod calls;
mod client;
mod config;
mod credentials;
mod describe;
mod error;
mod limit;
mod login;
mod names;
mod provider;
mod renewal;

#[cfg(feature = "admin")]
mod admin;

pub use config::AwsKmsConfig;
pub use credentials::{AssumeRole, AwsCredentials};
pub use provider::AwsKmsProvider;

/// The SDK whose client [`AwsKmsProvider::with_client`] takes.
pub use aws_sdk_kms;
