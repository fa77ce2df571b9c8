//! A vault of the test kit and a provider for it.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{
    DataKey, KeyConfig, KeyId, KmsAdmin, KmsProvider, Scope, SecureString, WrapContext,
};
use vault_kms_azure::{AzureCloud, AzureCredentials, AzureKmsConfig, AzureKmsProvider};
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::proxy::{FaultProxy, Upstream};

/// A vault and a provider that logs in to it with a client secret.
pub(super) struct World {
    pub(super) fake: FakeKeyVault,
    pub(super) kms: AzureKmsProvider,
}

impl World {
    pub(super) async fn new() -> Self {
        let fake = FakeKeyVault::start();
        let kms = AzureKmsProvider::connect(config(&fake)).await.unwrap();
        Self { fake, kms }
    }

    pub(super) async fn key(&self, name: &str) -> KeyId {
        self.kms.create_key(KeyConfig::new(name)).await.unwrap().key_id
    }

    pub(super) async fn data_key(&self, key: &KeyId) -> DataKey {
        self.kms.generate_data_key(key, &context()).await.unwrap()
    }

    /// What the vault was asked since the last time, as `METHOD path status`.
    pub(super) fn asked(&self) -> Vec<String> {
        let calls = self.fake.calls();
        self.fake.forget_calls();
        calls.iter().map(|call| format!("{} {} {}", call.method, call.path, call.status)).collect()
    }
}

/// A proxy before the vault, and a provider that goes through it.
pub(super) struct Through {
    pub(super) fake: FakeKeyVault,
    pub(super) proxy: FaultProxy,
    pub(super) kms: AzureKmsProvider,
}

impl Through {
    pub(super) async fn new(change: impl FnOnce(AzureKmsConfig) -> AzureKmsConfig) -> Self {
        let fake = FakeKeyVault::start();
        let proxy = proxy(&fake);
        let config = config(&fake).with_resolved(fake.host(), proxy.addr());
        let kms = AzureKmsProvider::connect(change(config)).await.unwrap();
        Self { fake, proxy, kms }
    }

    pub(super) async fn key(&self, name: &str) -> KeyId {
        self.kms.create_key(KeyConfig::new(name)).await.unwrap().key_id
    }
}

/// A proxy before all that `fake` serves, with certificates of its names.
pub(super) fn proxy(fake: &FakeKeyVault) -> FaultProxy {
    let upstream = Upstream::https(fake.addr(), &fake.host(), &fake.ca_pem()).unwrap();
    let names = [fake.host(), "login.microsoftonline.com".to_owned()];
    FaultProxy::start_tls(upstream, fake.ca(), &names.each_ref().map(String::as_str)).unwrap()
}

pub(super) fn config(fake: &FakeKeyVault) -> AzureKmsConfig {
    config_with(fake, secret(fake))
}

pub(super) fn config_with(fake: &FakeKeyVault, credentials: AzureCredentials) -> AzureKmsConfig {
    AzureKmsConfig::new(fake.url(), credentials)
        .with_cloud(AzureCloud::Custom { authority: fake.authority() })
        .with_tls_roots(fake.ca_pem())
        .with_resolved(fake.host(), fake.addr())
        .with_call_timeout(Duration::from_secs(20))
}

pub(super) fn secret(fake: &FakeKeyVault) -> AzureCredentials {
    AzureCredentials::ClientSecret {
        tenant_id: fake.tenant().to_owned(),
        client_id: fake.client_id().to_owned(),
        client_secret: SecureString::new(fake.client_secret()),
    }
}

pub(super) fn scope() -> Scope {
    Scope::new([("tenant", "acme")]).unwrap()
}

pub(super) fn context() -> WrapContext {
    WrapContext::data_key(scope())
}

pub(super) fn shared(kms: &AzureKmsProvider) -> Arc<AzureKmsProvider> {
    Arc::new(kms.clone())
}
