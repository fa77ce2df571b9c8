//! Interrupted or killed at any moment: the old file or the new one, never half, and no rubbish.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Desk, noise, pause, wait_for};

/// A run that has made its temporary file and waits for input.
fn waiting(desk: &Desk, name: &str) -> (Child, ChildStdin) {
    let before = desk.names().len();
    let mut command = desk.interruptible(["seal", "-", "-o", name]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"text").unwrap();
    wait_for(|| desk.names().len() > before);
    // It may still have to take its lock.
    pause(Duration::from_millis(20));
    (child, stdin)
}

#[test]
fn an_interrupted_run_leaves_no_temporary_file() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let desk = Desk::with_store();
        let (mut child, _stdin) = waiting(&desk, "a.vk");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()));
        assert!(desk.names().is_empty(), "{:?}", desk.names());
    }
}

#[test]
fn a_signal_that_the_caller_ignores_stays_ignored() {
    let desk = Desk::with_store();
    let ended = desk.shell("trap '' INT; (sleep 0.3; echo text) | (\"$V\" seal - -o a.vk & p=$!; sleep 0.1; kill -INT $p; wait $p)");
    assert_eq!(ended.code, 0, "{}", ended.err);
}

#[test]
fn a_dead_runs_temporary_file_is_removed_and_a_living_ones_is_not() {
    let desk = Desk::with_store();
    desk.write("b", "text");
    let (mut dead, _stdin) = waiting(&desk, "dead.vk");
    dead.kill().unwrap();
    dead.wait().unwrap();
    let left = desk.names();
    assert_eq!(left.len(), 2, "{left:?}");
    let (mut living, stdin) = waiting_beside(&desk);
    desk.done(["seal", "b"]);
    let names = desk.names();
    assert!(names.iter().any(|name| name.starts_with(".living.vk.")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with(".dead.vk.")), "{names:?}");
    drop(stdin);
    assert!(living.wait().unwrap().success());
    assert_eq!(desk.names(), ["b", "b.vk", "living.vk"]);
}

/// As [`waiting`], where the new run first removes what a dead one left.
fn waiting_beside(desk: &Desk) -> (Child, ChildStdin) {
    let mut command = desk.command(["seal", "-", "-o", "living.vk"]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    wait_for(|| desk.names().iter().any(|name| name.starts_with(".living.vk.")));
    pause(Duration::from_millis(20));
    (child, stdin)
}

/// Starts a run and kills it after `round` steps of a few milliseconds.
fn kill_at(desk: &Desk, round: u64, args: &[&str]) {
    let mut command = desk.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    pause(Duration::from_micros(700 * round));
    child.kill().unwrap();
    child.wait().unwrap();
}

const ROUNDS: u64 = 40;

#[test]
fn a_killed_seal_leaves_no_file_or_a_whole_one() {
    let desk = Desk::with_store();
    let plain = noise(8 << 20);
    desk.write("a", &plain);
    let mut whole = 0;
    for round in 0..ROUNDS {
        kill_at(&desk, round, &["seal", "a"]);
        if desk.path("a.vk").exists() {
            desk.done(["verify", "a.vk"]);
            std::fs::remove_file(desk.path("a.vk")).unwrap();
            whole += 1;
        }
        assert_eq!(desk.read("a"), plain);
    }
    desk.done(["seal", "a"]);
    assert_eq!(desk.names(), ["a", "a.vk"], "after {whole} whole files");
}

#[test]
fn a_killed_open_leaves_no_file_or_a_whole_one() {
    let desk = Desk::with_store();
    let plain = noise(8 << 20);
    desk.write("a", &plain);
    desk.done(["seal", "a"]);
    std::fs::remove_file(desk.path("a")).unwrap();
    for round in 0..ROUNDS {
        kill_at(&desk, round, &["open", "a.vk"]);
        if desk.path("a").exists() {
            assert_eq!(desk.read("a"), plain);
            std::fs::remove_file(desk.path("a")).unwrap();
        }
    }
    desk.done(["open", "a.vk"]);
    assert_eq!(desk.names(), ["a", "a.vk"]);
}

#[test]
fn a_killed_rewrap_leaves_the_old_file_or_the_new_one() {
    let desk = Desk::with_store();
    let plain = noise(8 << 20);
    desk.write("a", &plain);
    desk.done(["seal", "a"]);
    for round in 0..ROUNDS {
        desk.done(["keys", "rotate", "default"]);
        kill_at(&desk, round, &["rewrap", "a.vk"]);
        desk.done(["verify", "a.vk"]);
    }
    desk.done(["rewrap", "a.vk"]);
    desk.done(["open", "a.vk", "-o", "b"]);
    assert_eq!(desk.read("b"), plain);
    assert_eq!(desk.names(), ["a", "a.vk", "b"]);
}

#[test]
fn a_killed_rotation_leaves_the_old_store_or_the_new_one() {
    let desk = Desk::with_store();
    desk.write("a", "text");
    desk.done(["seal", "a"]);
    for round in 0..ROUNDS {
        kill_at(&desk, round, &["keys", "rotate", "default"]);
        desk.done(["verify", "a.vk"]);
    }
    desk.done(["rewrap", "a.vk"]);
    desk.done(["verify", "a.vk"]);
}

#[test]
fn two_first_uses_at_once_make_one_store() {
    let desk = Desk::new();
    let runs: Vec<Child> = (0..8)
        .map(|n| {
            desk.write(format!("f{n}"), "text");
            let mut command = desk.command(["seal".to_owned(), format!("f{n}")]);
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut made = 0;
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{err}");
        made += usize::from(err.contains("made a key store"));
    }
    assert_eq!(made, 1);
    for n in 0..8 {
        desk.done(["verify".to_owned(), format!("f{n}.vk")]);
    }
}
