//! A server with Transit, and providers on it.

use std::sync::{Arc, LazyLock};

use vault_connection::{VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{KeyConfig, KeyId, KmsAdmin, Scope, WrapContext};
use vault_kms_hashicorp::{VaultKmsConfig, VaultKmsProvider};
use vault_testkit::servers::Vault;

/// One server for the tests that change nothing but keys of their own.
static SERVER: LazyLock<Vault> = LazyLock::new(|| {
    let vault = Vault::start().unwrap_or_else(|error| panic!("{error}"));
    ask(&vault, &["secrets", "enable", "transit"]);
    vault
});

pub(crate) fn server() -> &'static Vault {
    &SERVER
}

/// What `vault` prints, as one line.
pub(crate) fn ask(vault: &Vault, args: &[&str]) -> String {
    vault.run(args).unwrap_or_else(|error| panic!("{error}")).trim().to_owned()
}

/// The server at `url`, with all rights.
pub(crate) fn connection_at(url: &str, vault: &Vault) -> VaultConnectionConfig {
    VaultConnectionConfig::new(url, VaultCredentials::token(vault.root_token()))
        .with_server_name("test")
}

pub(crate) async fn connect(config: VaultKmsConfig) -> Arc<VaultKmsProvider> {
    Arc::new(VaultKmsProvider::connect(config).await.unwrap())
}

pub(crate) async fn provider_on(vault: &Vault) -> Arc<VaultKmsProvider> {
    connect(VaultKmsConfig::new(connection_at(&vault.url(), vault))).await
}

pub(crate) async fn provider() -> Arc<VaultKmsProvider> {
    provider_on(server()).await
}

pub(crate) async fn fresh_key(admin: &dyn KmsAdmin, name: &str) -> KeyId {
    admin.create_key(KeyConfig::new(name)).await.unwrap().key_id
}

pub(crate) fn context() -> WrapContext {
    WrapContext::data_key(Scope::new([("tenant", "acme"), ("table", "cards")]).unwrap())
}

/// A role of the method `approle` with the policy `all`, and its secret.
pub(crate) fn app_role(vault: &Vault, name: &str, settings: &[&str]) -> (String, String) {
    // Enabled already, perhaps.
    drop(vault.run(&["auth", "enable", "approle"]));
    let policy = r#"path "*" { capabilities = ["create","read","update","delete","list","sudo"] }"#;
    ask(vault, &["write", "sys/policies/acl/all", &format!("policy={policy}")]);
    let role = format!("auth/approle/role/{name}");
    let write = ["write", role.as_str(), "token_policies=all"];
    ask(vault, &[&write[..], settings].concat());
    let role_id = ask(vault, &["read", "-field=role_id", &format!("{role}/role-id")]);
    let secret_id = ask(vault, &["write", "-f", "-field=secret_id", &format!("{role}/secret-id")]);
    (role_id, secret_id)
}
