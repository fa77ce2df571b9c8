//! `--json`: one object per result on standard output, errors as objects on standard error.

use serde_json::Value;

use super::support::Desk;

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_result_is_one_object() {
    let desk = Desk::new();
    desk.write("a", "text");
    desk.write("b", "text");
    for (args, name, count) in [
        (&["seal", "a", "b"][..], "sealed", 2),
        (&["open", "a.vk", "-o", "c"], "opened", 1),
        (&["verify", "a.vk", "b.vk"], "verified", 2),
        (&["inspect", "a.vk"], "inspected", 1),
        (&["rewrap", "a.vk"], "rewrapped", 1),
        (&["keys", "create", "k"], "key", 1),
        (&["keys", "list"], "keys", 1),
        (&["keys", "show", "k"], "key", 1),
        (&["keys", "rotate", "k", "--stage"], "key", 1),
        (&["keys", "promote", "k"], "key", 1),
        (&["keys", "disable", "k"], "key", 1),
        (&["keys", "enable", "k"], "key", 1),
        (&["keys", "delete", "k"], "key", 1),
        (&["keys", "cancel-delete", "k"], "key", 1),
        (&["keys", "generate", "me.key"], "generated", 1),
        (&["keys", "public", "me.key"], "public_keys", 1),
    ] {
        let ended = desk.done([&["--json"], args].concat());
        assert!(ended.err.is_empty(), "{}", ended.err);
        let objects = lines(&ended.out);
        assert_eq!(objects.len(), count, "{args:?}");
        assert!(objects.iter().all(|object| object.get(name).is_some()), "{args:?}");
    }
}

#[test]
fn a_result_beside_data_goes_to_standard_error() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    let ended = desk.done(["open", "a.vk", "-o", "-", "--json"]);
    assert_eq!(ended.out, b"text");
    assert_eq!(lines(ended.err.as_bytes())[0]["opened"]["plaintext_bytes"], 4);
}

#[test]
fn a_failure_is_an_object_with_kind_message_code_and_path() {
    let desk = Desk::with_store();
    desk.write("a.vk", "no message");
    for (args, kind, code, path) in [
        (&["open", "a.vk"][..], "malformed", 6, "a.vk"),
        (&["open", "b.vk"], "io", 5, "b.vk"),
        (&["open", "a.vk", "--kms", "local:none"], "malformed", 6, "a.vk"),
        (&["keys", "show", "x"], "key_not_found", 4, ""),
        (&["open"], "usage", 2, ""),
    ] {
        let ended = desk.run([&["--json"], args].concat());
        assert_eq!(ended.code, code);
        assert!(ended.out.is_empty());
        let objects = lines(ended.err.as_bytes());
        let error = &objects[0]["error"];
        assert_eq!(objects.len(), 1);
        assert_eq!(error["kind"], kind);
        assert_eq!(error["exit_code"], code);
        assert_eq!(error["path"].as_str().unwrap_or_default(), path);
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn inspect_says_what_the_header_holds() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a", "--scope", "tenant=acme"]);
    let shown = &lines(&desk.done(["inspect", "a.vk", "--json"]).out)[0]["inspected"];
    assert_eq!(shown["verified"], false);
    assert_eq!(shown["suite"]["code"], 1);
    assert_eq!(shown["plaintext_bytes"], 4);
    assert_eq!(shown["scope"]["tenant"], "acme");
    assert_eq!(shown["slots"][0]["version"], "1");
    assert_eq!(shown["stored_bytes"].as_u64().unwrap(), desk.read("a.vk").len() as u64);
}
