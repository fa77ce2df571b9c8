//! Files for several key stores, public keys and passphrases: who opens them, and how that changes.

use std::fs;

use serde_json::Value;

use super::support::{Desk, Ended, noise};

const PASSPHRASE: &str = "correct horse battery staple";

/// A desk with the key stores `one`, `two` and `three`, the identities `me.key` and `you.key`, their
/// public keys `me.pub` and `you.pub`, and the passphrase in `pass`. There is no default store.
fn desk() -> Desk {
    let desk = Desk::new();
    for store in ["one", "two", "three"] {
        desk.done(["keys", "create", "default", "--kms", &format!("local:{store}")]);
    }
    for name in ["me", "you"] {
        let public = desk.done(["keys", "generate", &format!("{name}.key")]).out;
        desk.write(format!("{name}.pub"), public);
    }
    desk.write("pass", format!("{PASSPHRASE}\n"));
    desk.write("a", noise(100_000));
    desk
}

/// Runs a line of the shell with the passphrase on descriptor 3.
fn with_pass(desk: &Desk, line: &str) -> Ended {
    desk.shell(&format!("\"$V\" {line} 3< pass"))
}

#[track_caller]
fn done(desk: &Desk, line: &str) -> Ended {
    let ended = with_pass(desk, line);
    assert_eq!(ended.code, 0, "{line}: {}", ended.err);
    ended
}

#[track_caller]
fn fails(desk: &Desk, code: i32, word: &str, line: &str) {
    let (before, message) = (desk.names(), fs::read(desk.path("a.vk")).ok());
    let ended = with_pass(desk, line);
    assert_eq!(ended.code, code, "{line}: {}", ended.err);
    assert!(ended.err.contains("error:") && ended.err.contains(word), "{line}: {}", ended.err);
    assert_eq!((desk.names(), fs::read(desk.path("a.vk")).ok()), (before, message));
}

/// Opens with these options and looks at the plaintext.
#[track_caller]
fn opens(desk: &Desk, options: &str) {
    done(desk, &format!("open a.vk -o opened --force {options}"));
    assert_eq!(desk.read("opened"), desk.read("a"));
    fs::remove_file(desk.path("opened")).unwrap();
}

fn inspected(desk: &Desk) -> Value {
    let out = desk.done(["inspect", "--json", "a.vk"]).out;
    serde_json::from_slice::<Value>(&out).unwrap()["inspected"].clone()
}

fn kinds(desk: &Desk) -> Vec<String> {
    let shown = inspected(desk);
    let slots = shown["slots"].as_array().unwrap();
    slots.iter().map(|slot| slot["kind"].as_str().unwrap().to_owned()).collect()
}

fn body(desk: &Desk) -> Vec<u8> {
    let header = inspected(desk)["header_bytes"].as_u64().unwrap();
    desk.read("a.vk")[usize::try_from(header).unwrap()..].to_vec()
}

#[test]
fn two_key_stores_and_a_passphrase_each_open_and_the_removed_one_does_not() {
    let desk = desk();
    done(&desk, "seal a --kms local:one --kms local:two --passphrase-fd 3");
    assert_eq!(kinds(&desk), ["local", "local", "passphrase"]);
    for one in ["--kms local:one", "--kms local:two", "--passphrase-fd 3"] {
        opens(&desk, one);
    }
    let before = body(&desk);
    done(&desk, "remove-recipient a.vk --kms local:one --recipient local:two");
    assert_eq!(kinds(&desk), ["local", "passphrase"]);
    assert_eq!(body(&desk), before);
    opens(&desk, "--kms local:one");
    opens(&desk, "--passphrase-fd 3");
    opens(&desk, "--kms local:two --passphrase-fd 3");
    fails(&desk, 4, "no key that may open it", "open a.vk -o x --kms local:two");
    fails(&desk, 4, "no key that may open it", "verify a.vk --kms local:two");

    done(&desk, "remove-recipient a.vk --kms local:one --recipient passphrase");
    fails(&desk, 4, "no key that may open it", "open a.vk -o x --passphrase-fd 3");
    fails(&desk, 2, "nobody could open", "remove-recipient a.vk --kms local:one --slot 1");
    opens(&desk, "--kms local:one");
}

