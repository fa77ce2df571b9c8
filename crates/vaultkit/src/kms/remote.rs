//! The match from a URI to the provider of its service.

use vault_crypto_core::Result;

#[cfg(any(feature = "aws", feature = "hashicorp", feature = "azure", feature = "gcp"))]
use super::Service;
use super::{Connected, RemoteUri};

/// What a provider tells about itself, through the one trait that the facade has for it.
#[cfg(any(feature = "aws", feature = "hashicorp", feature = "azure", feature = "gcp"))]
macro_rules! about {
    ($provider:ty) => {
        #[async_trait::async_trait]
        impl crate::kms::connected::About for $provider {
            async fn who_am_i(&self) -> vault_crypto_core::Result<Option<String>> {
                <$provider>::who_am_i(self).await.map(Some)
            }

            async fn server_time(
                &self,
            ) -> vault_crypto_core::Result<Option<std::time::SystemTime>> {
                <$provider>::server_time(self).await
            }
        }
    };
}

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
