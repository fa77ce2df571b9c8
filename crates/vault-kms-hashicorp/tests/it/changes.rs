//! Changes that took effect, whatever happened after them; limits of time; connections that are shared.

use std::time::Duration;

use vault_connection::VaultConnection;
use vault_crypto_core::{
    Clock as _, CryptoError, ErrorKind, KeyConfig, KeyId, KeyState, KmsAdmin, KmsProvider,
    RotateOptions, Scope, SystemClock,
};
use vault_kms_hashicorp::{ScopeBinding, VaultKmsConfig, VaultKmsProvider};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};

use super::support::{ask, connect, connection_at, context, fresh_key, provider, server};

fn proxy() -> FaultProxy {
    FaultProxy::start(server().url().as_str()).unwrap()
}

fn looks_at(name: &str) -> Match {
    Match::path(format!("/keys/{name}")).and_method("GET")
}

fn count(proxy: &FaultProxy, what: &Match) -> usize {
    proxy.calls().iter().filter(|call| what.describes(call)).count()
}

/// What servers answered to changes before they answered with the key.
fn nothing() -> HttpFault {
    HttpFault::AnswerAfter(Answer::new(204))
}

fn failing() -> HttpFault {
    HttpFault::Answer(Answer::json(500, r#"{"errors":["internal error"]}"#))
}

fn says(error: &CryptoError, done: &str, name: &str) {
    let detail = error.detail().unwrap();
    assert!(detail.starts_with(&format!("the key was {done}, but ")), "{detail}");
    assert_eq!(error.key_id(), Some(&KeyId::new(format!("hcvault:test/transit#{name}"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_is_described_by_its_own_answer() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let info = provider.create_key(KeyConfig::new("own-answer")).await.unwrap();
    assert_eq!(info.state, KeyState::Enabled);
    assert!(info.created_at.is_some());
    // To see that there was none.
    assert_eq!(count(&proxy, &looks_at("own-answer")), 1);
    assert_eq!(info, provider.describe_key(&info.key_id).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_created_and_cannot_be_described_is_told_to_be_there() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    proxy.on(Match::path("/keys/undescribed").and_method("POST")).fault(nothing());
    proxy.on(looks_at("undescribed")).nth(2).fault(failing());
    let error = provider.create_key(KeyConfig::new("undescribed")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    says(&error, "created", "undescribed");
    let again = provider.create_key(KeyConfig::new("undescribed")).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    // And an older server that answers both is enough.
    proxy.on(Match::path("/keys/older").and_method("POST")).fault(nothing());
    let info = provider.create_key(KeyConfig::new("older")).await.unwrap();
    assert_eq!(info.primary_version, Some(1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_creation_whose_answer_is_noise_or_whose_time_ends_is_told_to_have_happened() {
    let proxy = proxy();
    let limit = Duration::from_millis(1_000);
    let connection = connection_at(&proxy.url(), server()).with_call_timeout(limit);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    proxy.on(Match::path("/keys/noise").and_method("POST")).fault(HttpFault::Garbage);
    let error = provider.create_key(KeyConfig::new("noise")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    says(&error, "created", "noise");
    proxy.on(Match::path("/keys/late").and_method("POST")).fault(nothing());
    proxy.on(looks_at("late")).nth(2).fault(HttpFault::Hang);
    let error = provider.create_key(KeyConfig::new("late")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    says(&error, "created", "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_happened_is_told_to_have_happened() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let key = fresh_key(&*provider, "turned").await;
    let before = count(&proxy, &looks_at("turned"));
    let rotated = provider.rotate_key(&key, RotateOptions::now()).await.unwrap();
    assert_eq!(rotated.new_version, 2.into());
    assert_eq!(count(&proxy, &looks_at("turned")) - before, 1);
    proxy.on(Match::path("/rotate")).fault(nothing());
    proxy.on(looks_at("turned")).nth(2).fault(failing());
    let error = provider.rotate_key(&key, RotateOptions::now()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    says(&error, "rotated", "turned");
    let now = provider.describe_key(&key).await.unwrap();
    assert_eq!(now.primary_version, Some(3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_another_key_is_told_as_that() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let key = fresh_key(&*provider, "asked-for").await;
    proxy.on(looks_at("asked-for")).fault(HttpFault::edit(|body| {
        let text = String::from_utf8(body.clone()).unwrap();
        *body = text.replace("asked-for", "another").into_bytes();
    }));
    let error = provider.describe_key(&key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.detail(), Some("the service answered for another key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_key_of_another_length_is_none() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let key = fresh_key(&*provider, "short").await;
    proxy.on(Match::path("/datakey/")).fault(HttpFault::edit(|body| {
        let mut answer: serde_json::Value = serde_json::from_slice(body).unwrap();
        answer["data"]["plaintext"] = "c2hvcnQ=".into();
        *body = answer.to_string().into_bytes();
    }));
    let error = provider.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_limit_of_time_covers_the_look_and_the_call() {
    let key = fresh_key(&*provider().await, "limited").await;
    let proxy = proxy();
    proxy.on(Match::any()).always().fault(HttpFault::Latency(Duration::from_millis(700)));
    let limit = Duration::from_secs(1);
    let connection = connection_at(&proxy.url(), server()).with_call_timeout(limit);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let error = provider.generate_data_key(&key, &context()).await.unwrap_err();
    let took = clock.monotonic() - began;
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(took < Duration::from_millis(1_350), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_share_a_connection_that_is_ready() {
    let settings = || connection_at(&server().url(), server());
    let connection = VaultConnection::connect(settings()).await.unwrap();
    let config = VaultKmsConfig::default().with_mount("transit");
    let derived = VaultKmsProvider::with_client(connection.clone(), config).unwrap();
    let config = VaultKmsConfig::default().with_scope_binding(ScopeBinding::HeaderMac);
    let plain = VaultKmsProvider::with_client(connection.clone(), config).unwrap();
    for (provider, name) in [(&derived, "shared-derived"), (&plain, "shared-plain")] {
        let key = fresh_key(provider, name).await;
        provider.generate_data_key(&key, &context()).await.unwrap();
    }
    // Settings that would be ignored, or are missing.
    let twice = VaultKmsProvider::with_client(connection, VaultKmsConfig::new(settings()));
    let never = VaultKmsProvider::connect(VaultKmsConfig::default()).await;
    for refused in [twice, never] {
        assert_eq!(refused.err().map(|error| error.kind()), Some(ErrorKind::InvalidInput));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_something_between_says_makes_no_key_and_calls_nothing_forged() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let key = fresh_key(&*provider, "between").await;
    let data_key = provider.generate_data_key(&key, &context()).await.unwrap();
    for status in [400, 404] {
        let page =
            || HttpFault::Answer(Answer::new(status).with_header("content-type", "text/html"));
        proxy.on(Match::path("/decrypt/")).fault(page());
        let error = provider.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}");
        proxy.on(looks_at("not-made")).fault(page());
        let error = provider.create_key(KeyConfig::new("not-made")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{status}");
    }
    assert_eq!(count(&proxy, &Match::path("/keys/not-made").and_method("POST")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_an_empty_plaintext_opens_nothing() {
    let proxy = proxy();
    let provider = connect(VaultKmsConfig::new(connection_at(&proxy.url(), server()))).await;
    let key = fresh_key(&*provider, "emptied").await;
    let data_key = provider.generate_data_key(&key, &context()).await.unwrap();
    let payload = provider.encrypt(&key, b"payload", &Scope::empty()).await.unwrap();
    proxy.on(Match::path("/decrypt/")).always().fault(HttpFault::edit(|body| {
        let mut answer: serde_json::Value = serde_json::from_slice(body).unwrap();
        answer["data"]["plaintext"] = "".into();
        *body = answer.to_string().into_bytes();
    }));
    let error = provider.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = provider.decrypt(&key, &payload, &Scope::empty()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_keys_is_looked_at_eight_at_a_time() {
    ask(server(), &["secrets", "enable", "-path=listed", "transit"]);
    let proxy = proxy();
    let connection =
        connection_at(&proxy.url(), server()).with_call_timeout(Duration::from_secs(5));
    let provider = connect(VaultKmsConfig::new(connection).with_mount("listed")).await;
    let mut made = Vec::new();
    for number in 10..30 {
        made.push(fresh_key(&*provider, &format!("k{number}")).await);
    }
    let late = HttpFault::Latency(Duration::from_millis(500));
    proxy.on(Match::path("/keys/k")).always().fault(late);
    let page = provider.list_keys(Some(&made[0]), 17).await.unwrap();
    let listed: Vec<_> = page.into_iter().map(|info| info.key_id).collect();
    assert_eq!(listed, made[1..18]);
}
