//! What was sealed opens, whatever its length and wherever it comes from; nothing else does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::support::{Desk, noise};

#[test]
fn files_of_every_length_around_chunks_and_segments_come_back() {
    let desk = Desk::with_store();
    for len in [0, 1, 16_383, 16_384, 16_385, 1 << 20, (1 << 20) + 1, 3 << 20] {
        let plain = desk.write("a", noise(len));
        desk.done(["seal", "a", "--force"]);
        std::fs::remove_file(plain).unwrap();
        desk.done(["open", "a.vk"]);
        assert_eq!(desk.read("a"), noise(len), "{len}");
        desk.done(["verify", "a.vk"]);
    }
}

#[test]
fn a_pipe_and_a_file_are_the_same_message_to_a_reader() {
    let desk = Desk::with_store();
    let plain = noise(2_500_000);
    desk.write("a", &plain);
    let sealed = desk.pipe(["seal", "-"], &plain);
    assert_eq!(sealed.code, 0, "{}", sealed.err);
    desk.write("p.vk", &sealed.out);
    desk.done(["open", "p.vk"]);
    assert_eq!(desk.read("p"), plain);
    desk.done(["seal", "a"]);
    let opened = desk.pipe(["open", "-"], &desk.read("a.vk"));
    assert_eq!(opened.code, 0, "{}", opened.err);
    assert_eq!(opened.out, plain);
    assert_eq!(desk.pipe(["verify", "-"], &sealed.out).code, 0);
}

#[test]
fn context_and_scope_are_needed_as_they_were_in_any_order() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done([
        "seal",
        "a",
        "--context",
        "row=42",
        "--context",
        "col=x=y",
        "--scope",
        "tenant=acme",
    ]);
    let open = |more: &[&str]| {
        let all = [&["open", "a.vk", "-o", "-"], more].concat();
        let ended = desk.run(all);
        assert!(ended.code == 0 || ended.out.is_empty());
        ended.code
    };
    let tenant = ["--scope", "tenant=acme"];
    assert_eq!(open(&[&["--context", "col=x=y", "--context", "row=42"], &tenant[..]].concat()), 0);
    for wrong in [
        &["--context", "col=x=y", "--context", "row=42"][..],
        &["--context", "row=42", "--scope", "tenant=acme"],
        &["--context", "col=x=y", "--context", "row=43", "--scope", "tenant=acme"],
        &["--context", "col=x=y", "--context", "row=42", "--scope", "tenant=globex"],
        &[],
    ] {
        assert_eq!(open(wrong), 3, "{wrong:?}");
    }
}

#[test]
fn names_that_are_not_utf8_work() {
    let desk = Desk::with_store();
    let name = OsStr::from_bytes(b"caf\xe9");
    desk.write(name, "text");
    desk.done([OsStr::new("seal"), name]);
    std::fs::remove_file(desk.path(name)).unwrap();
    let mut sealed = name.to_owned();
    sealed.push(".vk");
    desk.done([OsStr::new("open"), &sealed]);
    assert_eq!(desk.read(name), b"text");
    desk.done([OsStr::new("inspect"), &sealed]);
    desk.done([OsStr::new("rewrap"), &sealed]);
    let mut uri = OsStr::from_bytes(b"local:st\xffre").to_owned();
    desk.done([
        OsStr::new("keys"),
        OsStr::new("create"),
        OsStr::new("k"),
        OsStr::new("--kms"),
        &uri,
    ]);
    uri.push("#k");
    desk.done([OsStr::new("seal"), name, OsStr::new("-f"), OsStr::new("--kms"), &uri]);
}

#[test]
fn a_name_too_long_for_its_temporary_name_works() {
    let desk = Desk::with_store();
    let name = "ä".repeat(125);
    desk.write(&name, "text");
    desk.done(["seal", &name]);
    assert_eq!(desk.names().len(), 2);
    desk.done(["verify", &format!("{name}.vk")]);
}

#[test]
fn a_record_of_the_library_opens_too() {
    use std::sync::Arc;
    use vaultkit::core::EncryptionContext;
    use vaultkit::envelope::EnvelopeEncryption;
    use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

    let desk = Desk::with_store();
    let kms = LocalKms::open(LocalKmsConfig::new(desk.store())).unwrap();
    let envelope = EnvelopeEncryption::builder(Arc::new(kms), "default").build().unwrap();
    let context = EncryptionContext::from([("row", "1")]);
    let sealed = pollster::block_on(envelope.encrypt(b"a value", &context)).unwrap();
    desk.write("record.vk", sealed.as_bytes());
    desk.done(["open", "record.vk", "--context", "row=1"]);
    assert_eq!(desk.read("record"), b"a value");
    let shown = String::from_utf8(desk.done(["inspect", "record.vk"]).out).unwrap();
    assert!(shown.contains("record") && shown.contains(" 7 bytes"), "{shown}");
    desk.done(["keys", "rotate", "default"]);
    desk.done(["rewrap", "record.vk"]);
    assert_ne!(desk.read("record.vk"), sealed.as_bytes());
    desk.fails(3, "not authentic", ["open", "record.vk", "-o", "x"]);
    desk.done(["open", "record.vk", "--context", "row=1", "--force"]);

    let stored = pollster::block_on(envelope.create_stored_key()).unwrap();
    desk.write("entry.vk", stored.entry());
    desk.fails(6, "stored key", ["open", "entry.vk", "-o", "x"]);
    desk.done(["inspect", "entry.vk"]);
    desk.write("compact.vk", stored.seal(b"a value", &context).unwrap().as_bytes());
    desk.fails(6, "compact", ["open", "compact.vk", "-o", "x"]);
    desk.done(["inspect", "compact.vk"]);
}

#[test]
fn several_inputs_are_treated_one_by_one_and_the_first_failure_is_the_code() {
    let desk = Desk::with_store();
    desk.write("a", "one");
    desk.write("b", "two");
    std::fs::create_dir(desk.path("out")).unwrap();
    let ended = desk.run(["seal", "a", "missing", "b", "-o", "out"]);
    assert_eq!(ended.code, 5);
    desk.write("out/c.vk", "not a message");
    let ended = desk.run(["open", "out/c.vk", "out/missing.vk", "out/a.vk", "out/b.vk"]);
    assert_eq!(ended.code, 6, "{}", ended.err);
    assert_eq!((desk.read("out/a"), desk.read("out/b")), (b"one".to_vec(), b"two".to_vec()));
}

#[test]
fn inspect_asks_for_no_key_and_says_that_it_verified_nothing() {
    let desk = Desk::with_store();
    desk.write("a", noise(40_000));
    desk.done(["seal", "a", "--scope", "tenant=acme"]);
    std::fs::remove_dir_all(desk.store()).unwrap();
    let shown = String::from_utf8(desk.done(["inspect", "a.vk"]).out).unwrap();
    for word in [
        "40 000 bytes in 3 chunks",
        "Cobblestone-256",
        "#default",
        "version 1",
        "tenant=acme",
        "verified",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert!(!desk.store().exists());
    let piped = String::from_utf8(desk.pipe(["inspect", "-"], &desk.read("a.vk")).out).unwrap();
    assert_eq!(piped.replace("-: ", "a.vk: "), shown);
    // Of the second chunk five bytes are left: less than a tag.
    let sealed = desk.read("a.vk");
    desk.write("cut.vk", &sealed[..sealed.len() - (7_232 + 16) - (16_400 - 5)]);
    let shown = String::from_utf8(desk.done(["inspect", "cut.vk"]).out).unwrap();
    assert!(shown.contains("cut or extended"), "{shown}");
}
