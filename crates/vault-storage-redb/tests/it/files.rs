//! The file: its mode, what is wrong with it, and what stays in it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use pollster::block_on;
use vault_crypto_core::storage::Expected;
use vault_crypto_core::{CryptoError, ErrorKind, StorageBackend};
use vault_storage_redb::RedbStorage;

fn folder_and_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    (folder, file)
}

fn refusal(path: &Path) -> (ErrorKind, CryptoError) {
    let error = RedbStorage::open(path).unwrap_err();
    assert!(error.to_string().contains("store.redb"), "it does not name the file: {error}");
    (error.kind(), error)
}

#[test]
fn a_store_outlives_its_handle() {
    let (folder, file) = folder_and_file();
    let first = RedbStorage::open_or_create(&file).unwrap();
    let version = block_on(first.put("key", b"value", Expected::Absent)).unwrap();
    drop(first);
    for open in [RedbStorage::open_or_create, RedbStorage::open] {
        let held = block_on(open(file.as_path()).unwrap().get("key")).unwrap().unwrap();
        assert_eq!((held.value.as_slice(), held.version), (&b"value"[..], version));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a file beside the store is left");
}

#[test]
fn opening_makes_no_store_where_none_is() {
    let (_folder, file) = folder_and_file();
    assert_eq!(refusal(&file).0, ErrorKind::Io);
    assert!(!file.exists());
    let nowhere = file.join("no").join("store.redb");
    assert_eq!(RedbStorage::open_or_create(nowhere).unwrap_err().kind(), ErrorKind::Io);
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone_or_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let (_folder, file) = folder_and_file();
    drop(RedbStorage::open_or_create(&file).unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let (kind, error) = refusal(&file);
        assert_eq!(kind, ErrorKind::StoreDamaged);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(RedbStorage::open(&file).is_ok());
}

#[test]
fn a_store_that_is_open_is_unavailable_to_a_second_one() {
    let (_folder, file) = folder_and_file();
    let first = RedbStorage::open_or_create(&file).unwrap();
    let (kind, error) = refusal(&file);
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(error.is_retryable());
    drop(first);
    assert!(RedbStorage::open(&file).is_ok());
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let (_folder, file) = folder_and_file();
    for content in [&b"not a store"[..], &[0; 8192], &[]] {
        private(&file, content);
        assert_eq!(refusal(&file).0, ErrorKind::StoreDamaged);
        let error = RedbStorage::open_or_create(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreDamaged);
        assert_eq!(fs::read(&file).unwrap(), content);
    }
}

#[test]
fn a_store_with_one_byte_changed_never_answers_something_else() {
    let (_folder, file) = folder_and_file();
    let storage = RedbStorage::open_or_create(&file).unwrap();
    let value = [0xA5; 2000];
    let version = block_on(storage.put("key", &value, Expected::Absent)).unwrap();
    drop(storage);
    let whole = fs::read(&file).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    let written: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let everywhere = (0..whole.len()).step_by(whole.len() / 20);
    for at in written.iter().copied().step_by(written.len() / 60).chain(everywhere) {
        private(&file, &whole);
        let mut opened = OpenOptions::new().write(true).open(&file).unwrap();
        opened.seek(SeekFrom::Start(at as u64)).unwrap();
        opened.write_all(&[whole[at] ^ 0x40]).unwrap();
        drop(opened);
        match RedbStorage::open(&file) {
            Err(error) => {
                let kinds = [ErrorKind::StoreDamaged, ErrorKind::Unsupported];
                assert!(kinds.contains(&error.kind()), "byte {at}: {error:?}");
                refused += 1;
            }
            Ok(storage) => {
                // A byte that nothing stands in.
                let held = block_on(storage.get("key")).unwrap().unwrap();
                assert_eq!((&held.value[..], held.version), (&value[..], version), "byte {at}");
                unharmed += 1;
            }
        }
    }
    assert!(refused > 0 && unharmed > 0, "{refused} refused, {unharmed} unharmed");
}

#[test]
fn of_threads_that_make_it_at_once_one_has_it_and_nothing_is_left_beside_it() {
    let (folder, file) = folder_and_file();
    for _ in 0..10 {
        let barrier = std::sync::Barrier::new(4);
        let race = || {
            barrier.wait();
            let opened = RedbStorage::open_or_create(&file);
            barrier.wait();
            opened.map(drop).map_err(|error| error.kind())
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        assert!(
            outcomes.iter().flat_map(|o| o.as_ref().err()).all(|k| *k == ErrorKind::Unavailable)
        );
        let names = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["store.redb"]);
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn what_a_process_killed_while_making_it_left_is_in_nobodys_way() {
    let (_folder, file) = folder_and_file();
    let mut left = file.clone().into_os_string();
    left.push(format!(".new-{}-0", std::process::id()));
    fs::write(&left, b"half a store").unwrap();
    assert!(RedbStorage::open_or_create(&file).is_ok());
}

#[test]
fn a_store_that_was_cut_off_is_damaged() {
    let (_folder, file) = folder_and_file();
    let storage = RedbStorage::open_or_create(&file).unwrap();
    block_on(storage.put("key", &[1; 60_000], Expected::Absent)).unwrap();
    drop(storage);
    let whole = fs::read(&file).unwrap();
    for part in [1, 2, 3, 7] {
        private(&file, &whole[..whole.len() * part / 8]);
        assert_eq!(refusal(&file).0, ErrorKind::StoreDamaged);
    }
}

/// Writes a file that only its owner can read.
fn private(path: &Path, content: &[u8]) {
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).unwrap().write_all(content).unwrap();
}
