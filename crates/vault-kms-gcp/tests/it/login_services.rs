//! Each login to its end: the token comes from where Google's logins come from, and the service knows whose
//! it is. Google's own Python library logs in to these very services in the tests of the test kit.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use vault_crypto_core::{ErrorKind, KeyId, KmsProvider, Operation};
use vault_kms_gcp::{GcpCredentials, GcpKmsProvider};
use vault_testkit::fakes::google::{FakeCloudKms, FakeGoogleLogin};

use super::support::{Service, at, context, plain};

const APP: &str = "app@acme-prod.iam.gserviceaccount.com";
const MACHINE: &str = "machine@acme-prod.iam.gserviceaccount.com";
/// Tells a child process which service to use.
const ENDPOINT: &str = "VAULTKIT_TEST_CLOUD_KMS";

/// A service with the key `cards` that takes the tokens of a login service alone.
async fn started() -> (Service, FakeGoogleLogin, KeyId) {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let login = FakeGoogleLogin::start();
    service.fake.expect_logins_of(&login);
    (service, login, key)
}

/// Whose token the last call carried.
fn account(fake: &FakeCloudKms) -> String {
    fake.calls().pop().unwrap().account.unwrap()
}

/// Wraps and unwraps as `credentials`; what `who_am_i` says.
async fn work(endpoint: &str, credentials: GcpCredentials) -> vault_crypto_core::Result<String> {
    let config = at(endpoint).with_credentials(credentials);
    let kms = GcpKmsProvider::connect(config).await?;
    let data_key = kms.generate_data_key(&KeyId::new("cards"), &context()).await?;
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await?;
    assert_eq!(&opened, data_key.plaintext());
    kms.who_am_i().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_key_signs_tokens_that_hold() {
    let (service, login, _) = started().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.json");
    fs::write(&path, login.service_account_key(APP)).unwrap();
    let endpoint = service.fake.endpoint();
    let credentials = || GcpCredentials::ServiceAccountKeyFile(path.clone());
    assert_eq!(work(&endpoint, credentials()).await.unwrap(), APP);
    assert_eq!(account(&service.fake), APP);
    assert!(login.requests().is_empty(), "such tokens are asked for nowhere");
    login.revoke_all();
    let refused = work(&endpoint, credentials()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federated_workload_exchanges_its_token_and_may_act_as_an_account() {
    let (service, login, _) = started().await;
    let folder = tempfile::tempdir().unwrap();
    let (subject, path) = (folder.path().join("subject"), folder.path().join("config.json"));
    fs::write(&subject, "token-of-the-cluster").unwrap();
    let endpoint = service.fake.endpoint();
    let credentials = || GcpCredentials::WorkloadIdentityFederation(path.clone());
    fs::write(&path, login.external_account(&subject, "token-of-the-cluster", None)).unwrap();
    let principal = work(&endpoint, credentials()).await.unwrap();
    assert!(principal.starts_with("a federated workload identity of //iam."), "{principal}");
    assert!(account(&service.fake).starts_with("principal:"));
    fs::write(&path, login.external_account(&subject, "token-of-the-cluster", Some(APP))).unwrap();
    assert_eq!(work(&endpoint, credentials()).await.unwrap(), APP);
    assert_eq!(account(&service.fake), APP);
    fs::write(&subject, "canary-of-another-cluster").unwrap();
    let refused = work(&endpoint, credentials()).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.operation()),
        (ErrorKind::PermissionDenied, Operation::LogIn)
    );
    assert!(!format!("{refused} {refused:?}").contains("canary"), "{refused:?}");
}

/// Runs one test of this binary alone, with these variables for Google's logins and no others.
fn child(test: &str, endpoint: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("it::login_services::{test}"), "--nocapture"]);
    command.env_remove("GOOGLE_APPLICATION_CREDENTIALS").env_remove("GCE_METADATA_HOST");
    for proxy in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(proxy);
    }
    command.env("HOME", "/nonexistent").env(ENDPOINT, endpoint).envs(variables.iter().copied());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let (out, errors) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(errors))
}

