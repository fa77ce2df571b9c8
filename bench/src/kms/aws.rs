//! AWS KMS: ours and `aws-sdk-kms`, against local-kms.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{Credentials, Region};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use tokio::runtime::Runtime;
use vault_crypto_core::{KeyId, Scope, WrapContext};
use vault_kms_aws::{AwsCredentials, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::servers::{AwsLogin, LocalKms};

use super::{Boxed, Service, Side};

pub struct Aws {
    server: LocalKms,
    key: String,
}

impl Aws {
    pub fn start(runtime: &Runtime) -> Result<Self, String> {
        let server = LocalKms::start().map_err(|error| error.to_string())?;
        let client = client(&server.url(), server.login());
        let made =
            runtime.block_on(client.create_key().send()).map_err(|error| error.to_string())?;
        let arn = made.key_metadata().and_then(|key| key.arn()).ok_or("a key without an ARN")?;
        Ok(Self { key: arn.to_owned(), server })
    }
}

fn client(url: &str, login: AwsLogin) -> Client {
    let credentials =
        Credentials::new(login.access_key_id, login.secret_access_key, None, None, "bench");
    let config = aws_sdk_kms::Config::builder()
        .behavior_version_latest()
        .endpoint_url(url)
        .region(Region::new(login.region))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled());
    Client::from_conf(config.build())
}

impl Service for Aws {
    fn name(&self) -> &'static str {
        "aws"
    }

    fn provider(&self) -> &'static str {
        "vault-kms-aws"
    }

    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    fn ours(&self, at: SocketAddr) -> Boxed<Side> {
        let (key, login) = (KeyId::new(self.key.as_str()), self.server.login());
        Box::pin(async move {
            let credentials =
                AwsCredentials::fixed(login.access_key_id, login.secret_access_key.to_owned());
            let config = AwsKmsConfig::new()
                .with_endpoint(format!("http://{at}"))
                .with_region(login.region)
                .with_credentials(credentials);
            let kms = Arc::new(AwsKmsProvider::connect(config).await.expect("a configuration"));
            let scope = Scope::new([("tenant", "acme")]).expect("a scope");
            super::ours(kms, key, WrapContext::data_key(scope)).await
        })
    }

    fn bare(&self, at: SocketAddr) -> Boxed<Side> {
        let (key, client) =
            (self.key.clone(), client(&format!("http://{at}"), self.server.login()));
        Box::pin(async move {
            let generate = move |client: Client, key: String| async move {
                let call = client.generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
                let call = call.encryption_context("tenant", "acme");
                let call = call.encryption_context("vaultkit:kind", "data-key");
                let answer = call.send().await.expect("a data key");
                answer.ciphertext_blob.expect("its wrapped form")
            };
            let wrapped = generate(client.clone(), key.clone()).await;
            let unwrap = move |client: Client, key: String, wrapped: Blob| async move {
                let call = client.decrypt().key_id(key).ciphertext_blob(wrapped);
                let call = call.encryption_context("tenant", "acme");
                let call = call.encryption_context("vaultkit:kind", "data-key");
                call.send().await.expect("the data key").plaintext.expect("its bytes")
            };
            let (to_unwrap, its_key) = (client.clone(), key.clone());
            Side {
                generate: Arc::new(move || {
                    let making = generate(client.clone(), key.clone());
                    Box::pin(async move { drop(making.await) })
                }),
                unwrap: Arc::new(move || {
                    let opening = unwrap(to_unwrap.clone(), its_key.clone(), wrapped.clone());
                    Box::pin(async move { drop(opening.await) })
                }),
            }
        })
    }
}
