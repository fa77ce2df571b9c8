//! Damaged, cut, older and newer files: each its kind, a sentence, and nothing lost.

use std::fs;

use pollster::block_on;
use vault_crypto_core::{ErrorKind, KmsAdmin, KmsProvider, RotateOptions};

use super::support::{Store, acme, key, kind, sentence};

#[test]
fn every_flipped_bit_of_the_key_file_is_damage_or_a_newer_version() {
    let (store, kms) = Store::new();
    drop(kms);
    let path = store.file("keys.vks");
    let good = fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bad).unwrap();
        // Byte 4 is the version, 1: a flip makes it 0 or a later one.
        let expected = match bad[4] {
            0 | 1 => ErrorKind::StoreDamaged,
            _ => ErrorKind::Unsupported,
        };
        assert_eq!(kind(store.open()), expected, "bit {bit}");
    }
    fs::write(&path, &good).unwrap();
    store.open().unwrap();
}

#[test]
fn every_truncation_and_every_extension_of_the_key_file_is_damage() {
    let (store, kms) = Store::new();
    drop(kms);
    let path = store.file("keys.vks");
    let good = fs::read(&path).unwrap();
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        assert_eq!(kind(store.open()), ErrorKind::StoreDamaged, "length {len}");
    }
    fs::write(&path, [&good[..], b"\0"].concat()).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
}

#[test]
fn every_flipped_bit_and_truncation_of_the_generation_file_is_damage() {
    let (store, kms) = Store::new();
    drop(kms);
    let path = store.file("generation");
    let good = fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bad).unwrap();
        assert_eq!(kind(store.open()), ErrorKind::StoreDamaged, "bit {bit}");
    }
    for len in 0..good.len() {
        fs::write(&path, &good[..len]).unwrap();
        assert_eq!(kind(store.open()), ErrorKind::StoreDamaged, "length {len}");
    }
}

#[test]
fn every_flipped_bit_of_the_master_is_refused() {
    let (store, kms) = Store::new();
    drop(kms);
    let path = store.file("master");
    let good = fs::read(&path).unwrap();
    for bit in 0..64 * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // A letter's case means nothing.
        if bad.eq_ignore_ascii_case(&good) {
            continue;
        }
        fs::write(&path, &bad).unwrap();
        let kind = kind(store.open());
        let refused = matches!(kind, ErrorKind::StoreDamaged | ErrorKind::PermissionDenied);
        assert!(refused, "bit {bit}: {kind:?}");
    }
}

#[test]
fn a_lying_body_length_and_a_file_of_gigabytes_allocate_nothing() {
    let (store, kms) = Store::new();
    drop(kms);
    let path = store.file("keys.vks");
    let good = fs::read(&path).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let text = sentence(store.open());
    assert!(text.contains("more than"), "{text}");
    drop(file);
    fs::write(&path, &good).unwrap();
    let mut lying = good;
    lying[52..56].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(!vault_kms_local::fuzz::parse_key_file(&lying));
    fs::write(&path, lying).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
}

#[test]
fn a_newer_form_says_to_update_the_program() {
    let (store, kms) = Store::new();
    drop(kms);
    fs::write(store.file("keys.vks"), b"\xf8vks\x02whatever comes then").unwrap();
    assert_eq!(kind(store.open()), ErrorKind::Unsupported);
    assert!(sentence(store.open()).contains("newer program"));
}

#[test]
fn an_old_key_file_put_back_is_refused() {
    let (store, kms) = Store::new();
    let path = store.file("keys.vks");
    let old = fs::read(&path).unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    let new = fs::read(&path).unwrap();
    fs::write(&path, &old).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
    assert!(sentence(store.open()).contains("old copy"));
    let running = block_on(kms.generate_data_key(&key("default"), &acme()));
    assert_eq!(kind(running), ErrorKind::StoreDamaged);
    let rotated = block_on(kms.rotate_key(&key("default"), RotateOptions::now()));
    assert_eq!(kind(rotated), ErrorKind::StoreDamaged);
    fs::write(&path, &new).unwrap();
    block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
}

#[test]
fn an_old_key_file_with_its_old_generation_is_refused_by_a_program_that_saw_the_new_one() {
    let (store, kms) = Store::new();
    let old = ["keys.vks", "generation"].map(|name| (name, fs::read(store.file(name)).unwrap()));
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    for (name, bytes) in old {
        fs::write(store.file(name), bytes).unwrap();
    }
    let running = block_on(kms.generate_data_key(&key("default"), &acme()));
    assert_eq!(kind(running), ErrorKind::StoreDamaged);
    // A program started now cannot know: docs/LOCAL-STORE.md says so.
    store.open().unwrap();
}

#[test]
fn a_writer_that_died_between_the_two_files_is_finished_by_opening() {
    let (store, kms) = Store::new();
    let path = store.file("generation");
    let behind = fs::read(&path).unwrap();
    let old = fs::read(store.file("keys.vks")).unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    let finished = fs::read(&path).unwrap();
    drop(kms);
    fs::write(&path, &behind).unwrap();
    assert_eq!(store.open().unwrap().generation().unwrap(), 2);
    assert_eq!(fs::read(&path).unwrap(), finished, "the record is repaired");
    fs::write(store.file("keys.vks"), old).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
}

#[test]
fn a_maker_that_died_before_the_first_record_is_finished_by_opening() {
    let (store, kms) = Store::new();
    drop(kms);
    let path = store.file("generation");
    let record = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    store.open().unwrap();
    assert_eq!(fs::read(&path).unwrap(), record);
    // Later its absence is an attack or an accident.
    let kms = store.open().unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::StoreDamaged);
}

#[test]
fn another_store_put_in_its_place_is_refused_while_running_and_by_its_master() {
    let (store, kms) = Store::new();
    let (other_store, other) = Store::new();
    drop(other);
    fs::copy(other_store.file("keys.vks"), store.file("keys.vks")).unwrap();
    assert_eq!(kind(store.open()), ErrorKind::PermissionDenied);
    let running = block_on(kms.generate_data_key(&key("default"), &acme()));
    assert_eq!(kind(running), ErrorKind::PermissionDenied);
}
