//! Inputs and outputs that are no ordinary files, and disks that are full.

use std::fs::File;
use std::process::Stdio;

use super::support::{Desk, noise};

#[test]
fn a_folder_or_a_device_is_refused_with_advice() {
    let desk = Desk::with_store();
    std::fs::create_dir(desk.path("folder")).unwrap();
    for command in ["seal", "open", "verify", "inspect", "rewrap"] {
        desk.fails(5, "folder", [command, "folder", "-q"]);
        desk.fails(5, "device", [command, "/dev/null"]);
    }
    desk.write("a", "text");
    desk.fails(5, "exists", ["seal", "a", "-o", "/dev/null"]);
    desk.fails(5, "device", ["seal", "a", "-o", "/dev/null", "--force"]);
    assert!(std::path::Path::new("/dev/null").exists());
}

#[test]
fn a_device_on_standard_input_is_read() {
    let desk = Desk::with_store();
    let ended = desk.shell("\"$V\" seal - < /dev/null | \"$V\" open -");
    assert_eq!((ended.code, ended.out.len()), (0, 0), "{}", ended.err);
}

#[test]
fn a_named_pipe_is_read_like_a_file() {
    let desk = Desk::with_store();
    let ended = desk.shell("mkfifo p && { printf text > p & } && \"$V\" seal p -o a.vk");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(desk.done(["open", "a.vk", "-o", "-"]).out, b"text");
}

#[test]
fn a_reader_that_goes_away_ends_it_silently() {
    let desk = Desk::with_store();
    desk.write("a", noise(1 << 20));
    desk.done(["seal", "a"]);
    for args in
        [&["seal", "a", "-o", "-"][..], &["open", "a.vk", "-o", "-"], &["man"], &["keys", "list"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = desk.command(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{args:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let desk = Desk::with_store();
    desk.write("a", noise(1 << 20));
    desk.done(["seal", "a"]);
    for args in [&["seal", "a", "-o", "-"][..], &["open", "a.vk", "-o", "-"], &["inspect", "a.vk"]]
    {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = desk.command(args).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{args:?}");
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains("disk is full"), "{args:?}: {err}");
    }
}

#[test]
fn a_file_that_may_not_grow_leaves_nothing_behind() {
    let desk = Desk::with_store();
    desk.write("a", noise(1 << 20));
    desk.done(["seal", "a"]);
    desk.done(["keys", "rotate", "default"]);
    let (names, sealed) = (desk.names(), desk.read("a.vk"));
    for command in ["seal a -o x", "open a.vk -o x", "rewrap a.vk", "seal - -o x < a"] {
        let ended = desk.shell(&format!("ulimit -f 64; \"$V\" {command}"));
        assert_eq!(ended.code, 5, "{command}: {}", ended.err);
        assert!(ended.err.contains("ulimit"), "{}", ended.err);
        assert_eq!(desk.names(), names, "{command}");
        assert_eq!(desk.read("a.vk"), sealed);
    }
}

#[test]
fn a_folder_that_takes_no_file_is_an_error_whoever_runs_it() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    // Not even the superuser makes files in /sys.
    desk.fails(5, "/sys", ["seal", "a", "-o", "/sys/a.vk"]);
}

#[test]
fn a_bad_context_is_found_before_anything_is_done() {
    let desk = Desk::new();
    desk.write("a", "text");
    desk.fails(2, "repeated", ["seal", "a", "--context", "x=1", "--context", "x=2"]);
    desk.fails(2, "empty", ["seal", "a", "--context", "=1"]);
    let ended = desk.run(["seal", "missing"]);
    assert_eq!(ended.code, 5);
    assert!(!desk.store().exists(), "a store was made for nothing");
}

#[test]
fn a_file_whose_length_is_not_known_is_sealed_to_its_end() {
    let desk = Desk::with_store();
    // The system says that it has no bytes, and then gives some.
    desk.done(["seal", "/proc/version", "-o", "v.vk"]);
    let opened = desk.done(["open", "v.vk", "-o", "-"]).out;
    assert_eq!(opened, std::fs::read("/proc/version").unwrap());
}
