//! A server with Transit, and providers on it.

use std::sync::{Arc, LazyLock};

use vault_connection::{VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{KeyConfig, KeyId, KmsAdmin};
use vault_kms_hashicorp::{ScopeBinding, VaultKmsConfig, VaultKmsProvider};
use vault_testkit::servers::Vault;

/// One server for the tests that change nothing but keys of their own.
static SERVER: LazyLock<Vault> = LazyLock::new(|| {
    let vault = Vault::start().unwrap_or_else(|error| panic!("{error}"));
    vault.run(&["secrets", "enable", "transit"]).unwrap();
    vault
});

pub(crate) fn server() -> &'static Vault {
    &SERVER
}

pub(crate) fn connection_to(vault: &Vault) -> VaultConnectionConfig {
    connection_at(&vault.url(), vault)
}

/// The same through something that stands before it.
pub(crate) fn connection_at(url: &str, vault: &Vault) -> VaultConnectionConfig {
    VaultConnectionConfig::new(url, VaultCredentials::token(vault.root_token()))
        .with_server_name("test")
}

pub(crate) async fn provider_with(binding: ScopeBinding) -> Arc<VaultKmsProvider> {
    let config = VaultKmsConfig::new(connection_to(server())).with_scope_binding(binding);
    Arc::new(VaultKmsProvider::connect(config).await.unwrap())
}

pub(crate) async fn provider() -> Arc<VaultKmsProvider> {
    provider_with(ScopeBinding::DerivedKey).await
}

pub(crate) async fn fresh_key(admin: &dyn KmsAdmin, name: &str) -> KeyId {
    admin.create_key(KeyConfig::new(name)).await.unwrap().key_id
}

/// A role of the method `approle` with all rights, and its secret.
pub(crate) fn app_role(vault: &Vault, name: &str, settings: &[&str]) -> (String, String) {
    static ENABLED: std::sync::Once = std::sync::Once::new();
    ENABLED.call_once(|| {
        vault.run(&["auth", "enable", "approle"]).unwrap();
        let policy =
            r#"path "*" { capabilities = ["create","read","update","delete","list","sudo"] }"#;
        vault.run(&["write", "sys/policies/acl/all", &format!("policy={policy}")]).unwrap();
    });
    let role = format!("auth/approle/role/{name}");
    let write = ["write", role.as_str(), "token_policies=all"];
    vault.run(&[&write[..], settings].concat()).unwrap();
    let read = |args: &[&str]| vault.run(args).unwrap().trim().to_owned();
    let role_id = read(&["read", "-field=role_id", &format!("{role}/role-id")]);
    let secret_id = read(&["write", "-f", "-field=secret_id", &format!("{role}/secret-id")]);
    (role_id, secret_id)
}