#[test]
fn two_of_three_open_together_and_none_alone() {
    let desk = desk();
    done(&desk, "seal a --kms local:one --kms local:two -r @me.pub --threshold 2");
    assert_eq!(inspected(&desk)["threshold"], 2);
    let text = String::from_utf8(desk.done(["inspect", "a.vk"]).out).unwrap();
    assert!(text.contains("opens with 2 of 3 slots"), "{text}");
    opens(&desk, "--kms local:one --kms local:two");
    opens(&desk, "--kms local:one -i me.key");
    opens(&desk, "--kms local:two -i me.key");
    for one in ["--kms local:one", "--kms local:two", "-i me.key"] {
        fails(&desk, 4, "2 of which must agree", &format!("open a.vk -o x {one}"));
    }
    // All who have a share are at hand: it is dealt anew to four.
    let before = body(&desk);
    let all = "--kms local:one --kms local:two -i me.key";
    done(&desk, &format!("add-recipient a.vk {all} -r @you.pub"));
    assert_eq!(body(&desk), before);
    opens(&desk, "-i me.key -i you.key");
    fails(&desk, 4, "none of", "add-recipient a.vk -i me.key -i you.key --new-passphrase-fd 3");
    done(&desk, &format!("remove-recipient a.vk {all} -i you.key -r local:two"));
    fails(&desk, 4, "must agree", "open a.vk -o x --kms local:two -i me.key");
    opens(&desk, "--kms local:one -i you.key");
    // And to others altogether.
    done(
        &desk,
        "rewrap a.vk -i me.key -i you.key --kms local:one --to @you.pub --to local:three --threshold 2",
    );
    assert_eq!(body(&desk), before);
    opens(&desk, "--kms local:three -i you.key");
    fails(&desk, 4, "must agree", "open a.vk -o x -i me.key -i you.key");
}

#[test]
fn a_recipient_is_added_and_removed_and_the_body_stays() {
    let desk = desk();
    done(&desk, "seal a --kms local:one");
    let before = body(&desk);
    done(&desk, "add-recipient a.vk --kms local:one -r @me.pub --new-passphrase-fd 3");
    assert_eq!(kinds(&desk), ["local", "hpke", "passphrase"]);
    opens(&desk, "-i me.key");
    // Whoever opens may add: here with the private key alone.
    done(&desk, "add-recipient a.vk -i me.key -r @you.pub -r local:two");
    for one in
        ["--kms local:one", "--kms local:two", "--passphrase-fd 3", "-i me.key", "-i you.key"]
    {
        opens(&desk, one);
    }
    done(&desk, "remove-recipient a.vk -i you.key --slot 2 --slot 1 -r local:two");
    assert_eq!(kinds(&desk), ["passphrase", "hpke"]);
    assert_eq!(inspected(&desk)["epoch"], 7);
    assert_eq!(body(&desk), before);
    for gone in ["--kms local:one", "--kms local:two", "-i me.key"] {
        fails(&desk, 4, "", &format!("open a.vk -o x {gone}"));
    }
    opens(&desk, "-i you.key");
    fails(&desk, 4, "already", "add-recipient a.vk -i you.key -r @you.pub");
    fails(&desk, 2, "no key slot", "remove-recipient a.vk -i you.key -r @me.pub");
    fails(&desk, 2, "no key slot", "remove-recipient a.vk -i you.key --slot 3");
    fails(&desk, 2, "no key slot", "remove-recipient a.vk -i you.key --slot 0");
}

