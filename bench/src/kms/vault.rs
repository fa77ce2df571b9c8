//! Vault's Transit: ours and `vaultrs`, against a real Vault.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use vault_crypto_core::{KeyId, Scope, WrapContext};
use vault_kms_hashicorp::{
    VaultConnectionConfig, VaultCredentials, VaultKmsConfig, VaultKmsProvider,
};
use vault_testkit::servers::Vault;
use vaultrs::api::transit::requests::{
    DataKeyType, DecryptDataRequestBuilder, GenerateDataKeyRequestBuilder,
};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::transit;

use super::{Boxed, Service, Side};

const MOUNT: &str = "transit";
const KEY: &str = "bench";
/// What a derived key binds: any bytes in base64 do.
const CONTEXT: &str = "dmF1bHRraXQudjEva21zAAEAAQAGdGVuYW50AARhY21l";

pub struct Transit {
    server: Vault,
}

impl Transit {
    pub fn start() -> Result<Self, String> {
        let server = Vault::start().map_err(|error| error.to_string())?;
        let key = format!("{MOUNT}/keys/{KEY}");
        for command in [&["secrets", "enable", MOUNT][..], &["write", &key, "derived=true"]] {
            server.run(command).map_err(|error| error.to_string())?;
        }
        Ok(Self { server })
    }
}

impl Service for Transit {
    fn name(&self) -> &'static str {
        "vault"
    }

    fn provider(&self) -> &'static str {
        "vault-kms-hashicorp"
    }

    fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    fn ours(&self, at: SocketAddr) -> Boxed<Side> {
        let credentials = VaultCredentials::token(self.server.root_token());
        Box::pin(async move {
            let connection = VaultConnectionConfig::new(format!("http://{at}"), credentials)
                .with_server_name("bench");
            let config = VaultKmsConfig::new(connection);
            let kms = Arc::new(VaultKmsProvider::connect(config).await.expect("a configuration"));
            let scope = Scope::new([("tenant", "acme")]).expect("a scope");
            super::ours(kms, KeyId::new(KEY), WrapContext::data_key(scope)).await
        })
    }

    fn bare(&self, at: SocketAddr) -> Boxed<Side> {
        let token = self.server.root_token().to_owned();
        Box::pin(async move {
            let settings = VaultClientSettingsBuilder::default()
                .address(format!("http://{at}"))
                .token(token)
                .build();
            let client = VaultClient::new(settings.expect("settings")).expect("a client");
            let client = Arc::new(client);
            let wrapped = generate(&client).await;
            let opening = Arc::clone(&client);
            Side {
                generate: Arc::new(move || {
                    let client = Arc::clone(&client);
                    Box::pin(async move { drop(generate(&client).await) })
                }),
                unwrap: Arc::new(move || {
                    let (client, wrapped) = (Arc::clone(&opening), wrapped.clone());
                    Box::pin(async move {
                        let mut options = DecryptDataRequestBuilder::default();
                        let options = Some(options.context(CONTEXT));
                        let opened =
                            transit::data::decrypt(&*client, MOUNT, KEY, &wrapped, options).await;
                        drop(opened.expect("the data key"));
                    })
                }),
            }
        })
    }
}

async fn generate(client: &VaultClient) -> String {
    let mut options = GenerateDataKeyRequestBuilder::default();
    let options = Some(options.context(CONTEXT));
    let answer = transit::generate::data_key(client, MOUNT, KEY, DataKeyType::Plaintext, options);
    answer.await.expect("a data key").ciphertext
}
