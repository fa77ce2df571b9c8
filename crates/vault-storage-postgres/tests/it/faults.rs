//! Connections that are lost, a server that crashes, and one that does not answer.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use vault_crypto_core::storage::Expected;
use vault_crypto_core::{Clock as _, ErrorKind, StorageBackend, SystemClock};
use vault_storage_postgres::PostgresStorage;
use vault_testkit::servers::Postgres;

use super::support::{config, config_of, sql};

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced_before_it_is_used() {
    let server = Postgres::shared();
    let config = config("closed").with_max_connections(1);
    let storage = PostgresStorage::connect(config).await.unwrap();
    let mut version = storage.put("key", b"0", Expected::Absent).await.unwrap();
    for _ in 0..3 {
        let others = "select pg_terminate_backend(pid, 10000)::text from pg_stat_activity
                      where query like '%\"closed\"%' and pid <> pg_backend_pid()";
        assert_eq!(sql(server, others).await, ["true"]);
        version = storage.put("key", b"1", Expected::Version(version)).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_crash_of_the_server_and_work_goes_on_afterwards() {
    let server = Postgres::start().unwrap();
    let config = config_of(&server, "crash").with_timeout(Duration::from_secs(5));
    let storage = PostgresStorage::connect(config).await.unwrap();
    let mut version = None;
    for round in 0..3_u8 {
        let expected = version.map_or(Expected::Absent, Expected::Version);
        let put = storage.put("key", &[round], expected).await.unwrap();
        server.crash().unwrap();
        let lost = storage.get("key").await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
        server.recover().unwrap();
        let held = storage.get("key").await.unwrap().unwrap();
        assert_eq!((held.value, held.version), (vec![round], put));
        assert!(version < Some(put));
        version = Some(put);
    }
}

#[tokio::test]
async fn a_statement_that_waits_too_long_is_ended_here_and_at_the_server() {
    let server = Postgres::shared();
    let limit = Duration::from_millis(400);
    let storage = PostgresStorage::connect(config("slow").with_timeout(limit)).await.unwrap();
    let version = storage.put("key", b"old", Expected::Absent).await.unwrap();
    let holder = Holder::of(server, "slow").await;
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let put = storage.put("key", b"new", Expected::Version(version)).await.unwrap_err();
    assert_eq!(put.kind(), ErrorKind::TimedOut, "{put}");
    assert!(clock.monotonic() - begun < Duration::from_secs(5));
    let waiting = "select 1 from pg_stat_activity
                   where wait_event_type = 'Lock' and query like '%\"slow\"%'";
    while !sql(server, waiting).await.is_empty() {
        let long = clock.monotonic() - begun > Duration::from_secs(20);
        assert!(!long, "the statement waits on at the server");
    }
    holder.let_go().await;
    let held = storage.get("key").await.unwrap().unwrap();
    assert_eq!((&held.value[..], held.version), (&b"old"[..], version));
}

/// A session that keeps everybody else out of a table.
struct Holder(tokio_postgres::Client);

impl Holder {
    async fn of(server: &Postgres, table: &str) -> Self {
        let (client, connection) =
            tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let lock = format!("begin; lock table {table} in access exclusive mode");
        client.batch_execute(&lock).await.unwrap();
        Self(client)
    }

    async fn let_go(self) {
        self.0.batch_execute("commit").await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_timed_out() {
    // Takes connections and never reads.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://vaultkit@127.0.0.1:{port}/postgres");
    let config = vault_storage_postgres::PostgresStorageConfig::new(&url).unwrap();
    let config = config.with_timeout(Duration::from_millis(200));
    let error = PostgresStorage::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
}

#[tokio::test]
async fn where_nothing_listens_it_is_unavailable() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("postgres://vaultkit@127.0.0.1:{gone}/postgres");
    let config = vault_storage_postgres::PostgresStorageConfig::new(&url).unwrap();
    let error = PostgresStorage::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

/// Passes bytes both ways until the way is cut; then what is asked still arrives, and no answer does.
async fn pass_until_cut(mut near: TcpStream, to: u16, mut is_cut: watch::Receiver<bool>) {
    let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => return,
        _ = async { is_cut.wait_for(|cut| *cut).await.map(drop) } => {}
    }
    let one_way = tokio::io::copy(&mut near, &mut far);
    let _ = tokio::time::timeout(Duration::from_millis(300), one_way).await;
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_has_happened_whole_and_is_not_repeated() {
    let server = Postgres::shared();
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, to) = (way.local_addr().unwrap().port(), server.port());
    let (cut, is_cut) = watch::channel(false);
    let proxy = tokio::spawn(async move {
        loop {
            let (near, _) = way.accept().await.unwrap();
            tokio::spawn(pass_until_cut(near, to, is_cut.clone()));
        }
    });
    let url = server.url().replace(&format!(":{to}"), &format!(":{port}"));
    let config = vault_storage_postgres::PostgresStorageConfig::new(&url).unwrap();
    let storage = PostgresStorage::connect(config.with_table("lost").unwrap()).await.unwrap();
    let version = storage.put("key", b"old", Expected::Absent).await.unwrap();
    cut.send(true).unwrap();
    let lost = storage.put("key", b"new", Expected::Version(version)).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    cut.send(false).unwrap();
    let held = storage.get("key").await.unwrap().unwrap();
    assert_eq!(held.value, b"new");
    let changes = sql(server, "select last_value::text from lost_changes").await;
    assert_eq!(changes, [held.version.to_string()], "it was done more than once");
    proxy.abort();
}

#[tokio::test]
async fn a_dropped_call_leaves_the_store_usable() {
    let config = config("dropped").with_max_connections(1);
    let storage = PostgresStorage::connect(config).await.unwrap();
    for round in 0..50_u64 {
        let key = format!("key-{round}");
        let put = storage.put(&key, b"value", Expected::Absent);
        // Somewhere between sending and hearing.
        let _ = tokio::time::timeout(Duration::from_micros(round * 20), put).await;
        let held = storage.get(&key).await.unwrap();
        assert!(held.is_none_or(|held| held.value == b"value"));
    }
}
