//! Where requests go, and where a token never goes.

use vault_connection::{
    VaultConnection, VaultConnectionConfig, VaultCredentials, VaultFailureKind,
};
use vault_crypto_core::{ErrorKind, Operation};
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};

use super::support::{connect, has_namespaces, mount, proxy, server};

fn config(url: &str) -> VaultConnectionConfig {
    VaultConnectionConfig::new(url, VaultCredentials::token(server().root_token()))
}

fn redirect(proxy: &FaultProxy, location: &str) {
    let answer = Answer::new(307).with_header("location", location);
    proxy.on(Match::any()).always().fault(HttpFault::Answer(answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_may_send_on_to_a_named_member_of_the_cluster() {
    let (standby, active) = (proxy(), proxy());
    redirect(&standby, &format!("{}/v1/auth/token/lookup-self", active.url()));
    let connection = connect(config(&standby.url()).with_cluster_address(active.url())).await;
    connection.who_am_i().await.unwrap();
    assert_eq!((standby.calls().len(), active.calls().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_follows_a_redirect_anywhere_else() {
    let (standby, foreign) = (proxy(), proxy());
    let here = standby.url();
    for location in [
        format!("{}/v1/auth/token/lookup-self", foreign.url()),
        format!("{here}/v1/auth/token/create"),
        format!("{here}/v1/auth/token/lookup-self?list=true"),
        format!("//{}/v1/auth/token/lookup-self", foreign.addr()),
        "https://vault.example.com/v1/auth/token/lookup-self".to_owned(),
        "file:///etc/passwd".to_owned(),
        "%".to_owned(),
        String::new(),
    ] {
        standby.clear();
        redirect(&standby, &location);
        let failure = connect(config(&here)).await.who_am_i().await.unwrap_err();
        assert_eq!(failure.kind(), VaultFailureKind::Redirected, "{location}");
        assert_eq!(failure.to_error(Operation::Decrypt).kind(), ErrorKind::Unavailable);
    }
    assert_eq!(foreign.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_once() {
    let proxy = proxy();
    redirect(&proxy, &format!("{}/v1/auth/token/lookup-self", proxy.url()));
    let failure = connect(config(&proxy.url())).await.who_am_i().await.unwrap_err();
    assert_eq!((failure.kind(), proxy.calls().len()), (VaultFailureKind::Redirected, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_something_is_sent_on_only_where_it_was_not_passed_on() {
    let (standby, active) = (proxy(), proxy());
    redirect(&standby, &format!("{}/v1/sys/tools/hash", active.url()));
    let (sys, body) = (mount("sys"), serde_json::json!({"input": "YQ=="}));
    let named = connect(config(&standby.url()).with_cluster_address(active.url())).await;
    named.post(&sys, &["tools", "hash"], &body).await.unwrap();
    assert_eq!((standby.calls().len(), active.calls().len()), (1, 1));

    standby.clear();
    let told = Answer::json(418, r#"{"errors":["told not to pass it on"]}"#);
    let header = || Match::header("x-vault-no-request-forwarding", "true");
    standby.on(header()).always().fault(HttpFault::Answer(told));
    let failure = named.post(&sys, &["tools", "hash"], &body).await.unwrap_err();
    assert_eq!(failure.status(), Some(418));
    // To read twice does no harm.
    named.who_am_i().await.unwrap();
    // With one address alone, it must be passed on, and may have been done when that fails.
    let alone = connect(config(&standby.url())).await;
    alone.post(&sys, &["tools", "hash"], &body).await.unwrap();
    standby.clear();
    redirect(&standby, &format!("{}/v1/sys/tools/hash", standby.url()));
    let before = standby.calls().len();
    let failure = alone.post(&sys, &["tools", "hash"], &body).await.unwrap_err();
    assert_eq!((failure.kind(), standby.calls().len() - before), (VaultFailureKind::Redirected, 1));
    assert!(failure.to_string().contains("may have been done"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_and_the_mark_against_web_pages_are_sent() {
    let proxy = proxy();
    let seen = |name: &str, value: &str| {
        let answer = Answer::json(418, r#"{"errors":["seen"]}"#);
        proxy.clear();
        proxy.on(Match::header(name, value)).fault(HttpFault::Answer(answer));
    };
    let namespaced = connect(config(&proxy.url()).with_namespace(mount("team-a/shop"))).await;
    let plain = connect(config(&proxy.url())).await;
    has_namespaces(&proxy);
    namespaced.who_am_i().await.unwrap();
    seen("x-vault-namespace", "team-a/shop");
    assert_eq!(namespaced.who_am_i().await.unwrap_err().status(), Some(418));
    seen("x-vault-namespace", "team-a/shop");
    plain.who_am_i().await.unwrap();
    seen("x-vault-request", "true");
    assert_eq!(plain.who_am_i().await.unwrap_err().status(), Some(418));
    // Some of the system's paths exist outside of namespaces only.
    seen("x-vault-namespace", "team-a/shop");
    namespaced.health().await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let config = || config("https://vault.example.com");
    let refused = [
        VaultConnectionConfig::new("http://vault.example.com", VaultCredentials::token("t")),
        config().with_server_name("Prod"),
        config().with_server_name("a/b"),
        config().with_server_name(""),
        config().with_tls_roots("no certificate"),
        config().with_proxy("::"),
        config().with_call_timeout(std::time::Duration::ZERO),
        config().with_cluster_address("http://vault-2.example.com"),
    ];
    for config in refused {
        let shown = format!("{config:?}");
        let error = VaultConnection::connect(config).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InvalidInput), "{shown}");
    }
    connect(
        VaultConnectionConfig::new("http://vault.example.com", VaultCredentials::token("t"))
            .danger_allow_plain_http(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_is_not_read_to_its_end() {
    let proxy = proxy();
    let long = Answer::json(200, vec![b' '; 9 * 1_024 * 1_024]);
    proxy.on(Match::any()).fault(HttpFault::Answer(long));
    let failure = connect(config(&proxy.url())).await.who_am_i().await.unwrap_err();
    assert_eq!(failure.kind(), VaultFailureKind::Unreadable);
    assert_eq!(failure.to_error(Operation::Decrypt).kind(), ErrorKind::Unavailable);
}
