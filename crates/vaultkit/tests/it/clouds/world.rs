//! The four services, each with a provider, and how they are stopped and started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::OnceCell;
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::servers::{LocalStack, Vault};
use vaultkit::core::{KmsAdmin, SecureString};
use vaultkit::kms::aws::{AwsCredentials, AwsKmsConfig, AwsKmsProvider};
use vaultkit::kms::azure::{AzureCloud, AzureCredentials, AzureKmsConfig, AzureKmsProvider};
use vaultkit::kms::connection::{VaultConnectionConfig, VaultCredentials};
use vaultkit::kms::gcp::cloud_kms::{CloudKmsClient, KmsConfig};
use vaultkit::kms::gcp::{GcpCredentials, GcpKmsConfig, GcpKmsProvider};
use vaultkit::kms::hashicorp::{VaultKmsConfig, VaultKmsProvider};

pub(super) const COUNT: usize = 4;

const RING: &str = "projects/test/locations/global/keyRings/it";
const PATIENCE: Duration = Duration::from_secs(20);

/// AWS, Vault, Azure, Google.
pub(super) struct World {
    aws: LocalStack,
    vault: Vault,
    azure: FakeKeyVault,
    google: FakeCloudKms,
}

impl World {
    /// One of a test's own, which may stop its servers.
    pub(super) async fn start() -> Self {
        let world = Self {
            aws: LocalStack::start().unwrap(),
            vault: Vault::start().unwrap(),
            azure: FakeKeyVault::start(),
            google: FakeCloudKms::start(),
        };
        world.mount();
        let config = KmsConfig {
            project_id: "test".into(),
            location: "global".into(),
            credentials_path: None,
            timeout: PATIENCE,
            audit_logging: false,
        };
        let client = CloudKmsClient::over(world.google_provider().await, config).unwrap();
        client.create_key_ring("it").await.unwrap();
        world
    }

    /// The one of all tests that leave the servers alone.
    pub(super) async fn shared() -> &'static Self {
        static SHARED: OnceCell<World> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    pub(super) async fn providers(&self) -> [Arc<dyn KmsAdmin>; COUNT] {
        [
            Arc::new(AwsKmsProvider::connect(self.aws_config()).await.unwrap()),
            Arc::new(VaultKmsProvider::connect(self.vault_config()).await.unwrap()),
            Arc::new(AzureKmsProvider::connect(self.azure_config()).await.unwrap()),
            Arc::new(self.google_provider().await),
        ]
    }

    fn aws_config(&self) -> AwsKmsConfig {
        let login = self.aws.login();
        let secret = login.secret_access_key.to_owned();
        AwsKmsConfig::new()
            .with_endpoint(self.aws.url())
            .with_region(login.region)
            .with_credentials(AwsCredentials::fixed(login.access_key_id, secret))
            .with_call_timeout(PATIENCE)
    }

    fn vault_config(&self) -> VaultKmsConfig {
        let token = VaultCredentials::token(self.vault.root_token());
        let connection = VaultConnectionConfig::new(self.vault.url(), token)
            .with_server_name("it")
            .with_call_timeout(PATIENCE);
        VaultKmsConfig::new(connection)
    }

    fn azure_config(&self) -> AzureKmsConfig {
        let credentials = AzureCredentials::ClientSecret {
            tenant_id: self.azure.tenant().to_owned(),
            client_id: self.azure.client_id().to_owned(),
            client_secret: SecureString::new(self.azure.client_secret()),
        };
        AzureKmsConfig::new(self.azure.url(), credentials)
            .with_cloud(AzureCloud::Custom { authority: self.azure.authority() })
            .with_tls_roots(self.azure.ca_pem())
            .with_resolved(self.azure.host(), self.azure.addr())
            .with_call_timeout(PATIENCE)
    }

    async fn google_provider(&self) -> GcpKmsProvider {
        let config = GcpKmsConfig::new(RING)
            .with_endpoint(self.google.endpoint())
            .with_credentials(GcpCredentials::Anonymous)
            .with_call_timeout(PATIENCE);
        GcpKmsProvider::connect(config).await.unwrap()
    }

    /// Ends a server as a crash would: its port refuses connections.
    pub(super) fn stop(&self, which: usize) {
        match which {
            0 => self.aws.crash().unwrap(),
            1 => self.vault.crash().unwrap(),
            2 => self.azure.stop(),
            _ => self.google.stop(),
        }
    }

    pub(super) fn start_again(&self, which: usize) {
        match which {
            0 => self.aws.recover().unwrap(),
            1 => {
                self.vault.recover().unwrap();
                self.mount();
            }
            2 => self.azure.start_again(),
            _ => self.google.start_again(),
        }
    }

    /// Transit, of which a server in memory knows nothing after a start.
    fn mount(&self) {
        self.vault.run(&["secrets", "enable", "transit"]).unwrap();
    }
}

/// A name that no other key has.
pub(super) fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
