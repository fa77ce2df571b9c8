//! A cluster of three real nodes: standbys that pass requests on or send on, and nodes that are lost.
//!
//! One cluster for all of it, by one test at a time; each leaves it whole.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::block_in_place;
use vault_connection::{SecretId, VaultConnectionConfig, VaultCredentials};
use vault_crypto_core::{
    Clock as _, CryptoError, DataKey, ErrorKind, KeyId, KmsProvider, Result, SecureString,
    SystemClock,
};
use vault_kms_hashicorp::{VaultKmsConfig, VaultKmsProvider};
use vault_testkit::servers::{Vault, VaultCluster};

use super::support::{app_role, ask, connect, connection_at, context, fresh_key, provider_on};

/// How long a call may take in the tests that lose a node.
const LIMIT: Duration = Duration::from_secs(3);
/// What a busy machine adds to it.
const SLACK: Duration = Duration::from_secs(2);
const OPERATIONS: usize = 1_000;
const CALLERS: usize = 8;
/// A name that only the test's HTTP client knows.
const NAME: &str = "vault.test";

async fn whole() -> MutexGuard<'static, VaultCluster> {
    static CLUSTER: LazyLock<Mutex<VaultCluster>> = LazyLock::new(|| {
        let cluster = VaultCluster::start().unwrap_or_else(|error| panic!("{error}"));
        ask(cluster.active().unwrap(), &["secrets", "enable", "transit"]);
        Mutex::new(cluster)
    });
    let cluster = block_in_place(|| &*CLUSTER).lock().await;
    block_in_place(|| cluster.await_all()).unwrap();
    cluster
}

/// The active node and the two others.
fn roles(cluster: &VaultCluster) -> (&Vault, &Vault, &Vault) {
    block_in_place(|| {
        let [first, second] = cluster.standbys().unwrap().try_into().unwrap();
        (cluster.active().unwrap(), first, second)
    })
}

/// Whether `node` itself answered a call on `path`.
fn answered(node: &Vault, path: &str) -> bool {
    // A node that was never active has no log.
    node.audit_log().exists() && node.calls().unwrap().iter().any(|call| call.path == path)
}

