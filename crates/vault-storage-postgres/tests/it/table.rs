//! The table: who makes it, who may use it, and what is wrong with it.

use std::sync::Arc;

use vault_crypto_core::storage::Expected;
use vault_crypto_core::{ErrorKind, StorageBackend};
use vault_storage_postgres::{PostgresStorage, PostgresStorageConfig};
use vault_testkit::servers::Postgres;

use super::support::{config, sql, storage};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_make_the_table_at_once_all_find_it_made() {
    let making: Vec<_> = (0..8).map(|_| tokio::spawn(storage("made_at_once"))).collect();
    for made in making {
        made.await.unwrap().get("key").await.unwrap();
    }
}

#[tokio::test]
async fn a_table_made_in_advance_serves_a_role_that_may_make_none() {
    let server = Postgres::shared();
    let schema = config("in_advance.branches").schema_sql();
    sql(server, "create role plain login; create schema in_advance; grant usage on schema in_advance to plain").await;
    let url = server.url().replace("vaultkit@", "plain@");
    let connect = || async {
        let config = PostgresStorageConfig::new(&url).unwrap();
        PostgresStorage::connect(config.with_table("in_advance.branches").unwrap()).await
    };
    assert_eq!(connect().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    sql(server, &schema).await;
    let storage = connect().await.unwrap();
    assert_eq!(storage.get("key").await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    sql(
        server,
        "grant select, insert, update, delete on in_advance.branches to plain;
         grant usage on sequence in_advance.branches_changes to plain",
    )
    .await;
    let version = storage.put("key", b"value", Expected::Absent).await.unwrap();
    let version = storage.put("key", b"other", Expected::Version(version)).await.unwrap();
    assert_eq!(storage.list("", None, 10).await.unwrap().entries.len(), 1);
    storage.delete("key", version).await.unwrap();
}

#[tokio::test]
async fn two_tables_share_nothing() {
    let (a, b) = (storage("one").await, storage("other").await);
    a.put("key", b"a", Expected::Absent).await.unwrap();
    assert!(b.get("key").await.unwrap().is_none());
    b.put("key", b"b", Expected::Absent).await.unwrap();
    assert_eq!(a.get("key").await.unwrap().unwrap().value, b"a");
}

#[tokio::test]
async fn a_table_of_another_shape_is_damaged_and_its_content_in_no_error() {
    let server = Postgres::shared();
    sql(server, "create table foreign_shape (key text primary key, version text)").await;
    sql(server, "insert into foreign_shape values ('key', 'PRIVATE')").await;
    let storage = storage("foreign_shape").await;
    let get = storage.get("key").await.unwrap_err();
    let put = storage.put("key", b"PRIVATE", Expected::Absent).await.unwrap_err();
    let list = storage.list("", None, 10).await.unwrap_err();
    for error in [get, put, list] {
        assert_eq!(error.kind(), ErrorKind::StoreDamaged, "{error}");
        assert!(!format!("{error} {error:?}").contains("PRIVATE"), "{error:?}");
    }
}

#[tokio::test]
async fn a_row_that_breaks_the_tables_rules_is_named_in_no_error() {
    let server = Postgres::shared();
    let storage = storage("strict").await;
    sql(server, "alter table strict add constraint never check (value <> 'PRIVATE')").await;
    let error = storage.put("SECRET-KEY", b"PRIVATE", Expected::Absent).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("23514"), "the code is missing: {shown}");
    for word in ["PRIVATE", "50524956415445", "SECRET", "never"] {
        assert!(!shown.contains(word), "{shown}");
    }
}

#[tokio::test]
async fn the_table_outlives_a_role_that_waits_for_no_disk() {
    let server = Postgres::shared();
    sql(server, "create role hasty superuser login; alter role hasty set synchronous_commit = off")
        .await;
    let url = server.url().replace("vaultkit@", "hasty@");
    let config = PostgresStorageConfig::new(&url).unwrap().with_table("hasty").unwrap();
    let storage = PostgresStorage::connect(config).await.unwrap();
    sql(
        server,
        "create function tell() returns trigger language plpgsql as $$ begin
           new.value := convert_to(current_setting('synchronous_commit'), 'UTF8'); return new; end $$;
         create trigger tell before insert on hasty for each row execute function tell()",
    )
    .await;
    storage.put("setting", b"", Expected::Absent).await.unwrap();
    assert_eq!(storage.get("setting").await.unwrap().unwrap().value, b"on");
}

#[tokio::test]
async fn what_can_never_work_is_invalid_input() {
    let server = Postgres::shared();
    let no_database = server.url().replace("/postgres", "/nowhere");
    let config = PostgresStorageConfig::new(&no_database).unwrap();
    let error = PostgresStorage::connect(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");

    let elsewhere = PostgresStorageConfig::new("postgres://app@192.0.2.1/app").unwrap();
    let error = PostgresStorage::connect(elsewhere).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("TLS"), "{error}");

    assert!(PostgresStorageConfig::new("not a url").is_err());
}

#[tokio::test]
async fn a_server_that_offers_no_tls_is_refused_where_tls_was_asked_for() {
    let refused = PostgresStorage::connect_with(config("no_tls"), tokio_postgres::NoTls).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn without_a_runtime_it_is_an_error_and_no_panic() {
    let connected = std::pin::pin!(PostgresStorage::connect(config("no_runtime")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match connected.poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains("tokio"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_store_outlives_the_runtime_that_it_was_opened_in() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let storage = Arc::new(runtime().block_on(storage("runtimes")));
    let key = |number| format!("key-{number}");
    for number in 0..3 {
        let runtime = runtime();
        // The first call finds that the old runtime took its connection with it, or not.
        let put = || storage.put("warm", b"", Expected::Absent);
        let _ = runtime.block_on(put());
        let key = key(number);
        runtime.block_on(storage.put(&key, b"value", Expected::Absent)).unwrap();
    }
}
