//! The match from a URI to the provider of its service.

use vault_crypto_core::Result;

use super::{Connected, RemoteUri};
#[cfg(any(feature = "aws", feature = "hashicorp", feature = "azure", feature = "gcp"))]
use super::Service;

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcp")]
mod gcp;
#[cfg(feature = "hashicorp")]
mod hashicorp;

#[cfg_attr(
    not(any(feature = "aws", feature = "hashicorp", feature = "azure", feature = "gcp")),
    expect(clippy::unused_async, reason = "only the services wait")
)]
pub(super) async fn connect(uri: RemoteUri) -> Result<Connected> {
    match uri.service {
        #[cfg(feature = "aws")]
        Service::Aws => aws::connect(uri).await,
        #[cfg(feature = "hashicorp")]
        Service::HashiCorp => hashicorp::connect(uri).await,
        #[cfg(feature = "azure")]
        Service::Azure => azure::connect(uri).await,
        #[cfg(feature = "gcp")]
        Service::Gcp => gcp::connect(uri).await,
        #[cfg(not(all(
            feature = "aws",
            feature = "hashicorp",
            feature = "azure",
            feature = "gcp"
        )))]
        service => Err(super::not_built(service.feature())),
    }
}
