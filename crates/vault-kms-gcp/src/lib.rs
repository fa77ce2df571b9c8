#![doc = include_str!("../README.md")]

#[cfg(feature = "admin")]
mod admin;
mod binding;
mod client;
#[cfg(feature = "admin")]
pub mod cloud_kms;
mod config;
mod credentials;
mod crypt;
mod describe;
mod error;
mod login;
#[cfg(feature = "admin")]
mod manage;
mod names;
mod pages;
mod provider;
mod proxy;
mod transport;

pub use config::GcpKmsConfig;
pub use credentials::GcpCredentials;
pub use provider::GcpKmsProvider;

/// The crates whose types are taken from the caller, in the versions that this crate uses.
pub mod sdk {
    pub use gcloud_sdk;
    pub use google_cloud_auth;
    pub use tonic;
}
