//! Many at once: first uses, writers, readers; in threads and in processes.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;

use pollster::block_on;
use vault_crypto_core::{KmsAdmin, KmsProvider, RotateOptions};
use vault_kms_local::{Created, LocalKms, LocalKmsConfig};

use super::support::{Store, acme, key};

const CHILD_FOLDER: &str = "VAULTKIT_TEST_RACE_FOLDER";

#[test]
fn first_uses_at_once_make_one_store() {
    for _ in 0..20 {
        let store = Store::absent();
        let barrier = Barrier::new(8);
        let opened: Vec<(String, Created)> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                let (kms, created) = LocalKms::open_or_create(store.config()).unwrap();
                block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
                (kms.store_id(), created)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let ids: BTreeSet<&String> = opened.iter().map(|(id, _)| id).collect();
        assert_eq!(ids.len(), 1);
        let made = opened.iter().filter(|(_, created)| *created == Created::Now).count();
        assert_eq!(made, 1);
    }
}

/// Run by itself as the child of the same test: prints the id of the store that it finds or makes.
#[test]
fn first_uses_of_processes_at_once_make_one_store() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(folder)).unwrap();
        block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
        eprintln!("store id {}", kms.store_id());
        return;
    }
    for _ in 0..5 {
        let store = Store::absent();
        let start = || -> Child {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "it::race::first_uses_of_processes_at_once_make_one_store"])
                .arg("--nocapture")
                .env(CHILD_FOLDER, store.dir())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let children: Vec<Child> = (0..4).map(|_| start()).collect();
        let ids: BTreeSet<String> = children
            .into_iter()
            .map(|child| {
                let output = child.wait_with_output().unwrap();
                let text = String::from_utf8(output.stderr).unwrap();
                assert!(output.status.success(), "{text}");
                text.lines().find_map(|line| line.strip_prefix("store id ")).unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), 1);
        let info = block_on(store.open().unwrap().describe_key(&key("default"))).unwrap();
        assert_eq!(info.versions.len(), 5, "no rotation of the four was lost");
    }
}

#[test]
fn no_change_of_concurrent_writers_is_lost_and_readers_never_fail() {
    let (store, kms) = Store::new();
    let data_key = block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let writer = store.open().unwrap();
            scope.spawn(move || {
                for _ in 0..10 {
                    block_on(writer.rotate_key(&key("default"), RotateOptions::now())).unwrap();
                }
            });
        }
        // The same object from two threads, too.
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..10 {
                    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
                }
            });
        }
        for _ in 0..2 {
            let reader = store.open().unwrap();
            let data_key = &data_key;
            scope.spawn(move || {
                for _ in 0..500 {
                    let wrapped =
                        block_on(reader.generate_data_key(&key("default"), &acme())).unwrap();
                    block_on(reader.decrypt_data_key(wrapped.wrapped(), &acme())).unwrap();
                    block_on(reader.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
                }
            });
        }
    });
    let info = block_on(kms.describe_key(&key("default"))).unwrap();
    assert_eq!(info.primary_version.unwrap().as_str(), "41");
    assert_eq!(kms.generation().unwrap(), 41);
}

#[test]
fn a_writer_that_waits_and_is_dropped_has_done_nothing() {
    use std::task::{Context, Poll, Waker};

    let (store, kms) = Store::new();
    let lock = std::fs::File::open(store.file("lock")).unwrap();
    lock.lock().unwrap();
    {
        let default = key("default");
        let mut waiting = kms.rotate_key(&default, RotateOptions::now());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Pending));
    }
    lock.unlock().unwrap();
    assert_eq!(kms.generation().unwrap(), 1);
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    assert_eq!(kms.generation().unwrap(), 2);
}
