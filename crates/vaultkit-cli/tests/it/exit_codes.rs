//! Every exit code, by the program and by the table behind it.

use vaultkit::core::{CryptoError, ErrorKind, Operation};
use vaultkit_cli::exit::Exit;

use super::support::{Desk, noise};

#[test]
fn every_kind_of_error_has_its_code() {
    use ErrorKind as K;
    let of = |kind| Exit::of(&CryptoError::new(kind, Operation::Open)).code();
    for (code, kinds) in [
        (1, &[K::LimitExceeded, K::Internal][..]),
        (2, &[K::InvalidInput]),
        (3, &[K::AuthenticationFailed]),
        (4, &[K::KeyNotAllowed, K::KeyNotFound, K::KeyUnusable, K::Conflict, K::PermissionDenied]),
        (4, &[K::Throttled, K::TimedOut, K::Unavailable, K::StoreDamaged]),
        (5, &[K::Io]),
        (6, &[K::Malformed, K::Unsupported]),
    ] {
        for kind in kinds {
            assert_eq!(of(*kind), code, "{kind:?}");
        }
    }
    let newer_key_file = CryptoError::new(K::Unsupported, Operation::KeyStore);
    assert_eq!(Exit::of(&newer_key_file).code(), 4);
}

#[test]
fn done_is_0_and_so_are_help_and_version() {
    let desk = Desk::new();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    for args in [&["--help"][..], &["--version"], &["keys", "--help"], &["seal", "-h"]] {
        let ended = desk.done(args);
        assert!(!ended.out.is_empty() && ended.err.is_empty());
    }
}

#[test]
fn help_tells_examples_and_exit_codes() {
    let desk = Desk::new();
    let commands = ["seal", "open", "verify", "inspect", "rewrap", "keys"];
    for command in commands.into_iter().chain(["add-recipient", "remove-recipient", "fill"]) {
        let text = String::from_utf8(desk.done([command, "--help"]).out).unwrap();
        assert!(text.contains("Example") && text.contains("3  not authentic"), "{command}");
    }
}

#[test]
fn what_can_never_work_is_2() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    for args in [
        &[][..],
        &["frobnicate"],
        &["seal"],
        &["seal", "a", "--context", "novalue"],
        &["seal", "a", "--context", "=empty"],
        &["seal", "a", "--context", "x=1", "--context", "x=2"],
        &["seal", "a", "--scope", "Upper=1"],
        &["seal", "a", "--scope", "x=1", "--scope", "x=1"],
        &["seal", "a", "--threads", "0"],
        &["seal", "a", "--kms", "nonsense"],
        &["seal", "a", "--kms", "local:x#one", "--key", "two"],
        &["seal", "a", "--master-fd", "3", "--master-env", "X"],
        &["rewrap", "-"],
        &["keys", "delete", "default", "--days", "1"],
        &["keys", "create", "bad name"],
    ] {
        let ended = desk.run(args);
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.err);
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{args:?}");
    }
    assert_eq!(desk.names(), ["a"]);
}

#[test]
fn wrong_key_wrong_context_and_altered_bytes_are_3_with_one_message() {
    let desk = Desk::with_store();
    desk.write("a", noise(50_000));
    desk.done(["seal", "a", "--context", "case=17"]);
    let mut altered = desk.read("a.vk");
    let middle = altered.len() - 20_000;
    altered[middle] ^= 1;
    desk.write("b.vk", altered);
    let mut messages = std::collections::BTreeSet::new();
    for args in [
        &["open", "b.vk", "-o", "x", "--context", "case=17"][..],
        &["open", "a.vk", "-o", "x", "--context", "case=18"],
        &["open", "a.vk", "-o", "x"],
        &["open", "a.vk", "-o", "x", "--context", "case=17", "--scope", "a=b"],
        &["verify", "b.vk", "--context", "case=17"],
    ] {
        let ended = desk.fails(3, "not authentic", args);
        messages.insert(ended.err.replace("b.vk", "a.vk"));
    }
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[test]
fn a_key_that_is_not_to_be_had_is_4() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    desk.done(["keys", "create", "other"]);
    desk.done(["keys", "create", "default", "--kms", "local:elsewhere"]);
    desk.fails(4, "not found", ["seal", "a", "-o", "x", "--key", "missing"]);
    desk.fails(4, "default", ["open", "a.vk", "-o", "x", "--key", "other"]);
    desk.fails(4, "--kms", ["open", "a.vk", "-o", "x", "--kms", "local:elsewhere"]);
    desk.fails(4, "--kms", ["rewrap", "a.vk", "--kms", "local:elsewhere"]);
    desk.fails(4, "no key store", ["open", "a.vk", "-o", "x", "--kms", "local:missing"]);
    desk.fails(4, "no key store", ["seal", "a", "-o", "x", "--kms", "local:missing"]);
    #[cfg(feature = "clouds")]
    desk.fails(
        4,
        "--kms",
        ["open", "a.vk", "-o", "x", "--kms", "aws-kms://alias/app?region=eu-west-1"],
    );
    #[cfg(not(feature = "clouds"))]
    desk.fails(4, "feature `aws`", ["open", "a.vk", "-o", "x", "--kms", "aws-kms://alias/app"]);
    desk.fails(4, "exists", ["keys", "create", "other"]);
    desk.fails(4, "", ["keys", "promote", "other"]);
}

#[test]
fn what_cannot_be_read_or_written_is_5() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.fails(5, "no such file", ["seal", "missing"]);
    desk.fails(5, "no such file", ["open", "missing.vk"]);
    desk.fails(5, "no such file", ["inspect", "missing"]);
    desk.fails(5, "no such file", ["rewrap", "missing"]);
    desk.fails(5, "no such file", ["keys", "restore", "missing", "--backup-passphrase-fd", "0"]);
    desk.fails(5, "", ["seal", "a", "-o", "missing/a.vk"]);
    desk.fails(5, "not a folder", ["seal", "a/b"]);
    desk.fails(5, "too long", ["seal", "a", "-o", &"x".repeat(300)]);
}

#[test]
fn what_is_no_message_is_6() {
    let desk = Desk::with_store();
    for (bytes, word) in [
        (&b""[..], "empty"),
        (b"plain text, longer than a prefix", "not a message"),
        (b"\xf6vk", "cut off"),
        (b"\xf6vk\x02\0\0\0\0\0\0\0\0\0\0", "newer"),
        (b"\xf6vk\x01\0\x01\0\x01\0\0\0\x60", "65536"),
        (b"\xf6vk\x01\0\0\x01\0\0\0\xff\0", "contradict"),
    ] {
        desk.write("a.vk", bytes);
        desk.fails(6, word, ["open", "a.vk"]);
        desk.fails(6, word, ["verify", "a.vk"]);
        desk.fails(6, word, ["inspect", "a.vk"]);
        desk.fails(6, "", ["rewrap", "a.vk"]);
        assert_eq!(desk.pipe(["open", "-"], bytes).code, 6);
    }
}
