//! Endpoints, TLS, proxies and pools.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use vault_crypto_core::{ErrorKind, KmsProvider};
use vault_kms_gcp::sdk::tonic::transport::Endpoint;
use vault_kms_gcp::{GcpKmsConfig, GcpKmsProvider};
use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::proxy::{FaultProxy, HttpFault, Match};
use vault_testkit::tls::TestCa;

use super::support::{RING, Service, Tokens, at, client, context, kind};

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_of_the_given_roots_and_of_the_right_name_is_trusted() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let good = FakeCloudKms::start_tls(&ca.issue(&["127.0.0.1", "localhost"]));
    let other_name = FakeCloudKms::start_tls(&ca.issue(&["kms.example.com"]));
    let expired = FakeCloudKms::start_tls(&ca.issue_expired(&["127.0.0.1"]));
    let connect = async |fake: &FakeCloudKms, roots: Option<&TestCa>| {
        let mut config =
            at(&fake.endpoint()).with_credentials(Tokens::new("a-token").credentials());
        if let Some(roots) = roots {
            config = config.with_tls_roots(roots.ca_pem());
        }
        Arc::new(GcpKmsProvider::connect(config).await.unwrap())
    };
    let kms = connect(&good, Some(&ca)).await;
    client(&kms).create_key_ring("prod").await.unwrap();
    assert!(kms.health_check().await.unwrap().healthy);
    for (fake, roots) in
        [(&good, Some(&stranger)), (&good, None), (&other_name, Some(&ca)), (&expired, Some(&ca))]
    {
        let kms = connect(fake, roots).await;
        let error = kms.random_bytes(32).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(!kms.health_check().await.unwrap().healthy);
    }
}

/// Tells a child process which service to reach over TLS.
const TLS_ENDPOINT: &str = "VAULTKIT_TEST_CLOUD_KMS_TLS";

