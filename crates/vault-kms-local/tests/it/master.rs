//! Where the master secret may come from, and what a wrong one answers.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::process::Command;

use pollster::block_on;
use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::{ErrorKind, KmsAdmin, KmsProvider, RotateOptions};
use vault_kms_local::{LocalKms, LocalKmsConfig, MasterSource};

use super::support::{Store, acme, key, kind, names, passphrase, sentence};

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

#[test]
fn a_store_under_a_passphrase_opens_with_it_and_nothing_else() {
    let store = Store::absent();
    let with = |text: &str| store.config().with_master(MasterSource::Passphrase(passphrase(text)));
    let (kms, _) = LocalKms::open_or_create(with("correct horse battery")).unwrap();
    assert_eq!(names(&store.dir()), ["generation", "keys.vks", "lock"]);
    let data_key = block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    drop(kms);
    let kms = LocalKms::open(with("correct horse battery")).unwrap();
    let opened = block_on(kms.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
    assert_eq!(&opened, data_key.plaintext());
    assert_eq!(kind(LocalKms::open(with("correct horse batterz"))), ErrorKind::PermissionDenied);
    let text = sentence(LocalKms::open(store.config().with_master(descriptor(HEX))));
    assert!(text.contains("passphrase"), "{text}");
}

#[test]
fn a_short_passphrase_and_a_cheap_or_ruinous_cost_are_refused_for_a_new_store() {
    let store = Store::absent();
    let make = |text: &str, cost: Argon2Params| {
        let master = MasterSource::Passphrase(passphrase(text));
        LocalKms::open_or_create(store.config().with_master(master).with_passphrase_cost(cost))
    };
    assert_eq!(kind(make("short", Argon2Params::default())), ErrorKind::InvalidInput);
    let long = "correct horse battery";
    assert_eq!(kind(make(long, Argon2Params::new(8, 1, 1))), ErrorKind::InvalidInput);
    assert_eq!(kind(make(long, Argon2Params::new(u32::MAX, 3, 4))), ErrorKind::LimitExceeded);
    assert!(!store.file("keys.vks").exists());
}

#[test]
fn a_key_file_that_asks_for_ruinous_work_is_refused_before_any_is_done() {
    let store = Store::absent();
    let with = || store.config().with_master(MasterSource::Passphrase(passphrase("long enough")));
    drop(LocalKms::open_or_create(with()).unwrap());
    let path = store.file("keys.vks");
    let good = fs::read(&path).unwrap();
    // Memory, passes, lanes; with a checksum that fits, as an attacker would make it.
    for (at, value) in [(24, 1u32 << 21), (24, 8), (28, 17), (28, 1), (32, 17), (32, 0)] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&value.to_be_bytes());
        let end = bad.len() - 32;
        let checksum = <sha2::Sha256 as sha2::Digest>::digest(&bad[..end]);
        bad[end..].copy_from_slice(&checksum);
        fs::write(&path, bad).unwrap();
        assert_eq!(kind(LocalKms::open(with())), ErrorKind::StoreDamaged, "{value} at {at}");
    }
}

#[test]
fn the_same_secret_from_a_variable_and_a_descriptor_opens_the_same_store() {
    let store = Store::absent();
    let (kms, _) = LocalKms::open_or_create(store.config().with_master(descriptor(HEX))).unwrap();
    let id = kms.store_id();
    drop(kms);
    for text in [HEX, BASE64] {
        let path = store.beside("secret");
        fs::write(&path, text).unwrap();
        let file = fs::File::open(&path).unwrap();
        let master = MasterSource::Fd(file.as_raw_fd());
        let kms = LocalKms::open(store.config().with_master(master)).unwrap();
        assert_eq!(kms.store_id(), id);
    }
    let (mut ours, theirs) = std::io::pipe().map(|(reader, writer)| (writer, reader)).unwrap();
    std::io::Write::write_all(&mut ours, BASE64.as_bytes()).unwrap();
    drop(ours);
    let master = MasterSource::Fd(theirs.as_raw_fd());
    assert_eq!(LocalKms::open(store.config().with_master(master)).unwrap().store_id(), id);
    let text = sentence(store.open());
    assert!(text.contains("master"), "{text}");
}

/// Run by itself as the child of the same test, with the secret in its environment.
#[test]
fn the_secret_from_an_environment_variable_opens_the_store() {
    let master = || MasterSource::Env("VAULTKIT_TEST_MASTER".to_owned());
    if let Some(folder) = std::env::var_os("VAULTKIT_TEST_MASTER_FOLDER") {
        LocalKms::open(LocalKmsConfig::new(folder).with_master(master())).unwrap();
        return;
    }
    let store = Store::absent();
    let config = store.config().with_master(descriptor(HEX));
    drop(LocalKms::open_or_create(config).unwrap());
    let opens_with = |secret: &str| {
        let name = "it::master::the_secret_from_an_environment_variable_opens_the_store";
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name]).env("VAULTKIT_TEST_MASTER_FOLDER", store.dir());
        child.env("VAULTKIT_TEST_MASTER", secret).output().unwrap().status.success()
    };
    assert!(opens_with(HEX));
    assert!(opens_with(BASE64));
    assert!(!opens_with(&HEX.replace("00", "01")));
    assert!(!opens_with(""));
}

#[test]
fn a_missing_or_malformed_secret_is_refused_without_being_shown() {
    let store = Store::absent();
    let missing = MasterSource::Env("VAULTKIT_TEST_NO_SUCH_VARIABLE".to_owned());
    let opened = LocalKms::open_or_create(store.config().with_master(missing));
    assert_eq!(kind(opened), ErrorKind::PermissionDenied);
    for bad in ["", "00", &HEX[1..], "not hex but of the length that sixty-four hex digits hav"] {
        let path = store.beside("secret");
        fs::write(&path, bad).unwrap();
        let file = fs::File::open(&path).unwrap();
        let master = MasterSource::Fd(file.as_raw_fd());
        let opened = LocalKms::open_or_create(store.config().with_master(master));
        let text = sentence(opened);
        assert!(bad.len() < 10 || !text.contains(bad), "{text}");
    }
    let closed = MasterSource::Fd(987_654);
    let opened = LocalKms::open_or_create(store.config().with_master(closed));
    assert_eq!(kind(opened), ErrorKind::Unavailable);
    assert!(!store.file("keys.vks").exists());
}

/// A descriptor that stays open for the rest of the test run.
fn descriptor(secret: &str) -> MasterSource {
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, secret.as_bytes()).unwrap();
    let number = file.as_raw_fd();
    std::mem::forget(file);
    MasterSource::Fd(number)
}

#[test]
fn a_store_tells_whether_it_wants_a_passphrase_before_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, locked) = (folder.path().join("plain"), folder.path().join("locked"));
    LocalKms::open_or_create(LocalKmsConfig::new(&plain)).unwrap();
    let cost = Argon2Params::new(19_456, 2, 1);
    let master = MasterSource::Passphrase("correct horse".to_owned().into());
    let config = LocalKmsConfig::new(&locked).with_master(master).with_passphrase_cost(cost);
    LocalKms::open_or_create(config).unwrap();
    let wants =
        [&plain, &locked, &folder.path().join("none")].map(|dir| LocalKms::wants_passphrase(dir));
    assert_eq!(wants, [false, true, false]);
}
