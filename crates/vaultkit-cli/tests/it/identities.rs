//! Key pairs of people: making them, and the files they are in.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::support::Desk;

fn public_of(desk: &Desk, args: &[&str]) -> String {
    String::from_utf8(desk.done(args).out).unwrap().trim_end().to_owned()
}

#[test]
fn a_new_identity_is_its_owner_s_alone_and_its_public_key_is_printed() {
    let desk = Desk::new();
    for (name, more) in [("me.key", &[][..]), ("rsa.key", &["--rsa"])] {
        let args = [&["keys", "generate", name], more].concat();
        let public = public_of(&desk, &args);
        let mode = fs::metadata(desk.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(public_of(&desk, &["keys", "public", name]), public);
        // It is there to be looked up, and the private key is on lines of its own.
        let content = String::from_utf8(desk.read(name)).unwrap();
        let comments: Vec<&str> =
            content.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        assert!(comments.join("\n").ends_with(&public));
        desk.fails(5, "exists", args);
    }
    assert!(!desk.store().exists());
    assert_eq!(desk.names(), ["me.key", "rsa.key"]);
}

#[test]
fn an_identity_that_others_may_read_is_refused() {
    let desk = Desk::new();
    let public = public_of(&desk, &["keys", "generate", "me.key"]);
    desk.write("a", "text");
    desk.done(["seal", "a", "-r", &public]);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(desk.path("me.key"), Permissions::from_mode(mode)).unwrap();
        desk.fails(4, "chmod 600", ["open", "a.vk", "-o", "x", "-i", "me.key"]);
        desk.fails(4, "chmod 600", ["keys", "public", "me.key"]);
    }
    fs::set_permissions(desk.path("me.key"), Permissions::from_mode(0o400)).unwrap();
    desk.done(["open", "a.vk", "-o", "x", "-i", "me.key"]);
}

#[test]
fn an_identity_comes_from_a_pipe_and_may_be_under_a_passphrase() {
    let desk = Desk::new();
    let public = public_of(&desk, &["keys", "generate", "me.key"]);
    desk.write("a", "text");
    desk.write("pass", "correct horse battery staple\n");
    desk.done(["seal", "a", "-r", &public]);
    let script = "\"$V\" seal me.key --passphrase-fd 3 3< pass && rm me.key && \
         \"$V\" open me.key.vk -o - --passphrase-fd 3 3< pass | \"$V\" open a.vk -o b -i -";
    let ended = desk.shell(script);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(desk.read("b"), b"text");
}

#[test]
fn one_file_holds_several_keys_and_any_of_them_opens() {
    let desk = Desk::new();
    desk.write("a", "text");
    let one = public_of(&desk, &["keys", "generate", "one.key"]);
    let two = public_of(&desk, &["keys", "generate", "two.key", "--rsa"]);
    let both = [desk.read("one.key"), b"\n".to_vec(), desk.read("two.key")].concat();
    let path = desk.write("both.key", both);
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(public_of(&desk, &["keys", "public", "both.key"]), format!("{one}\n{two}"));
    desk.write("two.pub", two);
    for recipient in [one.as_str(), "@two.pub"] {
        desk.done(["seal", "a", "-f", "-r", recipient]);
        desk.done(["open", "a.vk", "-f", "-o", "x", "-i", "both.key"]);
    }
}

#[test]
fn what_holds_no_private_key_is_4_and_is_not_shown() {
    let desk = Desk::new();
    let public = public_of(&desk, &["keys", "generate", "me.key"]);
    desk.write("a", "text");
    desk.done(["seal", "a", "-r", &public]);
    let whole = String::from_utf8(desk.read("me.key")).unwrap();
    let cut = whole.trim_end().strip_suffix(|_: char| true).unwrap().to_owned();
    for (content, word) in [
        (String::new(), "no key in it"),
        ("# only words\n".to_owned(), "no key in it"),
        (public, "not a private key"),
        (cut, "check letters"),
        ("x".repeat(70_000), "too long"),
    ] {
        let path = desk.write("bad.key", content);
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        let ended = desk.fails(4, word, ["open", "a.vk", "-o", "x", "-i", "bad.key"]);
        assert!(!ended.err.contains("VK-SECRET-KEY-1QQ"), "{}", ended.err);
    }
    desk.fails(5, "no such file", ["open", "a.vk", "-o", "x", "-i", "missing.key"]);
}
