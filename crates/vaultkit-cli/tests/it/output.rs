//! Where output goes: never over something that is there, never wider than the input, never in part.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::support::{Desk, wait_for};

fn mode(desk: &Desk, name: &str) -> u32 {
    fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_existing_target_is_kept_unless_forced() {
    let desk = Desk::with_store();
    desk.write("a", "new");
    desk.write("a.vk", "precious");
    desk.fails(5, "exists already", ["seal", "a"]);
    assert_eq!(desk.read("a.vk"), b"precious");
    desk.done(["seal", "a", "--force"]);
    desk.write("a", "precious");
    desk.fails(5, "exists already", ["open", "a.vk"]);
    assert_eq!(desk.read("a"), b"precious");
    desk.done(["open", "a.vk", "--force"]);
    assert_eq!(desk.read("a"), b"new");
}

#[test]
fn a_target_that_appears_while_the_work_is_done_is_kept() {
    use std::io::Write as _;
    use std::process::Stdio;

    let desk = Desk::with_store();
    let mut command = desk.command(["seal", "-", "-o", "a.vk"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"text").unwrap();
    wait_for(|| !desk.names().is_empty());
    desk.write("a.vk", "precious");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(desk.names(), ["a.vk"]);
    assert_eq!(desk.read("a.vk"), b"precious");
}

#[test]
fn a_result_is_not_wider_readable_than_its_input() {
    let desk = Desk::with_store();
    for (input, output) in [(0o600, 0o600), (0o640, 0o640), (0o444, 0o444), (0o777, 0o755)] {
        let path = desk.write("a", "text");
        fs::set_permissions(&path, Permissions::from_mode(input)).unwrap();
        let ended = desk.shell("umask 022; \"$V\" seal a && rm a && \"$V\" open a.vk");
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert_eq!((mode(&desk, "a.vk"), mode(&desk, "a")), (output, output));
        fs::remove_file(path).unwrap();
        fs::remove_file(desk.path("a.vk")).unwrap();
    }
    assert_eq!(desk.shell("umask 000; echo text | \"$V\" seal - -o p.vk").code, 0);
    assert_eq!(mode(&desk, "p.vk"), 0o600);
}

#[test]
fn rewrap_keeps_mode_and_link_and_changes_nothing_on_a_current_file() {
    let desk = Desk::with_store();
    for len in [100, 3 << 20] {
        let plain = super::support::noise(len);
        desk.write("a", &plain);
        desk.done(["seal", "a", "--force"]);
        fs::set_permissions(desk.path("a.vk"), Permissions::from_mode(0o660)).unwrap();
        let _ = fs::remove_file(desk.path("link"));
        symlink("a.vk", desk.path("link")).unwrap();
        let before = desk.read("a.vk");
        let ended = desk.done(["rewrap", "a.vk"]);
        assert!(ended.err.contains("current"), "{}", ended.err);
        assert_eq!(desk.read("a.vk"), before);
        desk.done(["keys", "rotate", "default"]);
        desk.done(["rewrap", "link"]);
        assert!(fs::symlink_metadata(desk.path("link")).unwrap().is_symlink());
        let after = desk.read("a.vk");
        let body = before.len() - len / 2;
        assert_ne!(after, before);
        assert_eq!(after[after.len() - (before.len() - body)..], before[body..]);
        assert_eq!(mode(&desk, "a.vk"), 0o660);
        desk.done(["open", "a.vk", "--force"]);
        assert_eq!(desk.read("a"), plain);
    }
    assert_eq!(desk.names(), ["a", "a.vk", "link"]);
}

#[test]
fn rewrap_needs_neither_context_nor_a_stored_scope_and_moves_to_another_key() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    let bound = ["--context", "row=42", "--scope", "tenant=acme"];
    desk.done([&["seal", "a"][..], &bound].concat());
    desk.done(["keys", "create", "archive"]);
    desk.done(["rewrap", "a.vk", "--key", "archive"]);
    let shown = String::from_utf8(desk.done(["inspect", "a.vk"]).out).unwrap();
    assert!(shown.contains("#archive") && !shown.contains("#default"), "{shown}");
    assert!(shown.contains("epoch 1"), "{shown}");
    desk.done([&["open", "a.vk", "-o", "b"][..], &bound].concat());
    desk.fails(
        3,
        "not authentic",
        ["rewrap", "a.vk", "--key", "default", "--scope", "tenant=other"],
    );
    desk.fails(4, "", [&["open", "a.vk", "-o", "c", "--key", "default"][..], &bound].concat());
}

#[test]
fn output_to_a_folder_and_default_names() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    fs::create_dir(desk.path("out")).unwrap();
    desk.done(["seal", "a", "-o", "out/"]);
    desk.fails(5, "", ["seal", "a", "-o", "missing/"]);
    desk.done(["open", "out/a.vk", "-o", "./b"]);
    assert_eq!(desk.read("b"), b"text");
    fs::rename(desk.path("out/a.vk"), desk.path("sealed")).unwrap();
    desk.fails(2, "-o", ["open", "sealed"]);
    desk.done(["open", "sealed", "-o", "c"]);
    desk.fails(2, "folder", ["seal", "a", "b", "-o", "one.vk"]);
}

#[test]
fn people_are_told_on_standard_error_and_quiet_means_quiet() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    let ended = desk.done(["seal", "a"]);
    assert!(ended.out.is_empty() && ended.err.contains("a -> a.vk"), "{}", ended.err);
    assert!(!ended.err.contains('\u{1b}'));
    let ended = desk.done(["open", "a.vk", "-o", "-"]);
    assert_eq!(ended.out, b"text");
    let ended = desk.done(["seal", "a", "--force", "--quiet"]);
    assert!(ended.out.is_empty() && ended.err.is_empty(), "{}", ended.err);
}
