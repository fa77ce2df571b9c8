//! The files: modes, owners, links, leftovers, and what another program sees.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use pollster::block_on;
use vault_crypto_core::{ErrorKind, KmsAdmin, KmsProvider, RotateOptions};
use vault_kms_local::{Created, LocalKms};

use super::support::{Store, acme, key, kind, names, sentence};

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_new_store_is_for_its_owner_alone() {
    let (store, _kms) = Store::new();
    assert_eq!(fs::metadata(store.dir()).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(names(&store.dir()), ["generation", "keys.vks", "lock", "master"]);
    for name in names(&store.dir()) {
        assert_eq!(fs::metadata(store.file(&name)).unwrap().mode() & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn the_second_use_opens_what_the_first_made() {
    let store = Store::absent();
    let (first, created) = LocalKms::open_or_create(store.config()).unwrap();
    assert_eq!(created, Created::Now);
    let (second, created) = LocalKms::open_or_create(store.config()).unwrap();
    assert_eq!(created, Created::Before);
    assert_eq!(first.store_id(), second.store_id());
}

#[test]
fn opening_makes_nothing() {
    let store = Store::absent();
    assert_eq!(kind(store.open()), ErrorKind::Unavailable);
    assert!(!store.dir().exists());
    fs::create_dir(store.dir()).unwrap();
    chmod(&store.dir(), 0o700);
    assert_eq!(kind(store.open()), ErrorKind::Unavailable);
    assert!(names(&store.dir()).is_empty());
}

#[test]
fn files_that_others_can_reach_are_refused_with_the_command_that_helps() {
    for (name, mode) in
        [("keys.vks", 0o644), ("master", 0o640), ("generation", 0o606), ("keys.vks", 0o620)]
    {
        let (store, kms) = Store::new();
        drop(kms);
        chmod(&store.file(name), mode);
        let opened = store.open();
        let text = sentence(opened);
        assert!(text.contains("key store is damaged"), "{text}");
        assert!(text.contains(&format!("chmod 600 {}", store.file(name).display())), "{text}");
        chmod(&store.file(name), 0o600);
        store.open().unwrap();
    }
    let (store, kms) = Store::new();
    drop(kms);
    chmod(&store.dir(), 0o750);
    assert!(sentence(store.open()).contains("chmod 700"));
    let (store, kms) = Store::new();
    chmod(&store.file("lock"), 0o666);
    let rotated = block_on(kms.rotate_key(&key("default"), RotateOptions::now()));
    assert_eq!(kind(rotated), ErrorKind::StoreDamaged);
    drop(store);
}

#[test]
fn a_running_program_refuses_a_key_file_that_others_were_given() {
    let (store, kms) = Store::new();
    chmod(&store.file("keys.vks"), 0o644);
    let answer = block_on(kms.generate_data_key(&key("default"), &acme()));
    assert_eq!(kind(answer), ErrorKind::StoreDamaged);
    assert!(!block_on(kms.health_check()).unwrap().healthy);
    chmod(&store.file("keys.vks"), 0o600);
    block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
    assert!(block_on(kms.health_check()).unwrap().healthy);
}

#[test]
fn files_of_another_user_are_refused() {
    // Only root can give a file away; another user cannot bring this state about at all.
    let (store, kms) = Store::new();
    drop(kms);
    let other = fs::metadata(store.dir()).unwrap().uid() + 1;
    match std::os::unix::fs::chown(store.file("keys.vks"), Some(other), None) {
        Ok(()) => assert!(sentence(store.open()).contains("chown")),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[test]
fn links_folders_and_pipes_in_place_of_a_file_are_refused() {
    for name in ["keys.vks", "master", "generation", "lock"] {
        let (store, kms) = Store::new();
        let (file, aside) = (store.file(name), store.beside("aside"));
        fs::rename(&file, &aside).unwrap();
        let touch = || match name {
            "lock" => block_on(kms.rotate_key(&key("default"), RotateOptions::now())).map(|_| ()),
            _ => store.open().map(|_| ()),
        };

        symlink(&aside, &file).unwrap();
        assert_eq!(kind(touch()), ErrorKind::StoreDamaged, "{name}: link");
        fs::remove_file(&file).unwrap();

        fs::create_dir(&file).unwrap();
        assert_eq!(kind(touch()), ErrorKind::StoreDamaged, "{name}: folder");
        fs::remove_dir(&file).unwrap();

        let listener = std::os::unix::net::UnixListener::bind(&file).unwrap();
        assert_eq!(kind(touch()), ErrorKind::StoreDamaged, "{name}: socket");
        drop(listener);
        fs::remove_file(&file).unwrap();

        fs::rename(&aside, &file).unwrap();
        touch().unwrap();
    }
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let store = Store::absent();
    fs::write(store.dir(), b"").unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
    assert_eq!(kind(LocalKms::open_or_create(store.config())), ErrorKind::StoreDamaged);
}

#[test]
fn leftovers_of_a_dead_writer_are_removed_by_the_next() {
    let (store, kms) = Store::new();
    let leftover = store.file(".keys.vks.0011223344556677.vks-tmp");
    fs::write(&leftover, b"half a key file").unwrap();
    fs::write(store.file("notes.txt"), b"not ours").unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    assert_eq!(names(&store.dir()), ["generation", "keys.vks", "lock", "master", "notes.txt"]);
}

#[test]
fn a_change_by_another_program_is_seen_at_once() {
    let (store, reader) = Store::new();
    let writer = store.open().unwrap();
    let default = key("default");
    for version in ["2", "3"] {
        block_on(writer.rotate_key(&default, RotateOptions::now())).unwrap();
        let data_key = block_on(reader.generate_data_key(&default, &acme())).unwrap();
        assert_eq!(data_key.wrapped().version.as_str(), version);
    }
    block_on(writer.disable_key(&default)).unwrap();
    let answer = block_on(reader.generate_data_key(&default, &acme()));
    assert_eq!(kind(answer), ErrorKind::KeyUnusable);
}

#[test]
fn a_missing_key_file_is_a_loss_and_no_reason_for_a_new_store() {
    let (store, kms) = Store::new();
    fs::remove_file(store.file("keys.vks")).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
    assert_eq!(kind(LocalKms::open_or_create(store.config())), ErrorKind::StoreDamaged);
    let answer = block_on(kms.generate_data_key(&key("default"), &acme()));
    assert_eq!(kind(answer), ErrorKind::StoreDamaged);
}

#[test]
fn a_missing_master_is_a_loss_and_no_reason_for_a_new_one() {
    let (store, kms) = Store::new();
    drop(kms);
    fs::remove_file(store.file("master")).unwrap();
    for answer in [store.open(), LocalKms::open_or_create(store.config()).map(|(kms, _)| kms)] {
        let text = sentence(answer);
        assert!(text.contains("master") && text.contains("backup"), "{text}");
    }
    assert!(!store.file("master").exists());
}

#[test]
fn a_maker_that_died_after_the_master_is_finished_by_the_next() {
    let (store, kms) = Store::new();
    let id = kms.store_id();
    drop(kms);
    for name in ["keys.vks", "generation", "lock"] {
        fs::remove_file(store.file(name)).unwrap();
    }
    let master = fs::read(store.file("master")).unwrap();
    let (kms, created) = LocalKms::open_or_create(store.config()).unwrap();
    assert_eq!(created, Created::Now);
    assert_ne!(kms.store_id(), id);
    assert_eq!(fs::read(store.file("master")).unwrap(), master);
}
