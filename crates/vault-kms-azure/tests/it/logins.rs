//! Who may come in: secrets, federated and injected tokens, and what is wrong with them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use vault_crypto_core::{
    Clock as _, ErrorKind, KmsProvider as _, Operation, SecureString, SystemClock,
};
use vault_kms_azure::{AzureCloud, AzureCredentials, AzureKmsConfig, AzureKmsProvider, danger};
use vault_testkit::fakes::azure::FakeKeyVault;

use super::support::{World, config_with, context};

/// Gives the same token until told another.
#[derive(Debug)]
pub(super) struct FixedToken {
    token: Mutex<String>,
    lasts: Mutex<Duration>,
    asked: AtomicU64,
}

pub(super) fn fixed_token(token: String) -> Arc<FixedToken> {
    let (token, lasts) = (Mutex::new(token), Mutex::new(Duration::from_secs(3600)));
    Arc::new(FixedToken { token, lasts, asked: AtomicU64::new(0) })
}

#[async_trait]
impl TokenCredential for FixedToken {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let end: SystemTime = SystemClock::new().now() + *self.lasts.lock().unwrap();
        Ok(AccessToken::new(self.token.lock().unwrap().clone(), end.into()))
    }
}

async fn injected(fake: &FakeKeyVault, token: &Arc<FixedToken>) -> AzureKmsProvider {
    let login = AzureCredentials::Injected(token.clone());
    AzureKmsProvider::connect(config_with(fake, login)).await.unwrap()
}

#[tokio::test]
async fn a_client_secret_logs_in_once_for_many_calls() {
    let world = World::new().await;
    let key = world.key("app").await;
    world.asked();
    for _ in 0..5 {
        world.data_key(&key).await;
    }
    let asked = world.asked();
    assert!(asked.iter().all(|call| call.ends_with(" 200")), "{asked:?}");
    assert_eq!(asked.len(), 5);
}

#[tokio::test]
async fn a_wrong_secret_is_refused_without_words_of_the_login_server() {
    let fake = FakeKeyVault::start();
    let client_secret = SecureString::new("hunter2-hunter2");
    let (tenant_id, client_id) = (fake.tenant().to_owned(), fake.client_id().to_owned());
    let login = AzureCredentials::ClientSecret { tenant_id, client_id, client_secret };
    let kms = AzureKmsProvider::connect(config_with(&fake, login)).await.unwrap();
    let error = kms.generate_data_key(&"app".into(), &context()).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::PermissionDenied, Operation::LogIn));
    let text = format!("{error} {error:?}");
    assert!(text.contains("the client secret is wrong"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("Invalid client secret"), "{text}");
}

#[tokio::test]
async fn a_token_that_ends_or_is_revoked_in_mid_use_is_replaced() {
    let world = World::new().await;
    let key = world.key("app").await;
    let before = world.data_key(&key).await;
    world.fake.revoke_tokens();
    let opened = world.kms.decrypt_data_key(before.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, before.plaintext());
    world.fake.set_token_lifetime(Duration::from_secs(1));
    world.fake.revoke_tokens();
    for _ in 0..3 {
        world.data_key(&key).await;
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
}

#[tokio::test]
async fn a_token_that_the_vault_refuses_is_permission_denied() {
    let fake = FakeKeyVault::start();
    for token in [
        fake.token(Duration::ZERO),
        fake.token_for("https://management.azure.com", Duration::from_secs(60)),
        "no.such.token".to_owned(),
        "opaque".to_owned(),
    ] {
        let kms = injected(&fake, &fixed_token(token)).await;
        let error = kms.generate_data_key(&"app".into(), &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
}

#[tokio::test]
async fn a_token_with_a_line_break_is_an_error_and_no_panic() {
    let fake = FakeKeyVault::start();
    let good = fake.token(Duration::from_secs(60));
    for token in [
        format!("{good}\n"),
        format!("{good}\r\nx-evil: 1"),
        "\0".into(),
        "é".into(),
        String::new(),
    ] {
        // Of nothing at all the next answer may have more.
        let empty = token.is_empty();
        let kind = if empty { ErrorKind::Unavailable } else { ErrorKind::PermissionDenied };
        let kms = injected(&fake, &fixed_token(token)).await;
        let error = kms.generate_data_key(&"app".into(), &context()).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, Operation::LogIn));
        let (_, signature) = good.rsplit_once('.').unwrap();
        assert!(!format!("{error:?}").contains(signature));
    }
}

#[tokio::test]
async fn the_vault_sees_whom_the_token_names() {
    let world = World::new().await;
    let who = world.kms.who_am_i().await.unwrap();
    assert!(who.contains(&format!("application {}", world.fake.client_id())), "{who}");
    assert!(who.contains(&format!("tenant {}", world.fake.tenant())), "{who}");
    let opaque = injected(&world.fake, &fixed_token("opaque".into())).await;
    assert_eq!(opaque.who_am_i().await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_tenant_or_authority_that_cannot_be_is_an_error() {
    let fake = FakeKeyVault::start();
    for tenant in ["", "../x", "a b", "t\n"] {
        let (tenant_id, client_id) = (tenant.to_owned(), "c".to_owned());
        let client_secret = SecureString::new("s");
        let login = AzureCredentials::ClientSecret { tenant_id, client_id, client_secret };
        let kms = AzureKmsProvider::connect(config_with(&fake, login)).await.unwrap();
        let error = kms.generate_data_key(&"app".into(), &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{tenant:?}");
    }
}

#[tokio::test]
async fn a_ready_made_client_is_taken_if_it_speaks_to_the_same_vault() {
    use azure_security_keyvault_keys::KeyClient;
    let fake = FakeKeyVault::start();
    let token = || fixed_token(fake.token(Duration::from_secs(60)));
    let same = || KeyClient::new(&fake.url(), token(), None).unwrap();
    let settings = || AzureKmsConfig::for_client(fake.url());
    assert!(AzureKmsProvider::with_client(same(), settings()).is_ok());
    let other = KeyClient::new("https://other.vault.azure.net", token(), None).unwrap();
    let refused = AzureKmsProvider::with_client(other, settings()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    // What the client would not heed is refused.
    for unheard in [
        AzureKmsConfig::new(fake.url(), AzureCredentials::Cli),
        settings().with_cloud(AzureCloud::China),
        settings().with_tls_roots(fake.ca_pem()),
        settings().with_proxy("http://127.0.0.1:9"),
        settings().with_resolved(fake.host(), fake.addr()),
        settings().with_call_timeout(Duration::ZERO),
        danger::without_challenge_verification(settings()),
    ] {
        let refused = AzureKmsProvider::with_client(same(), unheard).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    let nobody = AzureKmsProvider::connect(settings()).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::InvalidInput);
}
