//! `kill -9` at any moment of a rotation leaves the old store or the new one.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::{Clock as _, ErrorKind, KmsAdmin, KmsProvider, RotateOptions, SystemClock};
use vault_kms_local::{LocalKms, LocalKmsConfig};

use super::support::{Store, acme, key, names};

const CHILD_FOLDER: &str = "VAULTKIT_TEST_KILL_FOLDER";

/// Run by itself as the child of the same test: rotates until it is killed, and says after each
/// rotation that it is done.
#[test]
fn a_killed_rotation_leaves_the_old_store_or_the_new_one() {
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let kms = LocalKms::open(LocalKmsConfig::new(folder)).unwrap();
        loop {
            let rotated = block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
            eprintln!("rotated to {}", rotated.new_version);
        }
    }
    let (store, kms) = Store::new();
    let first = block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
    drop(kms);
    let mut last = 1u32;
    let mut in_between = 0;
    for round in 0..60u64 {
        // A different moment each time, after the child has begun to rotate.
        let announced = rotate_and_kill(&store, Duration::from_micros(round * 137));
        let kms = store.open().unwrap();
        let info = block_on(kms.describe_key(&key("default"))).unwrap();
        let now: u32 = info.primary_version.unwrap().as_str().parse().unwrap();
        assert!(now >= announced && announced > last, "{last}, {announced}, {now}");
        in_between += u32::from(now > announced);
        last = now;
        assert_eq!(info.versions.len(), usize::try_from(now).unwrap());
        assert_eq!(kms.generation().unwrap(), u64::from(now));
        let opened = block_on(kms.decrypt_data_key(first.wrapped(), &acme())).unwrap();
        assert_eq!(&opened, first.plaintext());
    }
    // Once the next writer has worked, nothing of the dead ones is left.
    block_on(store.open().unwrap().rotate_key(&key("default"), RotateOptions::now())).unwrap();
    assert_eq!(names(&store.dir()), ["generation", "keys.vks", "lock", "master"]);
    eprintln!("{in_between} of 60 kills came between writing and announcing");
}

/// The last version that the child announced.
fn rotate_and_kill(store: &Store, after: Duration) -> u32 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "it::kill::a_killed_rotation_leaves_the_old_store_or_the_new_one"])
        .arg("--nocapture")
        .env(CHILD_FOLDER, store.dir())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let version = |line: &str| line.strip_prefix("rotated to ").and_then(|v| v.parse().ok());
    let mut announced: u32 = version(&lines.next().unwrap().unwrap()).unwrap();
    block_on(SystemClock::new().sleep(after));
    child.kill().unwrap();
    child.wait().unwrap();
    // A line cut off by the kill does not count.
    for line in lines.map_while(Result::ok) {
        announced = version(&line).unwrap_or(announced).max(announced);
    }
    announced
}

/// Run by itself as the child of the same test, where no file may have a single byte.
#[test]
fn a_disk_that_takes_no_more_leaves_the_old_store_and_no_leftovers() {
    const NAME: &str = "it::kill::a_disk_that_takes_no_more_leaves_the_old_store_and_no_leftovers";
    const FOLDER: &str = "VAULTKIT_TEST_FULL_FOLDER";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let kms = LocalKms::open(LocalKmsConfig::new(folder)).unwrap();
        let rotated = block_on(kms.rotate_key(&key("default"), RotateOptions::now()));
        let error = rotated.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("keys.vks"), "{error}");
        block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
        return;
    }
    let (store, kms) = Store::new();
    let before = std::fs::read(store.file("keys.vks")).unwrap();
    let child = Command::new("sh")
        // A write past the limit is an error instead of a signal.
        .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(FOLDER, store.dir())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert_eq!(std::fs::read(store.file("keys.vks")).unwrap(), before);
    assert_eq!(names(&store.dir()), ["generation", "keys.vks", "lock", "master"]);
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
}