/// Where this process is the child of the same test, works as `credentials` and prints who that was.
#[expect(clippy::print_stdout, reason = "the parent test reads it")]
async fn as_child(credentials: GcpCredentials) -> bool {
    let Some(endpoint) = std::env::var_os(ENDPOINT) else { return false };
    let principal = work(endpoint.to_str().unwrap(), credentials).await.unwrap();
    println!("as <{principal}>");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_server_is_asked_for_the_machines_account() {
    if as_child(GcpCredentials::MetadataServer).await {
        return;
    }
    let (service, login, _) = started().await;
    let host = login.address();
    let test = "the_metadata_server_is_asked_for_the_machines_account";
    let output = child(test, &service.fake.endpoint(), &[("GCE_METADATA_HOST", &host)]);
    assert!(
        output.status.success() && said(&output).contains(&format!("as <{MACHINE}>")),
        "{}",
        said(&output)
    );
    assert_eq!(account(&service.fake), MACHINE);
}

/// Google's library asks it through whatever proxy the environment names; the machine's token is not for that.
#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_server_is_not_asked_through_a_proxy() {
    if let Some(endpoint) = std::env::var_os(ENDPOINT) {
        for credentials in [GcpCredentials::MetadataServer, GcpCredentials::ApplicationDefault] {
            let refused = work(endpoint.to_str().unwrap(), credentials).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert!(refused.to_string().contains("NO_PROXY"), "{refused}");
        }
        return;
    }
    let (service, login, _) = started().await;
    let (host, endpoint) = (login.address(), service.fake.endpoint());
    let test = "the_metadata_server_is_not_asked_through_a_proxy";
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let variables = [("GCE_METADATA_HOST", host.as_str()), (name, "http://127.0.0.1:9")];
        let output = child(test, &endpoint, &variables);
        assert!(output.status.success(), "{}", said(&output));
    }
    assert!(login.requests().is_empty());
    let past = [
        ("GCE_METADATA_HOST", host.as_str()),
        ("HTTP_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", "127.0.0.1"),
    ];
    let output = child("the_metadata_server_is_asked_for_the_machines_account", &endpoint, &past);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(account(&service.fake), MACHINE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_asks_elsewhere_goes_with_no_proxy_or_roots_of_ours() {
    let (service, login, _) = started().await;
    let folder = tempfile::tempdir().unwrap();
    let (subject, path) = (folder.path().join("subject"), folder.path().join("config.json"));
    fs::write(&path, login.external_account(&subject, "right", None)).unwrap();
    let config = || {
        let credentials = GcpCredentials::WorkloadIdentityFederation(path.clone());
        at(&service.fake.endpoint()).with_credentials(credentials)
    };
    let roots = vault_testkit::tls::TestCa::new().ca_pem();
    for config in [config().with_proxy("http://127.0.0.1:9"), config().with_tls_roots(roots)] {
        let error = GcpKmsProvider::connect(config).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("asks other services"), "{error}");
    }
    GcpKmsProvider::connect(config()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn application_default_credentials_are_found_as_googles_clients_find_them() {
    if as_child(GcpCredentials::ApplicationDefault).await {
        return;
    }
    let (service, login, _) = started().await;
    let test = "application_default_credentials_are_found_as_googles_clients_find_them";
    let endpoint = service.fake.endpoint();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials.json");
    let as_file = |path: &Path, file: String| {
        fs::write(path, file).unwrap();
        child(test, &endpoint, &[("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap())])
    };
    let output = as_file(&path, login.service_account_key(APP));
    assert!(
        output.status.success() && said(&output).contains(&format!("as <{APP}>")),
        "{}",
        said(&output)
    );
    assert_eq!(account(&service.fake), APP);
    let output = as_file(&path, login.authorized_user());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(account(&service.fake), "person@example.com");
    let host = login.address();
    let output = child(test, &endpoint, &[("GCE_METADATA_HOST", &host)]);
    assert!(
        output.status.success() && said(&output).contains(&format!("as <{MACHINE}>")),
        "{}",
        said(&output)
    );
    assert_eq!(account(&service.fake), MACHINE);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_good_token_is_refused() {
    let (service, _, key) = started().await;
    let nobody = GcpKmsProvider::connect(plain(&service.fake)).await.unwrap();
    let refused = nobody.generate_data_key(&key, &context()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
}
