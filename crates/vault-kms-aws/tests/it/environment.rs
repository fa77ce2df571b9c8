//! Logins of the SDK's default chain, which are read from variables, files, and services of the machine.

use std::process::Command;
use std::time::Duration;

use vault_kms_aws::{AwsCredentials, AwsKmsConfig, AwsKmsProvider};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
use vault_testkit::servers::LocalStack;

use super::support::proxy;

/// What a child of this test does: asks who it is, by the login that is named.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn child(url: String) {
    let login = match std::env::var("VAULTKIT_TEST_PROFILE") {
        Ok(profile) => AwsCredentials::profile(profile),
        Err(_) => AwsCredentials::default_chain(),
    };
    let settings = AwsKmsConfig::new().with_credentials(login);
    let settings = match std::env::var("VAULTKIT_TEST_REGION") {
        Ok(region) => settings.with_region(region),
        Err(_) => settings,
    };
    let settings = match std::env::var("VAULTKIT_TEST_CALL_MILLIS") {
        Ok(millis) => settings.with_call_timeout(Duration::from_millis(millis.parse().unwrap())),
        Err(_) => settings,
    };
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
        Err(error) => println!("I am nobody: {:?}, {error}", error.kind()),
    }
}

/// Runs this test again with other variables, which a process cannot change safely while threads run.
fn in_an_environment(test: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_clear();
    command.env("VAULTKIT_TEST_CHILD", LocalStack::shared().url());
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
    let test = "it::environment::profiles_and_the_environment_are_read_as_everywhere";
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
    // A proxy of the environment is nobody's that was configured.
    let nobody = "http://127.0.0.1:1";
    let proxies = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"];
    let told = in_an_environment(test, &[&keys[..], &proxies.map(|name| (name, nobody))].concat());
    assert!(told.contains("I am arn:aws:iam::111111111111:root"), "{told}");
    // A profile that was asked for goes before the environment.
    let both = [&files[..], &keys[..], &[("VAULTKIT_TEST_PROFILE", "other")]].concat();
    let told = in_an_environment(test, &both);
    assert!(told.contains("I am arn:aws:iam::222222222222:root"), "{told}");
    // The SDK panics on these.
    let broken = [&keys[..], &[("AWS_SESSION_TOKEN", "line\nbreak")]].concat();
    let told = in_an_environment(test, &broken);
    assert!(told.contains("I am nobody: InvalidInput"), "{told}");
    let nothing = [("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let told = in_an_environment(test, &nothing);
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

/// What the chain asks for credentials in a container or on a machine, answering as it never should.
fn failing(status: u16) -> FaultProxy {
    let source = FaultProxy::start(LocalStack::shared().url().as_str()).unwrap();
    source.on(Match::method("PUT")).always().fault(HttpFault::Answer(
        Answer::new(200)
            .with_header("x-aws-ec2-metadata-token-ttl-seconds", "600")
            .with_body("token"),
    ));
    let answer = Answer::new(status).with_body("canary-4711");
    source.on(Match::any()).always().fault(HttpFault::Answer(answer));
    source
}

#[tokio::test]
async fn the_machines_metadata_service_is_told_apart_from_the_machine_having_no_role() {
    if let Ok(url) = std::env::var("VAULTKIT_TEST_CHILD") {
        return child(url).await;
    }
    let test = "it::environment::the_machines_metadata_service_is_told_apart_from_the_machine_having_no_role";
    for (status, kind, advice) in [
        (404, "PermissionDenied", "give this machine a role"),
        (403, "PermissionDenied", "settings"),
        (500, "Unavailable", "metadata service fails"),
    ] {
        let machine = failing(status);
        let url = machine.url();
        let variables = [("AWS_REGION", "us-east-1"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url)];
        let told = in_an_environment(test, &variables);
        assert!(told.contains(&format!("I am nobody: {kind}")), "{status}: {told}");
        assert!(told.contains(advice) && !told.contains("canary"), "{status}: {told}");
    }
    for status in [404, 500] {
        let container = failing(status);
        let url = format!("{}/credentials", container.url());
        let variables =
            [("AWS_REGION", "us-east-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*url)];
        let told = in_an_environment(test, &variables);
        assert!(told.contains("I am nobody: Unavailable"), "{status}: {told}");
        assert!(told.contains("container") && !told.contains("canary"), "{status}: {told}");
    }
}

#[tokio::test]
async fn a_region_that_is_configured_is_not_asked_for() {
    if let Ok(url) = std::env::var("VAULTKIT_TEST_CHILD") {
        return child(url).await;
    }
    let test = "it::environment::a_region_that_is_configured_is_not_asked_for";
    let machine = failing(500);
    let url = machine.url();
    let variables = [
        ("AWS_ACCESS_KEY_ID", "111111111111"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("VAULTKIT_TEST_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url),
    ];
    let told = in_an_environment(test, &variables);
    assert!(told.contains("I am arn:aws:iam::111111111111:root"), "{told}");
    assert_eq!(machine.calls().len(), 0, "{:#?}", machine.calls());
}

#[tokio::test]
async fn a_region_that_the_machine_does_not_tell_is_not_waited_for_without_end() {
    if let Ok(url) = std::env::var("VAULTKIT_TEST_CHILD") {
        return child(url).await;
    }
    let test =
        "it::environment::a_region_that_the_machine_does_not_tell_is_not_waited_for_without_end";
    let machine = proxy();
    machine.on(Match::any()).always().fault(HttpFault::Hang);
    let url = machine.url();
    let variables =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url), ("VAULTKIT_TEST_CALL_MILLIS", "300")];
    let told = in_an_environment(test, &variables);
    assert!(told.contains("I am nobody: TimedOut") && told.contains("the region"), "{told}");
}

/// As in a pod: the token's file and the role stand in variables, and the SDK logs in.
#[tokio::test]
async fn a_web_identity_of_the_environment_fails_by_the_same_kinds_as_ours() {
    if let Ok(url) = std::env::var("VAULTKIT_TEST_CHILD") {
        return child(url).await;
    }
    let test = "it::environment::a_web_identity_of_the_environment_fails_by_the_same_kinds_as_ours";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let proxy = proxy();
    let url = proxy.url();
    let told = |code: &str| {
        let body = format!("<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>");
        proxy.clear();
        proxy.on(Match::any()).always().fault(HttpFault::Answer(Answer::new(400).with_body(body)));
        in_an_environment(
            test,
            &[
                ("AWS_REGION", "us-east-1"),
                ("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/app"),
                ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
                ("AWS_ENDPOINT_URL", &url),
            ],
        )
    };
    let missing = told("IDPCommunicationError");
    assert!(missing.contains("I am nobody: PermissionDenied"), "{missing}");
    assert!(missing.contains("file"), "{missing}");
    std::fs::write(&file, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwb2QifQ.c2ln").unwrap();
    let over = told("ExpiredTokenException");
    assert!(over.contains("I am nobody: PermissionDenied"), "{over}");
    assert!(over.contains("renew it"), "{over}");
    let away = told("IDPCommunicationError");
    assert!(away.contains("I am nobody: Unavailable"), "{away}");
}
