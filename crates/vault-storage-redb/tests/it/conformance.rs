//! The promises of `StorageBackend`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pollster::block_on;
use vault_crypto_core::StorageBackend;
use vault_crypto_core::storage::Expected;
use vault_storage_redb::RedbStorage;
use vault_testkit::conformance::{self, StorageFixture};

#[test]
fn it_keeps_every_promise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let storage = Arc::new(RedbStorage::open_or_create(&file).unwrap());
    let copies = AtomicUsize::new(0);
    let fixture =
        StorageFixture::new(storage.clone(), storage, "suite/").with_open_anew(move || {
            // As another process would find it if this one ended here: the file is open still.
            let copy = copies.fetch_add(1, Ordering::SeqCst);
            let copy = file.with_extension(format!("copy-{copy}"));
            std::fs::copy(&file, &copy).unwrap();
            let anew = RedbStorage::open(copy);
            async { Ok(Arc::new(anew?) as Arc<dyn StorageBackend>) }
        });
    let report = block_on(conformance::storage::run_all(&fixture));
    report.assert_passed();
    assert_eq!((report.proved(), report.results().len()), (18, 18), "{report}");
}

#[test]
fn of_threads_that_race_one_wins_each_round() {
    let folder = tempfile::tempdir().unwrap();
    let storage = RedbStorage::open_or_create(folder.path().join("store.redb")).unwrap();
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..25 {
                    let key = format!("round-{round}");
                    if block_on(storage.put(&key, b"mine", Expected::Absent)).is_ok() {
                        wins.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), 25);
}
