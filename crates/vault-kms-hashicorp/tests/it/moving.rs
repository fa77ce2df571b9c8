//! Who used Transit through `vaultrs` goes on with its settings, and keeps its types beside the provider.

use vault_connection::{SecretId, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{KmsProvider as _, SecureString};
use vault_kms_hashicorp::VaultKmsConfig;
use vaultrs::client::{VaultClient, VaultClientSettings};
use vaultrs::transit::key;

use super::support::{app_role, connect, context, fresh_key, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_vaultrs_becomes_a_provider_and_works_beside_it() {
    let before = VaultClient::new(VaultClientSettings {
        address: server().url().parse().unwrap(),
        ca_certs: Vec::new(),
        identity: None,
        timeout: None,
        token: String::new(),
        verify: true,
        version: 1,
        wrapping: false,
        namespace: None,
        proxy: None,
    });
    let (role_id, secret_id) = app_role(server(), "moving", &[]);
    let secret_id = SecretId::Plain(SecureString::new(secret_id));
    let login = VaultCredentials::app_role(role_id, secret_id).unwrap();
    let connection = VaultConnectionConfig::from_vaultrs(&before.unwrap(), Some(login)).unwrap();
    let kms = connect(VaultKmsConfig::new(connection.with_server_name("moved"))).await;

    let id = fresh_key(&*kms, "moving").await;
    assert_eq!(id.as_str(), "hcvault:moved/transit#moving");
    let made = kms.generate_data_key(&id, &context()).await.unwrap();
    let beside = kms.connection().vaultrs_client().await.unwrap();
    key::rotate(&beside, "transit", "moving").await.unwrap();
    assert_eq!(kms.describe_key(&id).await.unwrap().primary_version, Some(2.into()));
    let opened = kms.decrypt_data_key(made.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, made.plaintext());
}
