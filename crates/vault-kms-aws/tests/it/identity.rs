//! Logins. LocalStack checks no secret, so who it thinks is asking is what is shown.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{ErrorKind, KmsProvider};
use vault_kms_aws::{AssumeRole, AwsCredentials, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
use vault_testkit::redaction::SecretScan;
use vault_testkit::servers::LocalStack;

use super::support::{config, context, count, fixed, local_stack, login, new_key, on};

const ROLE: &str = "arn:aws:iam::000000000000:role/app";

fn proxy() -> Arc<FaultProxy> {
    Arc::new(FaultProxy::start(LocalStack::shared().url().as_str()).unwrap())
}

async fn as_somebody(proxy: &FaultProxy, credentials: AwsCredentials) -> AwsKmsProvider {
    AwsKmsProvider::connect(config(&proxy.url()).with_credentials(credentials)).await.unwrap()
}

fn role() -> AssumeRole {
    AssumeRole::new(ROLE)
        .with_external_id("the-external-id".to_owned())
        .with_session_name("billing")
}

/// Calls of STS: they have no target.
fn logins(proxy: &FaultProxy) -> usize {
    proxy.calls().iter().filter(|call| call.target.is_none()).count()
}

fn sts() -> Match {
    Match::header("content-type", "x-www-form-urlencoded")
}

fn expired() -> HttpFault {
    HttpFault::Answer(Answer::json(400, r#"{"__type":"ExpiredTokenException","message":"no"}"#))
}

#[tokio::test]
async fn a_role_is_taken_once_and_asks_under_its_session() {
    let proxy = proxy();
    let kms = as_somebody(&proxy, fixed(&login()).assume_role(role())).await;
    assert_eq!(proxy.calls().len(), 0, "nobody is asked before the first call");
    let key = new_key(&kms).await;
    for _ in 0..5 {
        kms.generate_data_key(&key, &context()).await.unwrap();
    }
    assert_eq!(logins(&proxy), 1, "{:#?}", proxy.calls());
    let who = kms.who_am_i().await.unwrap();
    assert!(who.ends_with(":assumed-role/app/billing"), "{who}");
}

#[tokio::test]
async fn roles_chain_and_sessions_without_a_name_get_one() {
    let proxy = proxy();
    let second = AssumeRole::new("arn:aws:iam::000000000000:role/second");
    let kms = as_somebody(&proxy, fixed(&login()).assume_role(role()).assume_role(second)).await;
    let who = kms.who_am_i().await.unwrap();
    assert!(who.contains(":assumed-role/second/vaultkit-"), "{who}");
    assert_eq!(logins(&proxy), 3, "two roles and the question");
}

#[tokio::test]
async fn a_web_identity_is_taken_from_its_file() {
    let proxy = proxy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let login = || AwsCredentials::web_identity(ROLE, &file).with_session_name("pod-1");
    let error = as_somebody(&proxy, login()).await.who_am_i().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("file"), "{error}");
    std::fs::write(&file, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwb2QifQ.c2ln\n").unwrap();
    let who = as_somebody(&proxy, login()).await.who_am_i().await.unwrap();
    assert!(who.ends_with(":assumed-role/app/pod-1"), "{who}");
}

#[tokio::test]
async fn credentials_that_expire_in_use_are_renewed_once() {
    let proxy = proxy();
    let kms = as_somebody(&proxy, fixed(&login()).assume_role(role())).await;
    let key = new_key(&kms).await;
    proxy.on(on("GenerateDataKey")).fault(expired());
    kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!((logins(&proxy), count(&proxy, "GenerateDataKey")), (2, 2));
    // Revoked: the new ones are refused as well.
    proxy.on(on("GenerateDataKey")).times(2).fault(expired());
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!((logins(&proxy), count(&proxy, "GenerateDataKey")), (3, 4));
}

#[tokio::test]
async fn an_access_key_that_cannot_change_is_not_tried_again() {
    let proxy = proxy();
    let kms = as_somebody(&proxy, fixed(&login())).await;
    let key = new_key(&kms).await;
    proxy.on(on("GenerateDataKey")).always().fault(expired());
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(count(&proxy, "GenerateDataKey"), 1);
}

#[tokio::test]
async fn a_login_fails_by_its_own_kind() {
    let (_, key) = local_stack().await;
    let (asked, logs_in) = (proxy(), proxy());
    let settings = config(&asked.url()).with_sts_endpoint(logs_in.url());
    let settings = settings.with_credentials(fixed(&login()).assume_role(role()));
    let kms = AwsKmsProvider::connect(settings).await.unwrap();
    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>canary-4711</Message></Error></ErrorResponse>";
    logs_in.on(sts()).fault(HttpFault::Answer(Answer::new(403).with_body(refusal)));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    logs_in.on(sts()).fault(HttpFault::Answer(Answer::new(503)));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    logs_in.on(sts()).fault(HttpFault::ResetBefore);
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(asked.calls().len(), 0);
    kms.generate_data_key(&key, &context()).await.unwrap();
}

#[tokio::test]
async fn a_ready_made_client_is_taken_and_does_not_retry() {
    let proxy = proxy();
    let credentials =
        vault_kms_aws::aws_sdk_kms::config::Credentials::new("id", "secret", None, None, "test");
    let client = vault_kms_aws::aws_sdk_kms::Config::builder()
        .behavior_version(vault_kms_aws::aws_sdk_kms::config::BehaviorVersion::latest())
        .region(vault_kms_aws::aws_sdk_kms::config::Region::new("us-east-1"))
        .endpoint_url(proxy.url())
        .credentials_provider(credentials)
        .build();
    let client = vault_kms_aws::aws_sdk_kms::Client::from_conf(client);
    let patient = AwsKmsConfig::new().with_call_timeout(Duration::from_secs(2));
    let kms = AwsKmsProvider::with_client(&client, &patient);
    let key = new_key(&kms).await;
    let before = count(&proxy, "GenerateDataKey");
    proxy.on(on("GenerateDataKey")).always().fault(HttpFault::Answer(Answer::new(503)));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(count(&proxy, "GenerateDataKey"), before + 1);
    proxy.clear();
    proxy.on(on("GenerateDataKey")).fault(HttpFault::Hang);
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "a deadline that it left open");
    assert_eq!(kms.who_am_i().await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn nothing_that_is_shown_holds_a_secret() {
    let proxy = proxy();
    let settings = config(&proxy.url()).with_credentials(
        fixed(&login()).with_session_token("the-session-token".to_owned()).assume_role(role()),
    );
    let shown = format!("{settings:?}");
    let kms = AwsKmsProvider::connect(settings).await.unwrap();
    kms.who_am_i().await.unwrap();
    for secret in [login().secret_access_key, "the-session-token", "the-external-id"] {
        let scan = SecretScan::new(secret.as_bytes());
        scan.assert_absent("the configuration", &shown);
        scan.assert_absent_from_debug("the provider", &kms);
    }
}

/// What a child of this test does: asks who it is, by the login that is named.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn child(url: String) {
    let login = match std::env::var("VAULTKIT_TEST_PROFILE") {
        Ok(profile) => AwsCredentials::profile(profile),
        Err(_) => AwsCredentials::default_chain(),
    };
    let settings = AwsKmsConfig::new().with_credentials(login);
    // Without an address of its own the environment's is asked.
    let settings = match std::env::var("AWS_ENDPOINT_URL") {
        Ok(_) => settings,
        Err(_) => settings.with_endpoint(&url).with_sts_endpoint(&url),
    };
    let who = match AwsKmsProvider::connect(settings).await {
        Ok(kms) => kms.who_am_i().await,
        Err(error) => Err(error),
    };
    match who {
        Ok(who) => println!("I am {who}"),
        Err(error) => println!("I am nobody: {:?}", error.kind()),
    }
}

/// Runs this test again with other variables, which a process cannot change safely while threads run.
fn in_an_environment(test: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_clear();
    command
        .env("VAULTKIT_TEST_CHILD", LocalStack::shared().url())
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test]
async fn profiles_and_the_environment_are_read_as_everywhere() {
    if let Ok(url) = std::env::var("VAULTKIT_TEST_CHILD") {
        return child(url).await;
    }
    let test = "it::identity::profiles_and_the_environment_are_read_as_everywhere";
    let folder = tempfile::tempdir().unwrap();
    let (config, credentials) = (folder.path().join("config"), folder.path().join("credentials"));
    std::fs::write(&config, "[profile other]\nregion = us-east-1\n").unwrap();
    std::fs::write(
        &credentials,
        "[other]\naws_access_key_id = 222222222222\naws_secret_access_key = s\n",
    )
    .unwrap();
    let files = [
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
    ];
    let keys = [
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_REGION", "us-east-1"),
    ];

    let told = in_an_environment(test, &keys);
    assert!(told.contains("I am arn:aws:iam::111111111111:root"), "{told}");
    // A profile that was asked for goes before the environment.
    let both = [&files[..], &keys[..], &[("VAULTKIT_TEST_PROFILE", "other")]].concat();
    let told = in_an_environment(test, &both);
    assert!(told.contains("I am arn:aws:iam::222222222222:root"), "{told}");
    // The SDK panics on these.
    let broken = [&keys[..], &[("AWS_SESSION_TOKEN", "line\nbreak")]].concat();
    let told = in_an_environment(test, &broken);
    assert!(told.contains("I am nobody: InvalidInput"), "{told}");
    let told = in_an_environment(test, &[("AWS_REGION", "us-east-1")]);
    assert!(told.contains("I am nobody: PermissionDenied"), "{told}");
    // Endpoints of the environment: taken, unless data keys would travel unencrypted.
    let url = LocalStack::shared().url();
    let told = in_an_environment(test, &[&keys[..], &[("AWS_ENDPOINT_URL", &*url)]].concat());
    assert!(told.contains("I am arn:aws:iam::111111111111:root"), "{told}");
    for variable in ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL_STS"] {
        let bad = [("AWS_ENDPOINT_URL", &*url), (variable, "http://elsewhere.example")];
        let told = in_an_environment(test, &[&keys[..], &bad].concat());
        assert!(told.contains("I am nobody: InvalidInput"), "{told}");
    }
}
