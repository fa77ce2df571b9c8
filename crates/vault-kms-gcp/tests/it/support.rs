//! What the tests share: a service with a ring and keys, tokens that can be told apart, short names.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vault_crypto_core::{ErrorKind, KeyConfig, KeyId, KmsAdmin, Result, Scope, WrapContext};
use vault_kms_gcp::cloud_kms::{CloudKmsClient, KmsConfig};
use vault_kms_gcp::sdk::google_cloud_auth::credentials::{
    CacheableResource, Credentials, CredentialsProvider, EntityTag,
};
use vault_kms_gcp::sdk::google_cloud_auth::errors::CredentialsError;
use vault_kms_gcp::{GcpCredentials, GcpKmsConfig, GcpKmsProvider};
use vault_testkit::fakes::google::FakeCloudKms;

pub(crate) const RING: &str = "projects/acme-prod/locations/europe-west3/keyRings/prod";
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A Cloud KMS with the ring `prod`, and a provider of it.
pub(crate) struct Service {
    pub(crate) fake: FakeCloudKms,
    pub(crate) kms: Arc<GcpKmsProvider>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(|config| config).await
    }

    pub(crate) async fn with(change: impl FnOnce(GcpKmsConfig) -> GcpKmsConfig) -> Self {
        let fake = FakeCloudKms::start();
        fake.require_request_params(true);
        let kms = Arc::new(GcpKmsProvider::connect(change(plain(&fake))).await.unwrap());
        client(&kms).create_key_ring("prod").await.unwrap();
        Self { fake, kms }
    }

    pub(crate) async fn key(&self, name: &str) -> KeyId {
        self.kms.create_key(KeyConfig::new(name)).await.unwrap().key_id
    }
}

/// Straight to the fake, as nobody.
pub(crate) fn plain(fake: &FakeCloudKms) -> GcpKmsConfig {
    at(&fake.endpoint())
}

pub(crate) fn at(endpoint: &str) -> GcpKmsConfig {
    GcpKmsConfig::new(RING).with_endpoint(endpoint).with_credentials(GcpCredentials::Anonymous)
}

pub(crate) fn client(kms: &Arc<GcpKmsProvider>) -> CloudKmsClient {
    CloudKmsClient::over(Arc::clone(kms), origin_config()).unwrap()
}

pub(crate) fn origin_config() -> KmsConfig {
    KmsConfig {
        project_id: "acme-prod".to_string(),
        location: "europe-west3".to_string(),
        credentials_path: None,
        timeout: Duration::from_secs(30),
        audit_logging: true,
    }
}

pub(crate) fn context() -> WrapContext {
    WrapContext::data_key(scope())
}

pub(crate) fn scope() -> Scope {
    Scope::new([("tenant", "acme"), ("table", "cards")]).unwrap()
}

/// The kind of a failure; fails the test on success.
pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("this must fail"),
        Err(error) => error.kind(),
    }
}

/// The sentence of a failure.
pub(crate) fn sentence<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("this must fail"),
        Err(error) => error.to_string(),
    }
}

/// A login whose token the test changes, or which fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens(Arc<Mutex<Token>>);

#[derive(Default)]
struct Token {
    tag: Option<EntityTag>,
    text: Option<String>,
    transient: bool,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Tokens {
    pub(crate) fn new(token: &str) -> Self {
        let tokens = Self::default();
        tokens.set(token);
        tokens
    }

    pub(crate) fn set(&self, token: &str) {
        let tag = Some(EntityTag::new());
        *self.lock() = Token { tag, text: Some(token.to_owned()), transient: false };
    }

    /// From now on there is no token.
    pub(crate) fn fail(&self, transient: bool) {
        *self.lock() = Token { tag: None, text: None, transient };
    }

    pub(crate) fn credentials(&self) -> GcpCredentials {
        GcpCredentials::Injected(Credentials::from(self.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Token> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialsProvider for Tokens {
    async fn headers(
        &self,
        _: http::Extensions,
    ) -> Result<CacheableResource<http::HeaderMap>, CredentialsError> {
        let token = self.lock();
        let (Some(tag), Some(text)) = (&token.tag, &token.text) else {
            return Err(CredentialsError::from_msg(token.transient, "body=<canary-of-the-login>"));
        };
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", format!("Bearer {text}").parse().unwrap());
        Ok(CacheableResource::New { entity_tag: tag.clone(), data: headers })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