#[test]
fn a_slot_that_was_left_is_missing_until_it_is_filled() {
    let desk = desk();
    done(
        &desk,
        "seal a --kms local:one --passphrase-fd 3 --fill-later local:two --fill-later local:three",
    );
    let shown = inspected(&desk);
    assert_eq!(shown["missing_slots"], 2);
    assert_eq!(shown["slots"][2]["filled"], false);
    let text = String::from_utf8(desk.done(["inspect", "a.vk"]).out).unwrap();
    assert!(text.contains("still to be filled in") && text.contains("missing 2 of 4"), "{text}");
    fails(&desk, 4, "not filled yet", "open a.vk -o x --kms local:two");
    opens(&desk, "--kms local:one");
    let before = desk.read("a.vk");
    done(&desk, "fill a.vk --kms local:one");
    assert_eq!(desk.read("a.vk"), before);

    let before = body(&desk);
    done(&desk, "fill a.vk --kms local:one --kms local:two");
    assert_eq!(inspected(&desk)["missing_slots"], 1);
    // Whoever opens may fill: here with the passphrase.
    done(&desk, "fill a.vk --passphrase-fd 3 --kms local:three");
    assert_eq!(inspected(&desk)["missing_slots"], 0);
    assert_eq!(inspected(&desk)["epoch"], 0);
    assert_eq!(body(&desk), before);
    for one in ["--kms local:one", "--kms local:two", "--kms local:three", "--passphrase-fd 3"] {
        opens(&desk, one);
    }
    fails(
        &desk,
        2,
        "one key store",
        "seal a -f --kms local:one --kms local:two --fill-later local:three",
    );
}

#[test]
fn rewrap_moves_every_slot_of_the_stores_at_hand_or_all_of_them_to_others() {
    let desk = desk();
    done(&desk, "seal a --kms local:one --kms local:two --passphrase-fd 3");
    done(&desk, "keys rotate default --kms local:one");
    done(&desk, "keys rotate default --kms local:two");
    let before = body(&desk);
    done(&desk, "rewrap a.vk --kms local:one --kms local:two");
    let shown = inspected(&desk);
    assert_eq!(
        (&shown["slots"][0]["version"], &shown["slots"][1]["version"]),
        (&"2".into(), &"2".into())
    );
    assert_eq!(shown["epoch"], 0);
    let current = desk.read("a.vk");
    done(&desk, "rewrap a.vk --kms local:one --kms local:two");
    assert_eq!(desk.read("a.vk"), current);

    done(&desk, "rewrap a.vk --kms local:one --to @you.pub --to local:three");
    assert_eq!(body(&desk), before);
    opens(&desk, "-i you.key");
    opens(&desk, "--kms local:three");
    fails(&desk, 4, "", "open a.vk -o x --kms local:one");
    // The keys that were not at hand keep their slots.
    opens(&desk, "--kms local:two");
    opens(&desk, "--passphrase-fd 3");
    fails(&desk, 2, "--to", "rewrap a.vk --kms local:two --threshold 2");
    fails(&desk, 4, "--to", "rewrap a.vk -i you.key");
}

#[test]
fn sealing_for_people_alone_needs_no_key_store_and_makes_none() {
    let desk = desk();
    for line in
        ["seal a -r @me.pub", "seal a -f --passphrase-fd 3", "seal a -f -r \"$(cat me.pub)\""]
    {
        done(&desk, line);
        assert!(!desk.store().exists(), "{line}");
    }
    opens(&desk, "-i me.key");
    fails(&desk, 4, "--identity", "open a.vk -o x");
    fails(&desk, 4, "--identity", "open a.vk -o x -i you.key");
    assert!(!desk.store().exists());
    // With a key named the store takes part, too.
    done(&desk, "seal a -f -r @me.pub --key default");
    assert_eq!(kinds(&desk), ["local", "hpke"]);
    opens(&desk, "");
}

