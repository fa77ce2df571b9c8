//! Providers on the servers that every test of this process shares.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{KeyConfig, KeyId, KmsAdmin, Scope, WrapContext};
use vault_kms_aws::{AssumeRole, AwsCredentials, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::proxy::{Answer, Call, FaultProxy, HttpFault, Match};
use vault_testkit::servers::{AwsLogin, LocalStack};

/// A deadline that a test can wait for, and that a loaded machine keeps.
pub(super) const DEADLINE: Duration = Duration::from_secs(4);

pub(super) fn login() -> AwsLogin {
    LocalStack::shared().login()
}

/// All services at `url`, with the servers' login.
pub(super) fn config(url: &str) -> AwsKmsConfig {
    let login = login();
    AwsKmsConfig::new()
        .with_endpoint(url)
        .with_sts_endpoint(url)
        .with_region(login.region)
        .with_credentials(fixed(&login))
        .with_read_timeout(DEADLINE)
        .with_call_timeout(DEADLINE)
}

pub(super) fn fixed(login: &AwsLogin) -> AwsCredentials {
    AwsCredentials::fixed(login.access_key_id, login.secret_access_key.to_owned())
}

pub(super) async fn connect(url: &str) -> Arc<AwsKmsProvider> {
    Arc::new(AwsKmsProvider::connect(config(url)).await.unwrap())
}

/// On LocalStack, and a key of the test's own.
pub(super) async fn local_stack() -> (Arc<AwsKmsProvider>, KeyId) {
    let kms = connect(&LocalStack::shared().url()).await;
    let key = new_key(&kms).await;
    (kms, key)
}

/// The same, with a proxy in between that is told what to break.
pub(super) async fn proxied() -> (Arc<AwsKmsProvider>, KeyId, Arc<FaultProxy>) {
    let proxy = Arc::new(FaultProxy::start(LocalStack::shared().url().as_str()).unwrap());
    let kms = connect(&proxy.url()).await;
    let key = new_key(&kms).await;
    (kms, key, proxy)
}

pub(super) async fn new_key(kms: &AwsKmsProvider) -> KeyId {
    kms.create_key(KeyConfig::new(fresh_name())).await.unwrap().key_id
}

/// A name that no other test has.
pub(super) fn fresh_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("it/{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn context() -> WrapContext {
    WrapContext::data_key(scope())
}

pub(super) fn scope() -> Scope {
    Scope::new([("tenant", "acme"), ("table", "cards")]).unwrap()
}

/// Calls of one operation of KMS.
pub(super) fn on(operation: &str) -> Match {
    Match::header("x-amz-target", format!("TrentService.{operation}"))
}

/// How often an operation of KMS was asked.
pub(super) fn count(proxy: &FaultProxy, operation: &str) -> usize {
    proxy.calls().iter().filter(|call| is(call, operation)).count()
}

pub(super) fn is(call: &Call, operation: &str) -> bool {
    call.target.as_deref() == Some(&format!("TrentService.{operation}"))
}

/// An answer in which these fields stand too.
pub(super) fn with_fields(fields: &'static str) -> HttpFault {
    HttpFault::edit(move |body| {
        assert_eq!(body.first(), Some(&b'{'), "a JSON object");
        body.splice(1..1, format!("{fields},").into_bytes());
    })
}

pub(super) const ROLE: &str = "arn:aws:iam::000000000000:role/app";

pub(super) fn proxy() -> Arc<FaultProxy> {
    Arc::new(FaultProxy::start(LocalStack::shared().url().as_str()).unwrap())
}

pub(super) fn role() -> AssumeRole {
    AssumeRole::new(ROLE)
        .with_external_id("the-external-id".to_owned())
        .with_session_name("billing")
}

/// Calls of STS: they have no target.
pub(super) fn logins(proxy: &FaultProxy) -> usize {
    proxy.calls().iter().filter(|call| call.target.is_none()).count()
}

pub(super) fn sts() -> Match {
    Match::header("content-type", "x-www-form-urlencoded")
}

pub(super) fn expired() -> HttpFault {
    HttpFault::Answer(Answer::json(400, r#"{"__type":"ExpiredTokenException","message":"no"}"#))
}