async fn round_trip(provider: &VaultKmsProvider, key: &KeyId) -> Result<()> {
    let data_key = provider.generate_data_key(key, &context()).await?;
    let opened = provider.decrypt_data_key(data_key.wrapped(), &context()).await?;
    assert_eq!(&opened, data_key.plaintext(), "a wrong answer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_serves_by_passing_requests_on() {
    let cluster = whole().await;
    let (active, standby, _) = roles(&cluster);
    let provider = provider_on(standby).await;
    let key = fresh_key(&*provider, "passed-on").await;
    round_trip(&provider, &key).await.unwrap();
    let path = "transit/datakey/plaintext/passed-on";
    assert!(answered(active, path) && !answered(standby, path));
    let health = provider.health_check().await.unwrap();
    assert!(health.healthy && health.latency.is_some(), "{health:?}");
    assert!(health.message.ends_with(", standing by"), "{health:?}");
    let health = provider_on(active).await.health_check().await.unwrap();
    assert!(health.healthy && !health.message.contains("standing"), "{health:?}");
}

/// A connection to `node` whose requests it may not pass on.
fn not_passed_on(node: &Vault) -> VaultConnectionConfig {
    let name = HeaderName::from_static("x-vault-no-request-forwarding");
    let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("true"))]);
    let client = reqwest::Client::builder().default_headers(headers);
    let client = client.redirect(Policy::none()).no_proxy().build().unwrap();
    connection_at(&node.url(), node).with_http_client(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_may_not_pass_on_sends_to_named_nodes_alone() {
    let cluster = whole().await;
    let (active, standby, other) = roles(&cluster);
    let key = fresh_key(&*provider_on(active).await, "sent-on").await;
    let path = "transit/datakey/plaintext/sent-on";
    let looked_at = "transit/keys/sent-on";
    let looks = || active.calls().unwrap().iter().filter(|call| call.path == looked_at).count();
    let before = looks();
    for unnamed in
        [not_passed_on(standby), not_passed_on(standby).with_cluster_address(other.url())]
    {
        let provider = connect(VaultKmsConfig::new(unnamed)).await;
        let error = round_trip(&provider, &key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("with_cluster_address"), "{error}");
    }
    assert!(!answered(active, path) && looks() == before, "a token went where it may not go");
    let named = not_passed_on(standby).with_cluster_address(active.url());
    let provider = connect(VaultKmsConfig::new(named)).await;
    round_trip(&provider, &key).await.unwrap();
    assert!(answered(active, path) && !answered(standby, path));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_one_node_gave_is_good_at_all_of_them() {
    let cluster = whole().await;
    let (active, standby, other) = roles(&cluster);
    let (role_id, secret) = app_role(active, "everywhere", &["token_ttl=1h"]);
    let (role_id, secret) = (format!("role_id={role_id}"), format!("secret_id={secret}"));
    let log_in = ["write", "-field=token", "auth/approle/login", &role_id, &secret];
    let token = ask(standby, &log_in);
    let key = fresh_key(&*provider_on(standby).await, "everywhere").await;
    for node in [active, standby, other] {
        let login = VaultCredentials::token(token.as_str());
        let connection = VaultConnectionConfig::new(node.url(), login).with_server_name("test");
        let provider = connect(VaultKmsConfig::new(connection)).await;
        assert!(provider.who_am_i().await.unwrap().starts_with("approle"));
        round_trip(&provider, &key).await.unwrap();
    }
}

/// What callers meet while a node is lost.
struct Watched {
    provider: Arc<VaultKmsProvider>,
    key: KeyId,
    /// Made before.
    kept: DataKey,
    begun: AtomicUsize,
    good: AtomicUsize,
    failed: AtomicUsize,
}

impl Watched {
    async fn new(provider: Arc<VaultKmsProvider>, name: &str) -> Arc<Self> {
        let key = fresh_key(&*provider, name).await;
        let kept = provider.generate_data_key(&key, &context()).await.unwrap();
        let none = AtomicUsize::default;
        let (begun, good, failed) = (none(), none(), none());
        Arc::new(Self { provider, key, kept, begun, good, failed })
    }

    async fn operation(&self, number: usize) -> Result<()> {
        let (kms, context) = (&self.provider, context());
        match number % 5 {
            0 => round_trip(kms, &self.key).await,
            1 => {
                let opened = kms.decrypt_data_key(self.kept.wrapped(), &context).await?;
                assert_eq!(&opened, self.kept.plaintext(), "a wrong answer");
                Ok(())
            }
            2 => {
                let moved = kms.rewrap_data_key(self.kept.wrapped(), &self.key, &context).await?;
                let opened = kms.decrypt_data_key(&moved, &context).await?;
                assert_eq!(&opened, self.kept.plaintext(), "a wrong answer");
                Ok(())
            }
            3 => {
                let sealed = kms.encrypt(&self.key, b"a card", &context.scope).await?;
                let opened = kms.decrypt(&self.key, &sealed, &context.scope).await?;
                assert_eq!(opened.as_slice(), b"a card", "a wrong answer");
                Ok(())
            }
            _ => {
                let told = kms.describe_key(&self.key).await?;
                assert_eq!(told.key_id, self.kept.wrapped().key_id, "a wrong answer");
                Ok(())
            }
        }
    }

    /// Operations until enough of them were good, each at most two calls.
    async fn work(self: Arc<Self>) {
        let clock = SystemClock::new();
        while self.good.load(Ordering::Relaxed) < OPERATIONS {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            assert!(number < OPERATIONS * 10, "it does not recover");
            let began = clock.monotonic();
            let outcome = self.operation(number).await;
            let took = clock.monotonic().saturating_sub(began);
            assert!(took <= LIMIT * 2 + SLACK, "{number} took {took:?}");
            match outcome {
                Ok(()) => self.good.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    assert_outage(&error);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    self.failed.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
    }

    /// `lost` is killed while callers work; the rest of the cluster goes on, and so do they.
    async fn outlives(self: &Arc<Self>, cluster: &VaultCluster, lost: &Vault) {
        let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(Arc::clone(self).work())).collect();
        while self.good.load(Ordering::Relaxed) < OPERATIONS / 5 {
            assert!(callers.iter().any(|caller| !caller.is_finished()), "they all failed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        block_in_place(|| lost.crash()).unwrap();
        block_in_place(|| cluster.active()).unwrap();
        for caller in callers {
            caller.await.unwrap();
        }
        self.recovers().await;
        block_in_place(|| lost.recover()).unwrap();
        block_in_place(|| cluster.await_all()).unwrap();
        self.recovers().await;
        let (good, failed) =
            (self.good.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        assert!(failed > 0 && good >= OPERATIONS, "{good} good, {failed} failed");
    }

    /// By itself: the same provider answers again, to everything.
    async fn recovers(&self) {
        for number in 0..5 {
            let mut tries = 0;
            while let Err(error) = self.operation(number).await {
                assert_outage(&error);
                tries += 1;
                assert!(tries < 200, "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn assert_outage(error: &CryptoError) {
    let outage = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::TimedOut);
    assert!(outage && error.is_retryable(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_node_killed_among_a_thousand_operations_is_replaced_by_itself() {
    let cluster = whole().await;
    let (active, standby, other) = roles(&cluster);
    let connection = connection_at(&standby.url(), standby)
        .with_cluster_address(active.url())
        .with_cluster_address(other.url())
        .with_call_timeout(LIMIT);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    Watched::new(provider, "leader-lost").await.outlives(&cluster, active).await;
}

/// A connection to the name that has the addresses of all `nodes`, in this order.
fn by_name(nodes: &[&Vault], login: VaultCredentials) -> VaultConnectionConfig {
    let addresses: Vec<_> =
        nodes.iter().map(|node| SocketAddr::from(([127, 0, 0, 1], node.port()))).collect();
    let client = reqwest::Client::builder().resolve_to_addrs(NAME, &addresses);
    let client = client.redirect(Policy::none()).no_proxy().build().unwrap();
    // Without a port in it: that would hold for all addresses.
    VaultConnectionConfig::new(format!("http://{NAME}"), login)
        .with_http_client(client)
        .danger_allow_plain_http()
        .with_call_timeout(LIMIT)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_the_addresses_of_all_nodes_outlives_the_node_in_use() {
    let cluster = whole().await;
    let (active, standby, other) = roles(&cluster);
    let (role_id, secret) = app_role(active, "by-name", &["token_ttl=1h"]);
    let secret = SecretId::Plain(SecureString::new(secret));
    let login = VaultCredentials::app_role(role_id, secret).unwrap();
    let logins = || {
        let logs = cluster.nodes().iter().filter(|node| node.audit_log().exists());
        let calls = logs.flat_map(|node| node.calls().unwrap());
        calls.filter(|call| call.path == "auth/approle/login").count()
    };
    let before = logins();
    let connection = by_name(&[active, standby, other], login);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    Watched::new(provider, "node-lost").await.outlives(&cluster, active).await;
    assert_eq!(logins() - before, 1, "the token went along to the other nodes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_node_is_unhealthy_and_the_others_go_on() {
    let cluster = whole().await;
    let (active, standby, _) = roles(&cluster);
    let (sealed, passing) = (provider_on(active).await, provider_on(standby).await);
    let key = fresh_key(&*passing, "sealed").await;
    block_in_place(|| active.seal()).unwrap();
    let health = sealed.health_check().await.unwrap();
    assert!(!health.healthy && health.message.contains("sealed"), "{health:?}");
    let error = round_trip(&sealed, &key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    block_in_place(|| cluster.active()).unwrap();
    assert!(passing.health_check().await.unwrap().healthy);
    let mut tries = 0;
    while let Err(error) = round_trip(&passing, &key).await {
        assert_outage(&error);
        tries += 1;
        assert!(tries < 100, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    block_in_place(|| active.unseal()).unwrap();
    block_in_place(|| cluster.await_all()).unwrap();
    assert!(sealed.health_check().await.unwrap().healthy);
    round_trip(&sealed, &key).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_of_three_can_do_nothing_and_says_so_in_time() {
    let cluster = whole().await;
    let (active, left, other) = roles(&cluster);
    let connection = connection_at(&left.url(), left).with_call_timeout(LIMIT);
    let provider = connect(VaultKmsConfig::new(connection)).await;
    let key = fresh_key(&*provider, "alone").await;
    block_in_place(|| active.crash().and_then(|()| other.crash())).unwrap();
    let clock = SystemClock::new();
    for _ in 0..20 {
        let began = clock.monotonic();
        let error = round_trip(&provider, &key).await.unwrap_err();
        assert_outage(&error);
        let took = clock.monotonic().saturating_sub(began);
        assert!(took <= LIMIT * 2 + SLACK, "{took:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The node is well and can do nothing.
    let health = provider.health_check().await.unwrap();
    assert!(!health.healthy, "{health:?}");
    block_in_place(|| active.recover().and_then(|()| other.recover())).unwrap();
    block_in_place(|| cluster.await_all()).unwrap();
    round_trip(&provider, &key).await.unwrap();
    assert!(provider.health_check().await.unwrap().healthy);
}
