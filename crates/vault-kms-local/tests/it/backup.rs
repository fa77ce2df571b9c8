//! Backups: complete, sealed, restorable on an empty machine, and never a silent step back.

use std::fs;

use pollster::block_on;
use vault_crypto_core::{ErrorKind, KeyConfig, KmsAdmin, KmsProvider, RotateOptions};
use vault_kms_local::{LocalKms, MasterSource, RestoreOptions};

use super::support::{DAY, Store, acme, key, kind, passphrase, sentence};

const WORDS: &str = "correct horse battery";

fn restore(
    store: &Store,
    from: &std::path::Path,
    options: RestoreOptions,
) -> vault_crypto_core::Result<LocalKms> {
    LocalKms::restore(store.config(), from, &passphrase(WORDS), options)
}

#[test]
fn a_backup_restores_every_key_on_a_machine_that_has_nothing_else() {
    let (store, kms) = Store::new();
    block_on(kms.create_key(KeyConfig::new("cards").with_tag("team", "pay"))).unwrap();
    let data_key = block_on(kms.generate_data_key(&key("cards"), &acme())).unwrap();
    block_on(kms.rotate_key(&key("cards"), RotateOptions::now())).unwrap();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();

    let fresh = Store::absent();
    let restored = restore(&fresh, &file, RestoreOptions::new()).unwrap();
    assert_eq!(restored.store_id(), kms.store_id());
    let opened = block_on(restored.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
    assert_eq!(&opened, data_key.plaintext());
    let all = |kms: &LocalKms| block_on(kms.list_keys(None, 100)).unwrap();
    assert_eq!(all(&restored), all(&kms));
    assert!(restored.generation().unwrap() > kms.generation().unwrap());
    drop(restored);
    // Under a master of the new machine's own, and usable like any store.
    assert_ne!(fs::read(fresh.file("master")).unwrap(), fs::read(store.file("master")).unwrap());
    block_on(fresh.open().unwrap().rotate_key(&key("cards"), RotateOptions::now())).unwrap();
}

#[test]
fn a_restored_store_can_have_another_kind_of_master() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    let fresh = Store::absent();
    let with = || fresh.config().with_master(MasterSource::Passphrase(passphrase("another one")));
    drop(LocalKms::restore(with(), &file, &passphrase(WORDS), RestoreOptions::new()).unwrap());
    assert!(!fresh.file("master").exists());
    assert_eq!(LocalKms::open(with()).unwrap().store_id(), kms.store_id());
}

#[test]
fn a_backup_is_never_written_over_a_file_nor_under_a_guessable_passphrase() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    fs::write(&file, b"precious").unwrap();
    assert_eq!(kind(kms.backup(&file, &passphrase(WORDS))), ErrorKind::Conflict);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    let other = store.beside("other");
    assert_eq!(kind(kms.backup(&other, &passphrase("1234567"))), ErrorKind::InvalidInput);
    let nowhere = store.beside("no/such/folder");
    assert_eq!(kind(kms.backup(&nowhere, &passphrase(WORDS))), ErrorKind::Io);
    assert!(!other.exists());
}

#[test]
fn of_backups_into_one_file_at_once_one_is_written_and_the_others_are_told() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    let start = std::sync::Barrier::new(4);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let backup = || {
            start.wait();
            kms.backup(&file, &passphrase(WORDS))
        };
        let running: Vec<_> = (0..4).map(|_| scope.spawn(backup)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    for refused in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(kind(refused), ErrorKind::Conflict);
    }
    restore(&Store::absent(), &file, RestoreOptions::new()).unwrap();
    let left = fs::read_dir(file.parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the store and the backup: {left:?}");
}

#[test]
fn a_restore_that_is_refused_makes_no_master_secret() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    let master = fs::read(store.file("master")).unwrap();
    fs::remove_file(store.file("master")).unwrap();
    let refused = restore(&store, &file, RestoreOptions::new());
    assert_eq!(kind(refused), ErrorKind::StoreDamaged);
    assert!(!store.file("master").exists());
    // Whoever finds the old one puts it back, and all is as before.
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut written = options.write(true).create_new(true).open(store.file("master")).unwrap();
    std::io::Write::write_all(&mut written, &master).unwrap();
    assert_eq!(store.open().unwrap().store_id(), kms.store_id());
}