/// In a process of its own: the roots are the whole system's.
#[tokio::test(flavor = "multi_thread")]
async fn without_roots_of_its_own_the_systems_are_trusted() {
    if let Ok(endpoint) = std::env::var(TLS_ENDPOINT) {
        let config = at(&endpoint).with_credentials(Tokens::new("a-token").credentials());
        let kms = GcpKmsProvider::connect(config).await.unwrap();
        kms.random_bytes(32).await.unwrap();
        return;
    }
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let fake = FakeCloudKms::start_tls(&ca.issue(&["127.0.0.1"]));
    let folder = tempfile::tempdir().unwrap();
    for (roots, trusted) in [(&ca, true), (&stranger, false)] {
        let file = folder.path().join("roots.pem");
        std::fs::write(&file, roots.ca_pem()).unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let test = "it::connection::without_roots_of_its_own_the_systems_are_trusted";
        child.args(["--exact", test]).env(TLS_ENDPOINT, fake.endpoint());
        child.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
        assert_eq!(child.output().unwrap().status.success(), trusted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_without_end_makes_no_call_panic() {
    let service = Service::with(|config| {
        let config = config.with_connect_timeout(Duration::MAX).with_read_timeout(Duration::MAX);
        config.with_call_timeout(Duration::MAX)
    });
    let service = service.await;
    let key = service.key("cards").await;
    service.kms.generate_data_key(&key, &context()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_work_are_refused_at_once() {
    let good = || at("http://127.0.0.1:9");
    let wrong = [
        GcpKmsConfig::new("prod"),
        GcpKmsConfig::new(format!("{RING}/cryptoKeys/k")),
        good().with_endpoint("not a url"),
        good().with_endpoint("http://127.0.0.1:9/path"),
        good().with_connections(0),
        good().with_call_timeout(Duration::ZERO),
        good().with_destroy_delay_days(0),
        good().with_destroy_delay_days(121),
        good().with_proxy("socks5://127.0.0.1:1"),
        good().with_proxy("http://user:secret@127.0.0.1:1"),
        at("https://127.0.0.1:9")
            .with_credentials(Tokens::new("a-token").credentials())
            .with_tls_roots("no certificate"),
    ];
    for config in wrong {
        let text = format!("{config:?}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(kind(GcpKmsProvider::connect(config).await), ErrorKind::InvalidInput, "{text}");
    }
    assert!(GcpKmsConfig::for_key("cards").is_err());
    let by_uri = GcpKmsConfig::for_key(&format!("gcp-kms://{RING}/cryptoKeys/k")).unwrap();
    GcpKmsProvider::connect(
        by_uri
            .with_endpoint("http://127.0.0.1:9")
            .with_credentials(vault_kms_gcp::GcpCredentials::Anonymous),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_calls_go_over_the_connections_that_were_asked_for() {
    for connections in [1, 3] {
        let service = Service::start().await;
        let key = service.key("cards").await;
        let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
        let config = at(&proxy.url()).with_connections(connections);
        let kms = GcpKmsProvider::connect(config).await.unwrap();
        for _ in 0..300 {
            kms.generate_data_key(&key, &context()).await.unwrap();
        }
        assert_eq!(proxy.connections(), connections as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_through_the_proxy_and_tls_runs_inside() {
    let ca = TestCa::new();
    let fake = FakeCloudKms::start_tls(&ca.issue(&["127.0.0.1"]));
    let (proxy, tunnels) = connect_proxy();
    let config = at(&fake.endpoint())
        .with_credentials(Tokens::new("a-token").credentials())
        .with_tls_roots(ca.ca_pem())
        .with_proxy(format!("http://{proxy}"));
    let kms = GcpKmsProvider::connect(config).await.unwrap();
    assert_eq!(kms.random_bytes(32).await.unwrap().len(), 32);
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
    let nowhere = at("http://127.0.0.1:1").with_proxy(format!("http://{proxy}"));
    let kms = GcpKmsProvider::connect(nowhere).await.unwrap();
    assert_eq!(kind(kms.random_bytes(32).await), ErrorKind::Unavailable);
}

/// A proxy that knows `CONNECT` alone, and how many tunnels it opened.
fn connect_proxy() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, tunnels) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let opened = Arc::clone(&tunnels);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, opened) = (client.unwrap(), Arc::clone(&opened));
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") {
                    client.read_exact(&mut byte).unwrap();
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap();
                let Ok(mut server) = TcpStream::connect(target) else {
                    client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap();
                    return;
                };
                opened.fetch_add(1, Ordering::SeqCst);
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                drop(std::io::copy(&mut server, &mut client));
            });
        }
    });
    (address, tunnels)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_the_callers_own_works_too() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let channel = Endpoint::from_shared(service.fake.endpoint()).unwrap().connect_lazy();
    let config = GcpKmsConfig::new(RING).with_call_timeout(Duration::from_millis(500));
    let kms = GcpKmsProvider::with_client(channel, config).unwrap();
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    service.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    assert_eq!(kind(kms.who_am_i().await), ErrorKind::Unsupported);
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    proxy.on(Match::any()).always().fault(HttpFault::Hang);
    let channel = Endpoint::from_shared(proxy.url()).unwrap().connect_lazy();
    let config = GcpKmsConfig::new(RING).with_call_timeout(Duration::from_millis(500));
    let kms = GcpKmsProvider::with_client(channel, config).unwrap();
    assert_eq!(kind(kms.random_bytes(32).await), ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_ready_client_would_ignore_is_refused() {
    let config = || GcpKmsConfig::new(RING);
    let ignored = [
        config().with_endpoint("https://cloudkms.example.com"),
        config().with_credentials(Tokens::new("a-token").credentials()),
        config().with_tls_roots(TestCa::new().ca_pem()),
        config().with_proxy("http://127.0.0.1:1"),
        config().with_connections(2),
    ];
    for config in ignored {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let error = GcpKmsProvider::with_client(channel, config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("would be ignored"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_clock_is_told() {
    let service = Service::start().await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let kms = GcpKmsProvider::connect(at(&proxy.url())).await.unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    proxy.on(Match::any()).always().fault(HttpFault::date(then));
    assert_eq!(kms.server_time().await.unwrap(), Some(then));
    service.fake.fail_next(7.into());
    assert_eq!(kms.server_time().await.unwrap(), Some(then), "a refusal is dated too");
    service.fake.stop();
    assert!(kms.server_time().await.is_err());
}
