//! Peers that keep keys: asherah's session and key caches, and AWS's cache of secrets (a lookup, nothing
//! is encrypted), both over services in the process.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use asherah::aead::AES256GCM;
use asherah::api::{FactoryOption, new_session_factory_with_options};
use asherah::config::Config;
use asherah::kms::StaticKMS;
use asherah::metastore::InMemoryMetastore;
use asherah::traits::KeyManagementService;
use async_trait::async_trait;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_secretsmanager_caching::SecretsManagerCachingClient;
use serde_json::json;

use super::fake_aws::Service;
use crate::cache::at_once;
use crate::cache::herd::{HERD, LATENCY, crowd};
use crate::cache::threads::Contender;
use crate::timing::Case;

const ASHERAH: &str = "asherah 1.0, default policy";
const SECRETS: &str = "aws_secretsmanager_caching 2.1, a lookup alone";

/// A factory whose type asherah does not let us name.
macro_rules! factory {
    ($kms:expr, $metastore:expr) => {
        new_session_factory_with_options(
            Config::new("service", "product"),
            $metastore,
            Arc::new($kms),
            Arc::new(AES256GCM::new()),
            &[FactoryOption::Metrics(false)],
        )
    };
}

pub fn sealers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let session =
        factory!(static_kms(), Arc::new(InMemoryMetastore::new())).get_session("partition");
    vec![Case::new(ASHERAH, move || {
        black_box(session.encrypt(black_box(plaintext)).expect("asherah seals"));
    })]
}

pub fn openers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let session =
        factory!(static_kms(), Arc::new(InMemoryMetastore::new())).get_session("partition");
    let sealed = session.encrypt(plaintext).expect("asherah seals");
    let secrets = secrets(&secret_service());
    runtime().block_on(secrets.get_secret_value("bench", None, None, false)).expect("a secret");
    vec![
        Case::new(format!("{ASHERAH} (takes its input by value: a copy)"), move || {
            black_box(session.decrypt(black_box(sealed.clone())).expect("asherah opens"));
        }),
        Case::new(SECRETS, move || {
            let found = at_once(secrets.get_secret_value(black_box("bench"), None, None, false));
            black_box(found.expect("a cached secret"));
        }),
    ]
}

pub fn threads(plaintext: &[u8]) -> Vec<Contender<'_>> {
    let factory = Arc::new(factory!(static_kms(), Arc::new(InMemoryMetastore::new())));
    let sealed = factory.get_session("partition").encrypt(plaintext).expect("asherah seals");
    let opening = factory.clone();
    let secrets = Arc::new(secrets(&secret_service()));
    runtime().block_on(secrets.get_secret_value("bench", None, None, false)).expect("a secret");
    vec![
        Contender::new("asherah 1.0, seal, a session for each thread", move || {
            let session = factory.get_session("partition");
            move || drop(black_box(session.encrypt(plaintext).expect("asherah seals")))
        }),
        Contender::new("asherah 1.0, open, a session for each thread", move || {
            let session = opening.get_session("partition");
            let sealed = sealed.clone();
            move || drop(black_box(session.decrypt(sealed.clone()).expect("asherah opens")))
        }),
        Contender::new(SECRETS, move || {
            let secrets = secrets.clone();
            move || {
                let found = at_once(secrets.get_secret_value("bench", None, None, false));
                drop(black_box(found.expect("a cached secret")));
            }
        }),
    ]
}

/// How many calls a herd makes at each peer.
pub fn herds() -> Vec<(String, u64)> {
    vec![
        ("asherah 1.0, open, a thread each".to_owned(), asherah_herd()),
        ("aws_secretsmanager_caching 2.1, futures of two threads".to_owned(), secrets_herd()),
    ]
}

fn asherah_herd() -> u64 {
    let metastore = Arc::new(InMemoryMetastore::new());
    let writer = factory!(static_kms(), metastore.clone()).get_session("partition");
    let sealed = writer.encrypt(&[7; 1024]).expect("asherah seals");
    let kms = SlowKms { kms: static_kms(), calls: Arc::default() };
    let calls = kms.calls.clone();
    let factory = factory!(kms, metastore);
    let session = factory.get_session("partition");
    crowd(|| drop(session.decrypt(sealed.clone()).expect("asherah opens")));
    calls.load(Ordering::SeqCst)
}

fn secrets_herd() -> u64 {
    let service = secret_service().with_latency(LATENCY);
    let secrets = Arc::new(secrets(&service));
    runtime().block_on(async {
        let tasks: Vec<_> = (0..HERD)
            .map(|_| {
                let secrets = secrets.clone();
                tokio::spawn(async move {
                    let found = secrets.get_secret_value("bench", None, None, false).await;
                    drop(found.expect("a secret"));
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a task");
        }
    });
    service.calls()
}

fn static_kms() -> StaticKMS<AES256GCM> {
    StaticKMS::new(Arc::new(AES256GCM::new()), vec![0x22; 32]).expect("32 bytes")
}

/// Asherah's own static KMS, as far away as a service.
#[derive(Clone)]
struct SlowKms {
    kms: StaticKMS<AES256GCM>,
    calls: Arc<AtomicU64>,
}

impl SlowKms {
    fn travel(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(LATENCY);
    }
}

#[async_trait]
impl KeyManagementService for SlowKms {
    fn encrypt_key(&self, context: &(), key: &[u8]) -> Result<Vec<u8>, anyhow::Error> {
        self.travel();
        self.kms.encrypt_key(context, key)
    }

    fn decrypt_key(&self, context: &(), blob: &[u8]) -> Result<Vec<u8>, anyhow::Error> {
        self.travel();
        self.kms.decrypt_key(context, blob)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().expect("a runtime")
}

/// Secrets Manager with one secret of 32 bytes.
fn secret_service() -> Service {
    Service::new(|_, _| {
        json!({
            "ARN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:bench-AbCdEf",
            "Name": "bench",
            "VersionId": "00000000-0000-4000-8000-000000000001",
            "SecretString": "0123456789abcdef0123456789abcdef",
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": 1_767_225_600,
        })
    })
}

fn secrets(service: &Service) -> SecretsManagerCachingClient {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("id", "secret", None, None, "bench"))
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .http_client(service.client())
        .build();
    let client = aws_sdk_secretsmanager::Client::from_conf(config);
    let size = NonZeroUsize::new(1_000).expect("above zero");
    SecretsManagerCachingClient::new(client, size, Duration::from_secs(300), false)
        .expect("a cache")
}