#[test]
fn a_passphrase_that_is_wrong_short_or_not_to_be_asked_for_is_refused() {
    let desk = desk();
    done(&desk, "seal a --passphrase-fd 3");
    desk.write("wrong", "correct horse battery\n");
    desk.write("short", "1234567\n");
    let wrong = desk.shell("\"$V\" open a.vk -o x --passphrase-fd 3 3< wrong");
    assert_eq!(wrong.code, 3, "{}", wrong.err);
    let short = desk.shell("\"$V\" seal a -o x --passphrase-fd 3 3< short");
    assert_eq!(short.code, 2, "{}", short.err);
    // Nobody can be asked without a terminal; the file's own slot made the program try.
    fails(&desk, 2, "terminal", "open a.vk -o x");
    fails(&desk, 1, "64 MiB", "open a.vk -o x --passphrase-fd 3 --passphrase-memory 63");
    opens(&desk, "--passphrase-fd 3 --passphrase-memory 64");
    assert_eq!(desk.run(["seal", "a", "--passphrase", "--passphrase-fd", "3"]).code, 2);
}

#[test]
fn whoever_is_named_wrongly_is_refused_before_anything_is_written() {
    let desk = desk();
    let secret = String::from_utf8(desk.read("me.key")).unwrap();
    let secret = secret.lines().last().unwrap();
    let ended = desk.fails(2, "private key", ["seal", "a", "-r", secret]);
    assert!(!ended.err.contains(&secret[20..40]));
    fails(&desk, 4, "private key", "seal a -r @me.key");
    fails(&desk, 5, "no such file", "seal a -r @missing.pub");
    fails(&desk, 2, "names nobody", "seal a -r me.pub");
    fails(&desk, 2, "check letters", "seal a -r \"$(tr q p < me.pub)\"");
    fails(&desk, 4, "no key store", "seal a --kms local:one --kms local:missing");
    fails(&desk, 2, "recipients", "seal a -r @me.pub --threshold 2");
    fails(&desk, 2, "", "seal a -r @me.pub --threshold 0");
    // Of two places for --kms one would not be read.
    fails(&desk, 2, "behind the command", "--kms local:one seal a --kms local:two");
    done(&desk, "seal a -r @me.pub");
    fails(&desk, 2, "--recipient", "add-recipient a.vk -i me.key");
    fails(&desk, 2, "--slot", "remove-recipient a.vk -i me.key");
    fails(&desk, 4, "no key that may open it", "add-recipient a.vk -i you.key -r @you.pub");
    fails(&desk, 2, "names nobody", "remove-recipient a.vk -i me.key -r nonsense");
    fails(&desk, 2, "in place", "fill - -i me.key");
    fails(&desk, 2, "one key store", "keys list --kms local:one --kms local:two");
}

#[test]
fn every_change_is_one_object_with_json() {
    let desk = desk();
    done(&desk, "seal a --kms local:one --fill-later local:two");
    for (line, name, slots) in [
        ("fill a.vk --kms local:one --kms local:two", "filled", 2),
        ("add-recipient a.vk --kms local:one -r @me.pub", "added", 3),
        ("remove-recipient a.vk --kms local:one -r @me.pub", "removed", 2),
        ("rewrap a.vk --kms local:one --to @me.pub", "rewrapped", 2),
        ("rewrap a.vk --kms local:two", "rewrapped", 2),
    ] {
        let out = done(&desk, &format!("--json {line}")).out;
        let object: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(object[name]["slots"].as_array().unwrap().len(), slots, "{line}");
        assert_eq!(object[name]["changed"], line != "rewrap a.vk --kms local:two", "{line}");
    }
}

#[test]
fn a_file_keeps_its_rights_when_who_may_open_changes() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = desk();
    done(&desk, "seal a --kms local:one");
    let path = desk.path("a.vk");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    done(&desk, "add-recipient a.vk --kms local:one -r @me.pub");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}
