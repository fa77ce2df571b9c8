//! Logins. LocalStack checks no secret, so who it thinks is asking is what is shown.

use std::time::Duration;

use vault_crypto_core::{ErrorKind, KmsProvider};
use vault_kms_aws::aws_sdk_kms::{self, Client};
use vault_kms_aws::{AssumeRole, AwsCredentials, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault};
use vault_testkit::redaction::SecretScan;
use vault_testkit::tls::TestCa;

use super::support::{
    ROLE, config, context, count, expired, fixed, local_stack, login, logins, new_key, on, proxy,
    role, sts,
};

async fn as_somebody(proxy: &FaultProxy, credentials: AwsCredentials) -> AwsKmsProvider {
    AwsKmsProvider::connect(config(&proxy.url()).with_credentials(credentials)).await.unwrap()
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
    let kms = as_somebody(&proxy, login()).await;
    let who = kms.who_am_i().await.unwrap();
    assert!(who.ends_with(":assumed-role/app/pod-1"), "{who}");
    // Read anew at each login: when it is needed again, it is gone.
    std::fs::remove_file(&file).unwrap();
    let key = new_key(&kms).await;
    proxy.on(on("GenerateDataKey")).fault(expired());
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("file"), "{error}");
}

#[tokio::test]
async fn a_file_that_holds_no_token_is_no_web_identity() {
    let proxy = proxy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    for held in ["", " \n", "\u{fffd}", &"k".repeat(1 << 20)] {
        let bytes = if held == "\u{fffd}" { vec![0xff; 8] } else { held.as_bytes().to_vec() };
        std::fs::write(&file, bytes).unwrap();
        let kms = as_somebody(&proxy, AwsCredentials::web_identity(ROLE, &file)).await;
        let error = kms.random_bytes(16).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
    assert_eq!(proxy.calls().len(), 0);
}

/// What STS answers when it gives nothing, and what a person is told to do.
#[tokio::test]
async fn each_refusal_of_sts_has_its_kind_and_its_advice() {
    let proxy = proxy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwb2QifQ.c2ln\n").unwrap();
    let web = || AwsCredentials::web_identity(ROLE, &file);
    let taken = || fixed(&login()).assume_role(role());
    let refusals = [
        (taken(), 403, "AccessDenied", ErrorKind::PermissionDenied, "trust policy"),
        (taken(), 403, "ExpiredToken", ErrorKind::PermissionDenied, "log in anew"),
        (taken(), 400, "ValidationError", ErrorKind::InvalidInput, "session's name"),
        (taken(), 403, "RegionDisabledException", ErrorKind::PermissionDenied, "region"),
        (taken(), 403, "SignatureDoesNotMatch", ErrorKind::PermissionDenied, "clock"),
        (taken(), 400, "Throttling", ErrorKind::Throttled, "fewer requests"),
        (taken(), 500, "InternalFailure", ErrorKind::Unavailable, "failed inside"),
        (taken(), 400, "canary-4711", ErrorKind::InvalidInput, "not known here"),
        (web(), 403, "AccessDenied", ErrorKind::PermissionDenied, "trust policy"),
        (web(), 400, "ExpiredTokenException", ErrorKind::PermissionDenied, "renew it"),
        (web(), 400, "InvalidIdentityToken", ErrorKind::PermissionDenied, "audience"),
        (web(), 403, "IDPRejectedClaim", ErrorKind::PermissionDenied, "does not vouch"),
        (web(), 400, "IDPCommunicationError", ErrorKind::Unavailable, "identity provider"),
    ];
    for (credentials, status, code, kind, advice) in refusals {
        let kms = as_somebody(&proxy, credentials).await;
        let body = format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>canary-4711</Message></Error></ErrorResponse>"
        );
        // A stale login is tried once more.
        proxy.on(sts()).times(2).fault(HttpFault::Answer(Answer::new(status).with_body(body)));
        let error = kms.random_bytes(16).await.unwrap_err();
        proxy.clear();
        assert_eq!(error.kind(), kind, "{code}: {error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(advice) && text.contains("the login failed"), "{code}: {text}");
        assert!(!text.contains("canary"), "{code}: {text}");
    }
}

#[tokio::test]
async fn credentials_that_expire_in_use_are_renewed_once() {
    let proxy = proxy();
    let kms = as_somebody(&proxy, fixed(&login()).assume_role(role())).await;
    let key = new_key(&kms).await;
    proxy.on(on("GenerateDataKey")).fault(expired());
    kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!((logins(&proxy), count(&proxy, "GenerateDataKey")), (2, 2));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
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
    logs_in.on(sts()).fault(HttpFault::Answer(Answer::new(503)));
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    logs_in.on(sts()).fault(HttpFault::ResetBefore);
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    logs_in.on(sts()).fault(HttpFault::Hang);
    let error = kms.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert_eq!(asked.calls().len(), 0);
    kms.generate_data_key(&key, &context()).await.unwrap();
}

/// A client as the SDK makes it, with its retries and without most time-outs.
fn ready_made(url: &str) -> Client {
    let credentials = aws_sdk_kms::config::Credentials::new("id", "secret", None, None, "test");
    let settings = aws_sdk_kms::Config::builder()
        .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
        .region(aws_sdk_kms::config::Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(credentials);
    Client::from_conf(settings.build())
}

#[tokio::test]
async fn a_ready_made_client_is_taken_and_does_not_retry() {
    let proxy = proxy();
    let patient = AwsKmsConfig::new().with_call_timeout(Duration::from_secs(2));
    let kms = AwsKmsProvider::with_client(ready_made(&proxy.url()), patient).unwrap();
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
    proxy.on(on("GenerateDataKey")).fault(expired());
    kms.generate_data_key(&key, &context()).await.unwrap();
    assert_eq!(kms.who_am_i().await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_ready_made_client_is_refused_with_settings_that_can_never_work() {
    let never = AwsKmsConfig::new().with_call_timeout(Duration::ZERO);
    let refused = AwsKmsProvider::with_client(ready_made("http://127.0.0.1:1"), never);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_ready_made_client_is_refused_with_settings_that_it_would_make_void() {
    let settings = AwsKmsConfig::new;
    let void = [
        settings().with_credentials(fixed(&login())),
        settings().with_region("us-east-1"),
        settings().with_endpoint("https://kms.example"),
        settings().with_sts_endpoint("https://sts.example"),
        settings().with_fips(true),
        settings().with_dual_stack(true),
        settings().with_tls_roots(TestCa::new().ca_pem()),
        settings().with_proxy("http://proxy.example"),
    ];
    for void in void {
        let shown = format!("{void:?}");
        let refused = AwsKmsProvider::with_client(ready_made("http://127.0.0.1:1"), void);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput, "{shown}");
    }
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
