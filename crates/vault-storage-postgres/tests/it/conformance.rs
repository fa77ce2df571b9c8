//! The promises of `StorageBackend`, and races between connections and machines.

use std::sync::Arc;

use vault_crypto_core::storage::Expected;
use vault_crypto_core::{ErrorKind, StorageBackend};
use vault_storage_postgres::PostgresStorage;
use vault_testkit::conformance::{self, StorageFixture};
use vault_testkit::servers::Postgres;

use super::support::{config, sql, storage};

#[tokio::test]
async fn it_keeps_every_promise() {
    let handle = || async { Arc::new(storage("conformance").await) };
    let fixture =
        StorageFixture::new(handle().await, handle().await, "suite/").with_open_anew(|| async {
            let anew = PostgresStorage::connect(config("conformance")).await?;
            Ok(Arc::new(anew) as Arc<dyn StorageBackend>)
        });
    let report = conformance::storage::run_all(&fixture).await;
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (18, 18), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_machines_that_race_one_wins_each_round_and_versions_only_grow() {
    let mut machines = Vec::new();
    for _ in 0..6 {
        machines.push(Arc::new(storage("race").await));
    }
    let first = Arc::clone(&machines[0]);
    let mut newest = None;
    for round in 0..40 {
        let held = first.get("key").await.unwrap().map(|held| held.version);
        let expected = held.map_or(Expected::Absent, Expected::Version);
        let racers: Vec<_> = machines
            .iter()
            .map(Arc::clone)
            .map(|machine| tokio::spawn(async move { machine.put("key", b"mine", expected).await }))
            .collect();
        let mut won = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(version) => won.push(version),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        assert!(newest < won.first().copied(), "round {round}: a version did not grow");
        newest = won.first().copied();
        if round % 3 == 2 {
            first.delete("key", won[0]).await.unwrap();
        }
    }
}

/// Makes, changes and deletes one key from many connections with no order among them: whoever reads in
/// between never sees the version fall.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn versions_grow_while_a_key_comes_and_goes() {
    let machines: Vec<_> = {
        let mut machines = Vec::new();
        for _ in 0..4 {
            machines.push(Arc::new(storage("comes_and_goes").await));
        }
        machines
    };
    let busy: Vec<_> = machines
        .iter()
        .map(Arc::clone)
        .map(|machine| {
            tokio::spawn(async move {
                for _ in 0..60 {
                    // Whoever is too late is too late.
                    drop(machine.put("key", b"made", Expected::Absent).await);
                    let Some(held) = machine.get("key").await.unwrap() else { continue };
                    let expected = Expected::Version(held.version);
                    if let Ok(version) = machine.put("key", b"changed", expected).await {
                        assert!(version > held.version);
                        drop(machine.delete("key", version).await);
                    }
                }
            })
        })
        .collect();
    let reader = storage("comes_and_goes").await;
    let mut newest = None;
    while !busy.iter().all(tokio::task::JoinHandle::is_finished) {
        if let Some(held) = reader.get("key").await.unwrap() {
            assert!(newest <= Some(held.version), "{newest:?} and then {:?}", held.version);
            newest = Some(held.version);
        }
    }
    for task in busy {
        task.await.unwrap();
    }
    assert!(newest.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_calls_than_connections_wait_for_one() {
    let storage = config("few").with_max_connections(2);
    let storage = Arc::new(PostgresStorage::connect(storage).await.unwrap());
    let puts: Vec<_> = (0..50)
        .map(|number| {
            let storage = Arc::clone(&storage);
            let key = format!("key-{number}");
            tokio::spawn(async move { storage.put(&key, b"value", Expected::Absent).await })
        })
        .collect();
    for put in puts {
        put.await.unwrap().unwrap();
    }
    let page = storage.list("key-", None, 100).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (50, false));
}

/// A call that makes a key draws its number and then is slow. Whatever others do to the key meanwhile, the
/// numbers that they are answered with and the slow one's stand in the order of the changes.
#[tokio::test]
async fn a_slow_call_never_puts_an_older_version_after_a_newer_one() {
    let server = Postgres::shared();
    let (slow, other) = (Arc::new(storage("slow_turn").await), storage("slow_turn").await);
    let sleepy = "create function sleepy() returns trigger language plpgsql as $$ begin
                    if new.value = 'slow' then perform pg_sleep(0.3); end if; return new; end $$;
                  create trigger sleepy before insert on slow_turn for each row execute function sleepy()";
    sql(server, sleepy).await;
    let asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and query like '%\"slow_turn\"%'";
    for there_before in [false, true] {
        let key = format!("key-{there_before}");
        let held = if there_before {
            Expected::Version(other.put(&key, b"fast", Expected::Absent).await.unwrap())
        } else {
            Expected::Absent
        };
        let (late, name) = (Arc::clone(&slow), key.clone());
        let late = tokio::spawn(async move { late.put(&name, b"slow", Expected::Absent).await });
        while sql(server, asleep).await.is_empty() {}
        let fast = other.put(&key, b"fast", held).await;
        if let Ok(fast) = fast {
            other.delete(&key, fast).await.unwrap();
        }
        match (fast, late.await.unwrap()) {
            (Ok(fast), Ok(late)) => assert!(late > fast, "{late:?} came after {fast:?}"),
            (fast, late) => assert!(fast.is_ok() != late.is_ok(), "{fast:?}, {late:?}"),
        }
    }
}