#[test]
fn every_damaged_backup_is_refused_and_changes_nothing() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    let good = fs::read(&file).unwrap();
    let fresh = Store::absent();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&file, &bad).unwrap();
        let expected = if at == 4 { ErrorKind::Unsupported } else { ErrorKind::Malformed };
        assert_eq!(kind(restore(&fresh, &file, RestoreOptions::new())), expected, "byte {at}");
        fs::write(&file, &good[..at]).unwrap();
        let cut = restore(&fresh, &file, RestoreOptions::new());
        assert_eq!(kind(cut), ErrorKind::Malformed, "length {at}");
    }
    fs::write(&file, &good).unwrap();
    let wrong = passphrase("incorrect horse");
    let answer = LocalKms::restore(fresh.config(), &file, &wrong, RestoreOptions::new());
    assert_eq!(kind(answer), ErrorKind::PermissionDenied);
    let key_file = restore(&fresh, &store.file("keys.vks"), RestoreOptions::new());
    assert_eq!(kind(key_file), ErrorKind::Malformed);
    let missing = restore(&fresh, &store.beside("missing"), RestoreOptions::new());
    assert_eq!(kind(missing), ErrorKind::Io);
    assert_eq!(kind(restore(&fresh, &store.dir(), RestoreOptions::new())), ErrorKind::Io);
    assert!(!fresh.dir().exists());
}

#[test]
fn an_older_backup_replaces_the_store_only_when_asked() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    let answer = restore(&store, &file, RestoreOptions::new());
    assert!(sentence(answer).contains("older"));
    assert_eq!(block_on(kms.describe_key(&key("default"))).unwrap().versions.len(), 2);

    drop(restore(&store, &file, RestoreOptions::new().with_accept_older(true)).unwrap());
    // A program that runs sees the restored store: its generation is above both.
    assert_eq!(block_on(kms.describe_key(&key("default"))).unwrap().versions.len(), 1);
    assert_eq!(kms.generation().unwrap(), 3);
}

#[test]
fn a_backup_as_new_as_the_store_is_restored_without_asking() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    restore(&store, &file, RestoreOptions::new()).unwrap();
}

#[test]
fn a_damaged_store_is_replaced_only_when_its_age_is_waived() {
    let (store, kms) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    let damage: [&dyn Fn(); 4] = [
        &|| fs::write(store.file("keys.vks"), b"\xf8vks\x01 rubbish").unwrap(),
        &|| fs::remove_file(store.file("keys.vks")).unwrap(),
        &|| fs::remove_file(store.file("master")).unwrap(),
        &|| fs::write(store.file("generation"), b"rubbish").unwrap(),
    ];
    for (number, damage) in damage.iter().enumerate() {
        damage();
        let refused = restore(&store, &file, RestoreOptions::new());
        assert_eq!(kind(refused), ErrorKind::StoreDamaged, "damage {number}");
        let accepted = RestoreOptions::new().with_accept_older(true);
        let restored = restore(&store, &file, accepted).unwrap();
        assert_eq!(restored.store_id(), kms.store_id());
        drop(restored);
        store.open().unwrap();
    }
}

#[test]
fn another_store_is_overwritten_only_by_force() {
    let (store, kms) = Store::new();
    let (other_store, other) = Store::new();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    let options = RestoreOptions::new().with_accept_older(true);
    assert_eq!(kind(restore(&other_store, &file, options)), ErrorKind::Conflict);
    assert_eq!(other_store.open().unwrap().store_id(), other.store_id());
    // Also where the other store does not open.
    fs::remove_file(other_store.file("master")).unwrap();
    assert_eq!(kind(restore(&other_store, &file, options)), ErrorKind::Conflict);
    let restored = restore(&other_store, &file, options.with_replace_other(true)).unwrap();
    assert_eq!(restored.store_id(), kms.store_id());
}

#[test]
fn restoring_does_not_bring_back_a_key_whose_window_has_passed() {
    let (store, kms) = Store::new();
    block_on(kms.schedule_key_deletion(&key("default"), 7)).unwrap();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase(WORDS)).unwrap();
    store.clock.advance(8 * DAY);
    let restored = restore(&store, &file, RestoreOptions::new()).unwrap();
    let info = block_on(restored.describe_key(&key("default"))).unwrap();
    assert_eq!(info.state, vault_crypto_core::KeyState::Destroyed);
    assert_eq!(kind(block_on(restored.cancel_key_deletion(&key("default")))), ErrorKind::Conflict);
}
