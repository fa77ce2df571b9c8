//! `vaultkit keys`: the life of a key, and what it means for what was sealed under it.

use super::support::Desk;

#[test]
fn a_rotation_takes_effect_at_once_and_a_staged_one_when_promoted() {
    let desk = Desk::with_store();
    let version = |name: &str| {
        desk.write(name, "text");
        desk.done(["seal", name, "--force"]);
        let shown = desk.done(["inspect", &format!("{name}.vk")]).out;
        let shown = String::from_utf8(shown).unwrap();
        shown.split("version ").nth(1).unwrap().chars().next().unwrap()
    };
    assert_eq!(version("a"), '1');
    desk.done(["keys", "rotate", "default"]);
    assert_eq!(version("b"), '2');
    desk.done(["keys", "rotate", "default", "--stage"]);
    assert_eq!(version("c"), '2');
    desk.fails(4, "staged", ["keys", "rotate", "default"]);
    desk.done(["keys", "promote", "default"]);
    assert_eq!(version("d"), '3');
    desk.done(["verify", "a.vk", "b.vk", "c.vk", "d.vk"]);
}

#[test]
fn a_disabled_or_deleted_key_neither_seals_nor_opens_until_it_is_back() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    let refused = |word: &str| {
        desk.fails(4, word, ["seal", "a", "-o", "x"]);
        desk.fails(4, word, ["open", "a.vk", "-o", "x"]);
        desk.fails(4, word, ["verify", "a.vk"]);
    };
    desk.done(["keys", "disable", "default"]);
    refused("enable");
    desk.done(["keys", "enable", "default"]);
    desk.done(["verify", "a.vk"]);
    let ended = desk.done(["keys", "delete", "default", "--days", "7"]);
    assert!(ended.err.contains("cancel-delete"), "{}", ended.err);
    refused("cancel");
    desk.done(["keys", "cancel-delete", "default"]);
    refused("enable");
    desk.done(["keys", "enable", "default"]);
    desk.done(["verify", "a.vk"]);
}

#[test]
fn more_keys_than_a_page_are_all_listed() {
    let desk = Desk::with_store();
    for n in 0..101 {
        desk.done(["keys".to_owned(), "create".to_owned(), format!("k{n:03}")]);
    }
    let out = String::from_utf8(desk.done(["keys", "list"]).out).unwrap();
    assert_eq!(out.lines().count(), 102);
    assert!(out.contains("#k000 ") && out.contains("#k100 ") && out.contains("#default "));
}

#[test]
fn a_lost_store_comes_back_from_its_backup() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    desk.write("pass", "correct horse battery\n");
    let backup =
        |rest: &str| desk.shell(&format!("\"$V\" keys {rest} --backup-passphrase-fd 3 3< pass"));
    let made = backup("backup store.backup");
    assert_eq!(made.code, 0, "{}", made.err);
    assert_eq!(backup("backup store.backup").code, 5, "an existing backup is kept");
    std::fs::remove_dir_all(desk.store()).unwrap();
    desk.fails(4, "no key store", ["open", "a.vk", "-o", "x"]);
    assert!(!desk.store().exists(), "open makes no store");
    let restored = backup("restore store.backup");
    assert_eq!(restored.code, 0, "{}", restored.err);
    desk.done(["open", "a.vk", "-o", "b"]);

    desk.done(["keys", "rotate", "default"]);
    let older = backup("restore store.backup");
    assert_eq!(older.code, 4);
    assert!(older.err.contains("--accept-older"), "{}", older.err);
    assert_eq!(backup("restore store.backup --accept-older").code, 0);

    desk.write("pass", "another passphrase\n");
    assert_eq!(backup("restore store.backup --accept-older").code, 4);
    desk.write("store.backup", "no backup");
    assert_eq!(backup("restore store.backup --accept-older").code, 6);
    assert_eq!(desk.names(), ["a", "a.vk", "b", "pass", "store.backup"]);
}
