//! What our provider does not do to keys, done by the SDK's bare client, and what ours makes of it then.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientOptions, RequestContent, Transport};
use azure_core::json::to_json;
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::models::{
    CreateKeyParameters, CurveName, KeyAttributes, KeyClientUpdateKeyPropertiesOptions, KeyType,
    UpdateKeyPropertiesParameters,
};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use vault_crypto_core::ErrorKind::{KeyUnusable, PermissionDenied, Unsupported};
use vault_crypto_core::{
    Clock as _, KeyConfig, KeyId, KeyState, KmsAdmin as _, KmsProvider as _, RotateOptions,
    SystemClock,
};
use vault_kms_azure::{AzureKmsConfig, AzureKmsProvider};
use vault_testkit::fakes::azure::FakeKeyVault;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match, Upstream};

use super::logins::fixed_token;
use super::support::{World, config, context, scope};

const HOUR: Duration = Duration::from_secs(3600);

/// The SDK's client as anybody would build it.
fn bare(fake: &FakeKeyVault) -> KeyClient {
    let root = reqwest::Certificate::from_pem(fake.ca_pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([root])
        .resolve(&fake.host(), fake.addr())
        .build()
        .unwrap();
    let transport = Some(Transport::new(Arc::new(http)));
    let client_options = ClientOptions { transport, ..ClientOptions::default() };
    let options = KeyClientOptions { client_options, ..KeyClientOptions::default() };
    KeyClient::new(&fake.url(), fixed_token(fake.token(HOUR)), Some(options)).unwrap()
}

async fn change(fake: &FakeKeyVault, name: &str, version: Option<&str>, attributes: KeyAttributes) {
    let change =
        UpdateKeyPropertiesParameters { key_attributes: Some(attributes), ..Default::default() };
    let body: RequestContent<UpdateKeyPropertiesParameters> = to_json(&change).unwrap().into();
    let key_version = version.map(str::to_owned);
    let options = KeyClientUpdateKeyPropertiesOptions { key_version, ..Default::default() };
    bare(fake).update_key_properties(name, body, Some(options)).await.unwrap();
}

fn at(hours: i64) -> Option<OffsetDateTime> {
    Some(OffsetDateTime::from(SystemClock::new().now()) + azure_core::time::Duration::hours(hours))
}

#[tokio::test]
async fn before_its_beginning_and_past_its_end_a_key_opens_and_does_not_seal() {
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    let past = KeyAttributes { expires: at(-1), ..Default::default() };
    let future = KeyAttributes { not_before: at(1), expires: at(2), ..Default::default() };
    for attributes in [past, future] {
        change(&world.fake, "app", None, attributes).await;
        assert_eq!(world.kms.describe_key(&key).await.unwrap().state, KeyState::DecryptOnly);
        let opened = world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
        assert_eq!(&opened, data_key.plaintext());
        let error = world.kms.generate_data_key(&key, &context()).await.unwrap_err();
        assert_eq!(error.kind(), KeyUnusable);
        let error = world.kms.encrypt(&key, b"4111", &scope()).await.unwrap_err();
        assert_eq!(error.kind(), KeyUnusable);
    }
    // A new version has no dates of the old one's.
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    world.data_key(&key).await;
}

#[tokio::test]
async fn what_was_rewrapped_after_a_rotation_opens_when_the_old_version_is_disabled() {
    let world = World::new().await;
    let key = world.key("app").await;
    let old = world.data_key(&key).await;
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let new = world.kms.rewrap_data_key(old.wrapped(), &key, &context()).await.unwrap();
    assert_ne!(new.version, old.wrapped().version);
    let off = KeyAttributes { enabled: Some(false), ..Default::default() };
    change(&world.fake, "app", Some(old.wrapped().version.as_str()), off).await;
    let opened = world.kms.decrypt_data_key(&new, &context()).await.unwrap();
    assert_eq!(&opened, old.plaintext());
    let error = world.kms.decrypt_data_key(old.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), KeyUnusable);
    let info = world.kms.describe_key(&key).await.unwrap();
    assert_eq!((info.state, info.versions[0].state), (KeyState::Enabled, KeyState::Disabled));
}

#[tokio::test]
async fn keys_that_wrap_nothing_are_unsupported_and_not_listed() {
    let world = World::new().await;
    let key = world.key("app").await;
    let curve = CreateKeyParameters {
        kty: Some(KeyType::Ec),
        curve: Some(CurveName::P256),
        ..CreateKeyParameters::default()
    };
    bare(&world.fake).create_key("curve", to_json(&curve).unwrap().into(), None).await.unwrap();
    let error = world.kms.describe_key(&"curve".into()).await.unwrap_err();
    assert_eq!(error.kind(), Unsupported);
    let listed = world.kms.list_keys(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|info| &info.key_id).collect::<Vec<_>>(), [&key]);
}

#[tokio::test]
async fn a_ready_made_client_does_everything() {
    let fake = FakeKeyVault::start();
    let settings = AzureKmsConfig::for_client(fake.url());
    let kms = AzureKmsProvider::with_client(bare(&fake), settings).unwrap();
    let key = kms.create_key(KeyConfig::new("app")).await.unwrap().key_id;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(
        kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap(),
        *data_key.plaintext()
    );
    assert!(kms.server_time().await.unwrap().is_some());
    // Whose token the client shows is not known here.
    assert_eq!(kms.who_am_i().await.unwrap_err().kind(), Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_beyond_the_services_page_with_deleted_ones_among_them() {
    let world = World::new().await;
    let mut made: Vec<KeyId> = Vec::new();
    for number in 0..27 {
        made.push(world.key(&format!("k{number:02}")).await);
    }
    world.kms.schedule_key_deletion(&made[3], 7).await.unwrap();
    let first = world.kms.list_keys(None, 20).await.unwrap();
    let rest = world.kms.list_keys(Some(&first[19].key_id), 20).await.unwrap();
    let listed: Vec<KeyId> = first.iter().chain(&rest).map(|info| info.key_id.clone()).collect();
    assert_eq!(listed, made);
    assert_eq!(first[3].state, KeyState::PendingDeletion);
    assert!(first[3].deletion_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_host_is_not_followed() {
    let fake = FakeKeyVault::start();
    let upstream = Upstream::https(fake.addr(), &fake.host(), &fake.ca_pem()).unwrap();
    let proxy = FaultProxy::start_tls(upstream, fake.ca(), &[&fake.host()]).unwrap();
    let config = config(&fake).with_resolved(fake.host(), proxy.addr());
    let kms = AzureKmsProvider::connect(config).await.unwrap();
    kms.create_key(KeyConfig::new("app")).await.unwrap();
    for place in ["evil.vault.azure.net".to_owned(), format!("{}:8443", fake.host())] {
        let evil = format!(r#"{{"value":[],"nextLink":"https://{place}/keys?x=y"}}"#);
        let link = HttpFault::edit(move |body| *body = evil.as_bytes().to_vec());
        proxy.on(Match::path("/keys?")).fault(link);
        let error = kms.list_keys(None, 10).await.unwrap_err();
        assert_eq!(error.kind(), PermissionDenied, "{place} {error}");
        proxy.clear();
    }
    assert!(kms.list_keys(None, 10).await.is_ok());
}
