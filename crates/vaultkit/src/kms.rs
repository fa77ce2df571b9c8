//! Key management services: one module per service, and the URIs that name their keys.
//!
//! The services themselves are the crates'; here a URI becomes one of them.

#[cfg(feature = "aws")]
pub use vault_kms_aws as aws;
#[cfg(feature = "azure")]
pub use vault_kms_azure as azure;
#[cfg(feature = "gcp")]
pub use vault_kms_gcp as gcp;
#[cfg(feature = "hashicorp")]
pub use vault_kms_hashicorp as hashicorp;
#[cfg(feature = "local")]
pub use vault_kms_local as local;

#[cfg(feature = "hashicorp")]
pub use vault_connection as connection;

mod connected;
mod options;
mod remote;
mod service;
mod uri;

pub use connected::Connected;
#[cfg(feature = "config")]
pub(crate) use options::duration;
pub use service::Service;
pub use uri::{KmsUri, RemoteUri};

use std::borrow::Cow;
use std::ffi::OsStr;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

/// Opens the existing service that a URI such as `local:/srv/keys#orders` or `aws-kms://ARN` names.
///
/// The embedded KMS is opened with the master secret in its folder; to give it another way, build a
/// [`LocalKmsConfig`](local::LocalKmsConfig). A service across the network is asked nothing yet; its calls
/// are limited in time and repeated where that is harmless, and they need a tokio runtime.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for what is no such URI, [`ErrorKind::Unsupported`] for a service that
/// this build does not have, or the service's error.
pub async fn connect(uri: impl AsRef<OsStr>) -> Result<Connected> {
    connect_to(KmsUri::parse(uri.as_ref())?).await
}

/// As [`connect`], with the URI parsed already.
///
/// # Errors
/// As [`connect`], but for the syntax.
pub async fn connect_to(uri: KmsUri) -> Result<Connected> {
    match uri {
        #[cfg(feature = "local")]
        KmsUri::Local { folder, key } => {
            let kms = local::LocalKms::open(local::LocalKmsConfig::new(folder))?;
            Ok(Connected::local(kms, key))
        }
        #[cfg(not(feature = "local"))]
        KmsUri::Local { .. } => Err(not_built("local")),
        KmsUri::Remote(uri) => remote::connect(uri).await,
    }
}

#[cfg_attr(
    all(
        feature = "local",
        feature = "aws",
        feature = "hashicorp",
        feature = "azure",
        feature = "gcp"
    ),
    expect(dead_code, reason = "everything is built in")
)]
fn not_built(feature: &str) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, Operation::Configure).with_detail(format!(
        "this service is not in this build; turn on the feature `{feature}` of vaultkit"
    ))
}

fn invalid(detail: impl Into<Cow<'static, str>>) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}
