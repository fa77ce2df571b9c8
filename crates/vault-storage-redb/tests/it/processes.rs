//! Processes that share a store's file, or die while they write it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::storage::{Expected, StorageVersion};
use vault_crypto_core::{Clock as _, ErrorKind, StorageBackend, SystemClock};
use vault_storage_redb::RedbStorage;

const CHILD_FILE: &str = "VAULTKIT_TEST_REDB_FILE";
const ROUNDS: u64 = 25;

/// Run by itself as the child of the same test: changes the store until it is killed, and says after
/// each change what was answered.
#[test]
fn a_killed_process_takes_no_answered_change_with_it() {
    if let Some(file) = std::env::var_os(CHILD_FILE) {
        let storage = RedbStorage::open(file).unwrap();
        for turn in 0_u64.. {
            let key = format!("key-{}", turn % 5);
            let held = block_on(storage.get(&key)).unwrap().map(|held| held.version);
            let expected = held.map_or(Expected::Absent, Expected::Version);
            let put = block_on(storage.put(&key, &value_of(&key), expected)).unwrap();
            eprintln!("put {key} {put}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    drop(RedbStorage::open_or_create(&file).unwrap());
    let mut answered = 0;
    for round in 0..ROUNDS {
        let last = write_and_kill(&file, Duration::from_micros(round * 311));
        let storage = RedbStorage::open(&file).unwrap();
        for (key, version) in &last {
            let held = block_on(storage.get(key)).unwrap().unwrap();
            // The child may have come one change further than it could say.
            assert!(held.version >= *version, "round {round}: {key} fell back");
            assert_eq!(held.value, value_of(key), "round {round}: a value in part");
        }
        let page = block_on(storage.list("", None, 1000)).unwrap();
        assert!(page.entries.len() >= last.len());
        answered += last.len();
    }
    assert!(answered > 0);
}

fn value_of(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(3000).collect()
}

/// The newest version of each key that the child said was answered.
fn write_and_kill(file: &Path, after: Duration) -> BTreeMap<String, StorageVersion> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it::processes::a_killed_process_takes_no_answered_change_with_it"])
        .arg("--nocapture")
        .env(CHILD_FILE, file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut last = BTreeMap::new();
    let mut note = |line: &str| {
        let mut words = line.split(' ');
        if let (Some("put"), Some(key), Some(version)) = (words.next(), words.next(), words.next())
            && let Ok(version) = version.parse()
        {
            last.insert(key.to_owned(), StorageVersion::new(version));
        }
    };
    note(&lines.next().unwrap().unwrap());
    // While it lives, the file is its own.
    assert_eq!(RedbStorage::open(file).unwrap_err().kind(), ErrorKind::Unavailable);
    block_on(SystemClock::new().sleep(after));
    child.kill().unwrap();
    child.wait().unwrap();
    // A line that the kill cut off names a version with fewer digits, which only asks for less.
    lines.map_while(Result::ok).for_each(|line| note(&line));
    last
}
