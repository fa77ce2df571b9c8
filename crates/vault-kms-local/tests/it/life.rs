//! A key's life: created, rotated, staged, disabled, scheduled for deletion, erased; on a wall clock
//! moved by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::{
    Clock as _, ErrorKind, KeyConfig, KeyState, KeyUsage, KmsAdmin, KmsProvider, RotateOptions,
};

use super::support::{DAY, Store, acme, key, kind, secret};

#[test]
fn a_created_key_comes_back_after_reopening_with_everything_it_was_given() {
    let (store, kms) = Store::new();
    let config = KeyConfig::new("cards").with_description("card numbers").with_tag("team", "pay");
    let created = block_on(kms.create_key(config)).unwrap();
    assert_eq!(created.state, KeyState::Enabled);
    assert_eq!(created.created_at, Some(store.clock.now()));
    assert_eq!(created.rotated_at, None);
    drop(kms);
    let kms = store.open().unwrap();
    assert_eq!(block_on(kms.describe_key(&key("cards"))).unwrap(), created);
    assert_eq!(created.description, "card numbers");
    assert_eq!(created.tags["team"], "pay");
}

#[test]
fn a_taken_name_is_conflict_and_the_existing_key_is_unchanged() {
    let (_store, kms) = Store::new();
    let data_key = block_on(kms.generate_data_key(&key("default"), &acme())).unwrap();
    let before = block_on(kms.describe_key(&key("default"))).unwrap();
    let again = block_on(kms.create_key(KeyConfig::new("default").with_description("other")));
    assert_eq!(kind(again), ErrorKind::Conflict);
    assert_eq!(block_on(kms.describe_key(&key("default"))).unwrap(), before);
    let opened = block_on(kms.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
    assert_eq!(&opened, data_key.plaintext());
}

#[test]
fn names_tags_and_kinds_outside_the_rules_are_refused() {
    let (_store, kms) = Store::new();
    let long = "a".repeat(65);
    for name in ["", ".hidden", "-x", "a b", "a/b", "a#b", "ä", "a\n", long.as_str()] {
        let answer = block_on(kms.create_key(KeyConfig::new(name)));
        assert_eq!(kind(answer), ErrorKind::InvalidInput, "{name:?}");
    }
    block_on(kms.create_key(KeyConfig::new("a".repeat(64)))).unwrap();
    let config = KeyConfig::new("tagged").with_tag("", "x");
    assert_eq!(kind(block_on(kms.create_key(config))), ErrorKind::InvalidInput);
    let tags = BTreeMap::from([("name".to_owned(), "x".repeat(257))]);
    assert_eq!(kind(block_on(kms.tag_key(&key("default"), tags))), ErrorKind::InvalidInput);
    let mut signing = KeyConfig::new("signing");
    signing.usage = KeyUsage::SignVerify;
    assert_eq!(kind(block_on(kms.create_key(signing))), ErrorKind::Unsupported);
}

#[test]
fn a_staged_version_waits_and_promotion_makes_it_the_one_that_wraps() {
    let (store, kms) = Store::new();
    let default = key("default");
    let staged = block_on(kms.rotate_key(&default, RotateOptions::staged())).unwrap();
    assert!(staged.staged);
    assert_eq!(staged.new_version.as_str(), "2");
    let states = |kms: &vault_kms_local::LocalKms| -> Vec<KeyState> {
        let info = block_on(kms.describe_key(&default)).unwrap();
        info.versions.iter().map(|version| version.state).collect()
    };
    assert_eq!(states(&kms), [KeyState::Enabled, KeyState::Staged]);
    let wrap = || block_on(kms.wrap_data_key(&default, &secret(b"x"), &acme())).unwrap();
    assert_eq!(wrap().version.as_str(), "1");
    for options in [RotateOptions::staged(), RotateOptions::now()] {
        assert_eq!(kind(block_on(kms.rotate_key(&default, options))), ErrorKind::Conflict);
    }
    store.clock.advance(Duration::from_secs(60));
    let promoted = block_on(kms.promote_key(&default)).unwrap();
    assert!(!promoted.staged);
    assert_eq!(wrap().version.as_str(), "2");
    assert_eq!(states(&kms), [KeyState::DecryptOnly, KeyState::Enabled]);
    let info = block_on(kms.describe_key(&default)).unwrap();
    assert_eq!(info.rotated_at, Some(store.clock.now()));
    assert_eq!(kind(block_on(kms.promote_key(&default))), ErrorKind::Conflict);
}

#[test]
fn a_disabled_key_does_nothing_until_it_is_enabled_again() {
    let (_store, kms) = Store::new();
    let default = key("default");
    let data_key = block_on(kms.generate_data_key(&default, &acme())).unwrap();
    block_on(kms.disable_key(&default)).unwrap();
    block_on(kms.disable_key(&default)).unwrap();
    assert_eq!(kind(block_on(kms.generate_data_key(&default, &acme()))), ErrorKind::KeyUnusable);
    let unwrapped = block_on(kms.decrypt_data_key(data_key.wrapped(), &acme()));
    assert_eq!(kind(unwrapped), ErrorKind::KeyUnusable);
    let rotated = block_on(kms.rotate_key(&default, RotateOptions::now()));
    assert_eq!(kind(rotated), ErrorKind::KeyUnusable);
    assert_eq!(kind(block_on(kms.promote_key(&default))), ErrorKind::KeyUnusable);
    assert_eq!(block_on(kms.describe_key(&default)).unwrap().state, KeyState::Disabled);
    block_on(kms.enable_key(&default)).unwrap();
    let generation = kms.generation().unwrap();
    block_on(kms.enable_key(&default)).unwrap();
    assert_eq!(kms.generation().unwrap(), generation, "enabling an enabled key writes nothing");
    block_on(kms.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
}

#[test]
fn deletion_waits_its_window_and_can_be_taken_back_within_it() {
    let (store, kms) = Store::new();
    let default = key("default");
    for days in [0, 6, 31, u32::MAX] {
        let answer = block_on(kms.schedule_key_deletion(&default, days));
        assert_eq!(kind(answer), ErrorKind::InvalidInput, "{days}");
    }
    let info = block_on(kms.schedule_key_deletion(&default, 7)).unwrap();
    assert_eq!(info.state, KeyState::PendingDeletion);
    assert_eq!(info.deletion_at, Some(store.clock.now() + 7 * DAY));
    assert_eq!(kind(block_on(kms.generate_data_key(&default, &acme()))), ErrorKind::KeyUnusable);
    assert_eq!(kind(block_on(kms.enable_key(&default))), ErrorKind::KeyUnusable);
    let again = block_on(kms.schedule_key_deletion(&default, 30));
    assert_eq!(kind(again), ErrorKind::Conflict);
    store.clock.advance(7 * DAY - Duration::from_secs(1));
    block_on(kms.cancel_key_deletion(&default)).unwrap();
    let info = block_on(kms.describe_key(&default)).unwrap();
    assert_eq!((info.state, info.deletion_at), (KeyState::Disabled, None));
    assert_eq!(kind(block_on(kms.cancel_key_deletion(&default))), ErrorKind::Conflict);
    block_on(kms.enable_key(&default)).unwrap();
    block_on(kms.generate_data_key(&default, &acme())).unwrap();
}

#[test]
fn when_the_window_has_passed_the_next_opening_erases_the_material() {
    let (store, kms) = Store::new();
    let default = key("default");
    let data_key = block_on(kms.generate_data_key(&default, &acme())).unwrap();
    block_on(kms.schedule_key_deletion(&default, 7)).unwrap();
    let size = || std::fs::metadata(store.file("keys.vks")).unwrap().len();
    let with_material = size();
    store.clock.advance(7 * DAY);
    // The running program already says so ...
    assert_eq!(block_on(kms.describe_key(&default)).unwrap().state, KeyState::Destroyed);
    assert_eq!(kind(block_on(kms.cancel_key_deletion(&default))), ErrorKind::Conflict);
    drop(kms);
    let kms = store.open().unwrap();
    // ... and the file has lost version number, time and material of the one version.
    assert_eq!(with_material - size(), 4 + 8 + 32);
    let info = block_on(kms.describe_key(&default)).unwrap();
    assert_eq!(info.state, KeyState::Destroyed);
    assert!(info.versions.is_empty());
    let opened = block_on(kms.decrypt_data_key(data_key.wrapped(), &acme()));
    assert_eq!(kind(opened), ErrorKind::KeyUnusable);
    for answer in [block_on(kms.enable_key(&default)), block_on(kms.disable_key(&default))] {
        assert_eq!(kind(answer), ErrorKind::KeyUnusable);
    }
    // The name stays taken, so that old messages are explained instead of failing to authenticate.
    assert_eq!(kind(block_on(kms.create_key(KeyConfig::new("default")))), ErrorKind::Conflict);
}

#[test]
fn opening_alone_erases_what_is_due() {
    let (store, kms) = Store::new();
    block_on(kms.schedule_key_deletion(&key("default"), 7)).unwrap();
    let generation = kms.generation().unwrap();
    drop(kms);
    store.clock.advance(8 * DAY);
    let kms = store.open().unwrap();
    assert_eq!(kms.generation().unwrap(), generation + 1);
}

#[test]
fn walking_the_pages_names_every_key_once_in_order() {
    let (_store, kms) = Store::new();
    for name in ["Zeta", "alpha", "b.1", "b-1", "0"] {
        block_on(kms.create_key(KeyConfig::new(name))).unwrap();
    }
    let mut walked = Vec::new();
    loop {
        let page = block_on(kms.list_keys(walked.last(), 2)).unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        walked.extend(page.into_iter().map(|info| info.key_id));
    }
    let expected = ["0", "Zeta", "alpha", "b-1", "b.1", "default"];
    assert_eq!(walked, expected.map(|name| kms.key_id(name)));
    assert!(walked.is_sorted());
    assert_eq!(kind(block_on(kms.list_keys(None, 0))), ErrorKind::InvalidInput);
}

#[test]
fn tags_are_replaced_and_the_mark_of_a_leaked_key_stays() {
    let (store, kms) = Store::new();
    let default = key("default");
    for tags in [BTreeMap::from([("a".to_owned(), "1".to_owned())]), BTreeMap::new()] {
        block_on(kms.tag_key(&default, tags.clone())).unwrap();
        assert_eq!(block_on(kms.describe_key(&default)).unwrap().tags, tags);
    }
    block_on(kms.mark_compromised(&default)).unwrap();
    block_on(kms.rotate_key(&default, RotateOptions::now())).unwrap();
    assert!(block_on(store.open().unwrap().describe_key(&default)).unwrap().compromised);
}

#[test]
fn every_admin_call_on_an_unknown_key_is_key_not_found() {
    let (_store, kms) = Store::new();
    let missing = key("missing");
    let answers = [
        block_on(kms.rotate_key(&missing, RotateOptions::now())).err(),
        block_on(kms.promote_key(&missing)).err(),
        block_on(kms.enable_key(&missing)).err(),
        block_on(kms.disable_key(&missing)).err(),
        block_on(kms.schedule_key_deletion(&missing, 7)).err(),
        block_on(kms.cancel_key_deletion(&missing)).err(),
        block_on(kms.tag_key(&missing, BTreeMap::new())).err(),
        block_on(kms.mark_compromised(&missing)).err(),
        block_on(kms.describe_key(&missing)).err(),
    ];
    for error in answers {
        assert_eq!(error.unwrap().kind(), ErrorKind::KeyNotFound);
    }
}
