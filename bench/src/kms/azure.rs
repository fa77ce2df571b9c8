//! Azure Key Vault: ours and Microsoft's SDK, against the fake of the test kit, over TLS both.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_core::json::to_json;
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::models::{
    EncryptionAlgorithm, KeyOperationParameters, KeyOperationResult,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use tokio::runtime::Runtime;
use vault_crypto_core::{KeyConfig, KeyId, KmsAdmin as _, Scope, WrapContext};
use vault_kms_azure::{AzureCredentials, AzureKmsConfig, AzureKmsProvider};
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::proxy::{FaultProxy, Upstream};

use super::{Boxed, Service, Side};

const KEY: &str = "bench";
const HOUR: Duration = Duration::from_secs(3_600);

pub struct Azure {
    fake: FakeKeyVault,
}

impl Azure {
    pub fn start(runtime: &Runtime) -> Result<Self, String> {
        let azure = Self { fake: FakeKeyVault::start() };
        let config = azure.config(azure.fake.addr());
        let made = runtime.block_on(async {
            AzureKmsProvider::connect(config).await?.create_key(KeyConfig::new(KEY)).await
        });
        made.map_err(|error| error.to_string())?;
        Ok(azure)
    }

    fn token(&self) -> Arc<Token> {
        Arc::new(Token(self.fake.token(HOUR)))
    }

    fn config(&self, at: SocketAddr) -> AzureKmsConfig {
        AzureKmsConfig::new(self.fake.url(), AzureCredentials::Injected(self.token()))
            .with_tls_roots(self.fake.ca_pem())
            .with_resolved(self.fake.host(), at)
    }

    fn client(&self, at: SocketAddr) -> Arc<KeyClient> {
        let root = reqwest::Certificate::from_pem(self.fake.ca_pem().as_bytes()).expect("a root");
        let http = reqwest::Client::builder()
            .tls_certs_only([root])
            .resolve(&self.fake.host(), at)
            .build()
            .expect("a client");
        let client_options = ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(http))),
            ..ClientOptions::default()
        };
        let options = KeyClientOptions { client_options, ..KeyClientOptions::default() };
        let client = KeyClient::new(&self.fake.url(), self.token(), Some(options));
        Arc::new(client.expect("a client"))
    }
}

/// One token for both sides: no login is measured.
struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new(self.0.clone(), OffsetDateTime::now_utc() + HOUR))
    }
}

impl Service for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn provider(&self) -> &'static str {
        "vault-kms-azure"
    }

    fn addr(&self) -> SocketAddr {
        self.fake.addr()
    }

    fn proxy(&self) -> io::Result<FaultProxy> {
        let host = self.fake.host();
        let upstream = Upstream::https(self.fake.addr(), &host, &self.fake.ca_pem())?;
        FaultProxy::start_tls(upstream, self.fake.ca(), &[&host])
    }

    fn ours(&self, at: SocketAddr) -> Boxed<Side> {
        let config = self.config(at);
        Box::pin(async move {
            let kms = Arc::new(AzureKmsProvider::connect(config).await.expect("a configuration"));
            let scope = Scope::new([("tenant", "acme")]).expect("a scope");
            super::ours(kms, KeyId::new(KEY), WrapContext::data_key(scope)).await
        })
    }

    fn bare(&self, at: SocketAddr) -> Boxed<Side> {
        let client = self.client(at);
        Box::pin(async move {
            let wrapped = Arc::new(generate(Arc::clone(&client)).await);
            let opening = Arc::clone(&client);
            Side {
                generate: Arc::new(move || {
                    let client = Arc::clone(&client);
                    Box::pin(async move { drop(generate(client).await) })
                }),
                unwrap: Arc::new(move || {
                    Box::pin(unwrap(Arc::clone(&opening), Arc::clone(&wrapped)))
                }),
            }
        })
    }
}

/// Key Vault makes no data keys: 32 bytes from here, wrapped there.
async fn generate(client: Arc<KeyClient>) -> KeyOperationResult {
    let mut key = vec![0; 32];
    getrandom::fill(&mut key).expect("the system's generator works");
    let body = to_json(&parameters(key)).expect("JSON").into();
    let answer = client.wrap_key(KEY, body, None).await.expect("its wrapped form");
    answer.into_model().expect("JSON")
}

async fn unwrap(client: Arc<KeyClient>, wrapped: Arc<KeyOperationResult>) {
    let id = wrapped.kid.as_deref().expect("a key id");
    let version = id.rsplit('/').next().unwrap_or_default();
    let body = parameters(wrapped.result.clone().expect("bytes"));
    let body = to_json(&body).expect("JSON").into();
    let answer = client.unwrap_key(KEY, version, body, None).await.expect("the data key");
    assert!(answer.into_model().expect("JSON").result.is_some());
}

fn parameters(value: Vec<u8>) -> KeyOperationParameters {
    KeyOperationParameters {
        algorithm: Some(EncryptionAlgorithm::RsaOaep256),
        value: Some(value),
        ..KeyOperationParameters::default()
    }
}
