//! Google Cloud KMS: ours and `gcloud-sdk`, against the fake of the test kit.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Runtime;
use vault_crypto_core::{KeyId, Scope, WrapContext};
use vault_kms_gcp::sdk::gcloud_sdk::SecretValue;
use vault_kms_gcp::sdk::gcloud_sdk::google::cloud::kms::v1 as api;
use vault_kms_gcp::sdk::gcloud_sdk::proto_ext::kms::EncryptRequest;
use vault_kms_gcp::sdk::gcloud_sdk::{GoogleApi, GoogleAuthMiddleware};
use vault_kms_gcp::sdk::google_cloud_auth::credentials::anonymous;
use vault_kms_gcp::{GcpCredentials, GcpKmsConfig, GcpKmsProvider};
use vault_testkit::fakes::google::FakeCloudKms;

use super::{Boxed, Service, Side};

type Client = api::key_management_service_client::KeyManagementServiceClient<GoogleAuthMiddleware>;

const LOCATION: &str = "projects/bench/locations/europe-west3";
const RING: &str = "projects/bench/locations/europe-west3/keyRings/bench";
const KEY: &str = "projects/bench/locations/europe-west3/keyRings/bench/cryptoKeys/bench";
/// As many bytes as ours binds: a label, a kind and one pair.
const AAD: &[u8] = b"vaultkit.v1/kms\0\x01\x00\x01\x00\x06tenant\x00\x04acme";

pub struct Google {
    fake: FakeCloudKms,
}

impl Google {
    pub fn start(runtime: &Runtime) -> Result<Self, String> {
        let fake = FakeCloudKms::start();
        let made = runtime.block_on(async {
            let mut client = client(address(&fake)).await;
            client
                .create_key_ring(api::CreateKeyRingRequest {
                    parent: LOCATION.into(),
                    key_ring_id: "bench".into(),
                    key_ring: Some(api::KeyRing::default()),
                })
                .await?;
            let purpose = api::crypto_key::CryptoKeyPurpose::EncryptDecrypt.into();
            let key = api::CryptoKey { purpose, ..Default::default() };
            client
                .create_crypto_key(api::CreateCryptoKeyRequest {
                    parent: RING.into(),
                    crypto_key_id: "bench".into(),
                    crypto_key: Some(key),
                    ..Default::default()
                })
                .await
        });
        made.map_err(|status| status.to_string())?;
        Ok(Self { fake })
    }
}

fn address(fake: &FakeCloudKms) -> SocketAddr {
    fake.address().parse().expect("an address")
}

/// As the SDK's documents make one.
async fn client(at: SocketAddr) -> Client {
    let (new, url) = (Client::new, format!("http://{at}"));
    let login = anonymous::Builder::new().build();
    let api = GoogleApi::from_function_with_credentials(new, url, None, login).await;
    api.expect("a connection").get()
}

impl Service for Google {
    fn name(&self) -> &'static str {
        "gcp"
    }

    fn provider(&self) -> &'static str {
        "vault-kms-gcp"
    }

    fn addr(&self) -> SocketAddr {
        address(&self.fake)
    }

    fn ours(&self, at: SocketAddr) -> Boxed<Side> {
        Box::pin(async move {
            let config = GcpKmsConfig::new(RING)
                .with_endpoint(format!("http://{at}"))
                .with_credentials(GcpCredentials::Anonymous);
            let kms = Arc::new(GcpKmsProvider::connect(config).await.expect("a configuration"));
            let scope = Scope::new([("tenant", "acme")]).expect("a scope");
            super::ours(kms, KeyId::new(KEY), WrapContext::data_key(scope)).await
        })
    }

    fn bare(&self, at: SocketAddr) -> Boxed<Side> {
        Box::pin(async move {
            let client = client(at).await;
            let wrapped = generate(client.clone()).await;
            let opening = client.clone();
            Side {
                generate: Arc::new(move || {
                    let client = client.clone();
                    Box::pin(async move { drop(generate(client).await) })
                }),
                unwrap: Arc::new(move || {
                    let (client, wrapped) = (opening.clone(), wrapped.clone());
                    Box::pin(unwrap(client, wrapped))
                }),
            }
        })
    }
}

/// Cloud KMS makes no data keys: 32 bytes from here, encrypted there, checksums both ways.
async fn generate(mut client: Client) -> Vec<u8> {
    let mut key = vec![0; 32];
    getrandom::fill(&mut key).expect("the system's generator works");
    let request = EncryptRequest {
        name: KEY.into(),
        plaintext_crc32c: Some(crc32c::crc32c(&key).into()),
        plaintext: SecretValue::new(key),
        additional_authenticated_data: AAD.to_vec(),
        additional_authenticated_data_crc32c: Some(crc32c::crc32c(AAD).into()),
    };
    let answer = client.encrypt(request).await.expect("its wrapped form").into_inner();
    assert_eq!(answer.ciphertext_crc32c, Some(crc32c::crc32c(&answer.ciphertext).into()));
    answer.ciphertext
}

async fn unwrap(mut client: Client, wrapped: Vec<u8>) {
    let request = api::DecryptRequest {
        name: KEY.into(),
        ciphertext_crc32c: Some(crc32c::crc32c(&wrapped).into()),
        ciphertext: wrapped,
        additional_authenticated_data: AAD.to_vec(),
        additional_authenticated_data_crc32c: Some(crc32c::crc32c(AAD).into()),
    };
    let answer = client.decrypt(request).await.expect("the data key").into_inner();
    let checksum = crc32c::crc32c(answer.plaintext.ref_sensitive_value());
    assert_eq!(answer.plaintext_crc32c, Some(checksum.into()));
}
