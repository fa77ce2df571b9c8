//! Logins that the environment describes: a federated token's file, App Service's metadata, the `az` program.
//!
//! Each test runs itself again as a process with that environment, which logs in and uses a key.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{Clock as _, ErrorKind, KmsProvider as _, SystemClock};
use vault_kms_azure::{AzureCloud, AzureCredentials, AzureKmsConfig, AzureKmsProvider};

use vault_testkit::VirtualClock;

use super::support::{World, context};

const CHILD: &str = "VAULTKIT_TEST_VAULT";

/// Runs the test `name` again with `environment`, and sees it succeed; `None` in that process.
async fn parent(
    name: &str,
    environment: impl Fn(&World, &Path) -> Vec<(&'static str, String)>,
) -> Option<()> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let world = World::new().await;
    world.key("app").await;
    let folder = tempfile::tempdir().unwrap();
    let (ca, said) = (folder.path().join("ca.pem"), folder.path().join("said"));
    std::fs::write(&ca, world.fake.ca_pem()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, world.fake.url())
        .env("VAULTKIT_TEST_ADDR", world.fake.addr().to_string())
        .env("VAULTKIT_TEST_AUTHORITY", world.fake.authority())
        .env("VAULTKIT_TEST_CA", ca)
        .env("VAULTKIT_TEST_SAID", &said)
        .envs(environment(&world, folder.path()))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let said = std::fs::read_to_string(said).unwrap();
    assert!(said.starts_with("used a key as") && said.contains(world.fake.client_id()), "{said}");
    Some(())
}

fn var(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// In that process.
fn config(credentials: AzureCredentials) -> AzureKmsConfig {
    let url = var(CHILD);
    let host = url.strip_prefix("https://").unwrap().to_owned();
    AzureKmsConfig::new(url, credentials)
        .with_cloud(AzureCloud::Custom { authority: var("VAULTKIT_TEST_AUTHORITY") })
        .with_tls_roots(std::fs::read(var("VAULTKIT_TEST_CA")).unwrap())
        .with_resolved(host, var("VAULTKIT_TEST_ADDR").parse().unwrap())
}

async fn child(credentials: AzureCredentials) {
    uses_a_key(&AzureKmsProvider::connect(config(credentials)).await.unwrap()).await;
}

/// In that process: logs in, asks who it is and uses the key.
async fn uses_a_key(kms: &AzureKmsProvider) {
    let data_key = kms.generate_data_key(&"app".into(), &context()).await.unwrap();
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    assert_eq!(&opened, data_key.plaintext());
    let said = format!("used a key as {}", kms.who_am_i().await.unwrap());
    std::fs::write(var("VAULTKIT_TEST_SAID"), said).unwrap();
}

#[tokio::test]
async fn a_workload_identity_logs_in_with_its_file() {
    let again = "it::environment::a_workload_identity_logs_in_with_its_file";
    let parent = parent(again, |world, folder| {
        let file = folder.join("token");
        std::fs::write(&file, world.fake.federated_token()).unwrap();
        vec![
            ("AZURE_TENANT_ID", world.fake.tenant().to_owned()),
            ("AZURE_CLIENT_ID", world.fake.client_id().to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
        ]
    });
    if parent.await.is_none() {
        child(AzureCredentials::WorkloadIdentity).await;
    }
}

#[tokio::test]
async fn a_federated_token_that_was_replaced_is_tried_at_once_after_a_refusal() {
    let again =
        "it::environment::a_federated_token_that_was_replaced_is_tried_at_once_after_a_refusal";
    let parent = parent(again, |world, folder| {
        let file = folder.join("token");
        std::fs::write(&file, "e30.e30.e30").unwrap();
        vec![
            ("AZURE_TENANT_ID", world.fake.tenant().to_owned()),
            ("AZURE_CLIENT_ID", world.fake.client_id().to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
            ("VAULTKIT_TEST_TOKEN", world.fake.federated_token()),
        ]
    });
    if parent.await.is_none() {
        // Its time stands still, so no wait is ever over.
        let clock = VirtualClock::new();
        clock.set_wall(SystemClock::new().now());
        let config = config(AzureCredentials::WorkloadIdentity).with_clock(Arc::new(clock));
        let kms = AzureKmsProvider::connect(config).await.unwrap();
        for _ in 0..3 {
            let error = kms.describe_key(&"app".into()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        }
        std::fs::write(var("AZURE_FEDERATED_TOKEN_FILE"), var("VAULTKIT_TEST_TOKEN")).unwrap();
        uses_a_key(&kms).await;
    }
}

#[tokio::test]
async fn no_proxy_of_the_environment_is_taken() {
    let again = "it::environment::no_proxy_of_the_environment_is_taken";
    let parent = parent(again, |world, folder| {
        let file = folder.join("token");
        std::fs::write(&file, world.fake.federated_token()).unwrap();
        // Nobody listens there.
        let proxies = ["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"];
        let mut all: Vec<_> =
            proxies.map(|name| (name, "http://127.0.0.1:9".to_owned())).into_iter().collect();
        all.extend([
            ("AZURE_TENANT_ID", world.fake.tenant().to_owned()),
            ("AZURE_CLIENT_ID", world.fake.client_id().to_owned()),
            ("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()),
        ]);
        all
    });
    if parent.await.is_none() {
        child(AzureCredentials::WorkloadIdentity).await;
    }
}

#[tokio::test]
async fn a_managed_identity_logs_in_at_app_service_past_any_proxy() {
    let again = "it::environment::a_managed_identity_logs_in_at_app_service_past_any_proxy";
    let parent = parent(again, |world, _| {
        vec![
            ("IDENTITY_ENDPOINT", format!("http://{}/msi/token", world.fake.metadata_addr())),
            ("IDENTITY_HEADER", world.fake.identity_header().to_owned()),
            // Nobody listens there.
            ("http_proxy", "http://127.0.0.1:9".to_owned()),
        ]
    });
    if parent.await.is_none() {
        child(AzureCredentials::ManagedIdentity { client_id: None }).await;
    }
}

#[tokio::test]
async fn whoever_is_logged_in_to_az_logs_in() {
    let again = "it::environment::whoever_is_logged_in_to_az_logs_in";
    let parent = parent(again, |world, folder| {
        let (az, token) = (folder.join("az"), world.fake.token(Duration::from_secs(3600)));
        let end = SystemClock::new().now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
            + 3600;
        let answer =
            format!(r#"{{"accessToken":"{token}","expires_on":{end},"tokenType":"Bearer"}}"#);
        std::fs::write(&az, format!("#!/bin/sh\nprintf '%s' '{answer}'\n")).unwrap();
        std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
        vec![("PATH", format!("{}:/usr/bin:/bin", folder.display()))]
    });
    if parent.await.is_none() {
        child(AzureCredentials::Cli).await;
    }
}
