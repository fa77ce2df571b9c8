//! Key management services: one module per service, and the URIs that name their keys.
//!
//! The services themselves are the crates'; here a URI becomes one of them.

#[cfg(feature = "local")]
pub use vault_kms_local as local;

mod uri;

pub use uri::KmsUri;

use std::sync::Arc;

use vault_crypto_core::{CryptoError, ErrorKind, KeyId, KmsProvider, Operation, Result};

/// A service and, where its URI named one, the key to seal under.
pub type Connected = (Arc<dyn KmsProvider>, Option<KeyId>);

/// Opens the existing service that a URI such as `local:/srv/keys#orders` names.
///
/// The embedded KMS is opened with the master secret in its folder; to give it another way, build a
/// [`LocalKmsConfig`](local::LocalKmsConfig).
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for what is no such URI, [`ErrorKind::Unsupported`] for a service that
/// this build does not have, or the service's error.
pub fn connect(uri: &str) -> Result<Connected> {
    match uri.parse()? {
        #[cfg(feature = "local")]
        KmsUri::Local { folder, key } => {
            let kms = local::LocalKms::open(local::LocalKmsConfig::new(folder))?;
            Ok((Arc::new(kms), key))
        }
        #[cfg(not(feature = "local"))]
        KmsUri::Local { .. } => Err(not_built(
            "the embedded KMS is not in this build; turn on the feature `local` of vaultkit",
        )),
    }
}

fn not_built(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, Operation::Configure).with_detail(detail.into())
}
