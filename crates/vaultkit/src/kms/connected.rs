//! A service at hand: to use its keys, to manage them, and to ask it about itself.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
#[cfg(feature = "admin")]
use vault_crypto_core::KmsAdmin;
use vault_crypto_core::{KeyId, KmsProvider, Result};

/// A service and, where its URI named one, the key to seal under.
#[derive(Clone)]
pub struct Connected {
    kms: Arc<dyn KmsProvider>,
    #[cfg(feature = "admin")]
    admin: Arc<dyn KmsAdmin>,
    key: Option<KeyId>,
    about: Arc<dyn About>,
}

/// What only the services' own types tell.
#[async_trait]
pub(super) trait About: Send + Sync {
    async fn who_am_i(&self) -> Result<Option<String>>;
    async fn server_time(&self) -> Result<Option<SystemTime>>;
}

impl Connected {
    /// The service, for those who seal and open.
    #[must_use]
    pub fn kms(&self) -> Arc<dyn KmsProvider> {
        Arc::clone(&self.kms)
    }

    /// The service, for those who manage its keys.
    #[cfg(feature = "admin")]
    #[must_use]
    pub fn admin(&self) -> Arc<dyn KmsAdmin> {
        Arc::clone(&self.admin)
    }

    /// The key that was named.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// As whom the service knows this process; `None` where there is nobody else.
    ///
    /// # Errors
    /// What the service says.
    pub async fn who_am_i(&self) -> Result<Option<String>> {
        self.about.who_am_i().await
    }

    /// What time it is at the service; `None` where it does not tell.
    ///
    /// # Errors
    /// What the service says.
    pub async fn server_time(&self) -> Result<Option<SystemTime>> {
        self.about.server_time().await
    }

    #[cfg(feature = "local")]
    pub(super) fn local(kms: super::local::LocalKms, key: Option<KeyId>) -> Self {
        let kms = Arc::new(kms);
        Self {
            kms: kms.clone(),
            #[cfg(feature = "admin")]
            admin: kms,
            key,
            about: Arc::new(Nobody),
        }
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.kms.provider_type();
        f.debug_struct("Connected").field("provider", &provider).field("key", &self.key).finish()
    }
}

/// The embedded KMS is this process.
#[cfg(feature = "local")]
struct Nobody;

#[cfg(feature = "local")]
#[async_trait]
impl About for Nobody {
    async fn who_am_i(&self) -> Result<Option<String>> {
        Ok(None)
    }

    async fn server_time(&self) -> Result<Option<SystemTime>> {
        Ok(None)
    }
}

/// Puts the layers around a provider that every service across the network has: it is asked again after
/// what may pass. The limit of time is the provider's own.
#[cfg(any(feature = "aws", feature = "hashicorp", feature = "azure", feature = "gcp"))]
pub(super) mod remote {
    use vault_crypto_core::layers::{LayeredKms, RetryLayer};
    use vault_crypto_core::{SystemClock, SystemRandom};

    #[cfg(feature = "admin")]
    use super::KmsAdmin;
    #[cfg(not(feature = "admin"))]
    use super::KmsProvider;
    use super::{About, Arc, Connected, KeyId};

    #[cfg(feature = "admin")]
    pub(in super::super) trait Provider: KmsAdmin + About + 'static {}
    #[cfg(feature = "admin")]
    impl<P: KmsAdmin + About + 'static> Provider for P {}
    #[cfg(not(feature = "admin"))]
    pub(in super::super) trait Provider: KmsProvider + About + 'static {}
    #[cfg(not(feature = "admin"))]
    impl<P: KmsProvider + About + 'static> Provider for P {}

    impl Connected {
        pub(in super::super) fn remote<P: Provider>(provider: P, key: Option<KeyId>) -> Self {
            let provider = Arc::new(provider);
            let retry =
                RetryLayer::new(Arc::new(SystemClock::new()), Arc::new(SystemRandom::new()));
            #[cfg(feature = "admin")]
            {
                let admin: Arc<dyn KmsAdmin> = provider.clone();
                let admin = LayeredKms::new(admin).with_retry(retry).build();
                Self { kms: admin.clone(), admin, key, about: provider }
            }
            #[cfg(not(feature = "admin"))]
            {
                let kms: Arc<dyn KmsProvider> = provider.clone();
                let kms = LayeredKms::new(kms).with_retry(retry).build();
                Self { kms, key, about: provider }
            }
        }
    }
}
