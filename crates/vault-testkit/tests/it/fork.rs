//! The system clock in a forked child, which inherits no timer thread.

use std::time::Duration;

use vault_crypto_core::{Clock as _, SystemClock};

use super::support::poll_once;

const NAP: Duration = Duration::from_millis(10);

#[test]
fn sleeping_works_in_a_forked_child_and_in_its_child() {
    let clock = SystemClock::new();
    pollster::block_on(clock.sleep(NAP));
    // A sleep begun here and ended there: its entry is in the parent's timer.
    let mut carried = clock.sleep(NAP * 2);
    assert!(poll_once(carried.as_mut()).is_pending());
    in_a_child(move || {
        pollster::block_on(carried);
        pollster::block_on(clock.sleep(NAP));
        in_a_child(move || pollster::block_on(clock.sleep(NAP)));
    });
    pollster::block_on(clock.sleep(NAP));
}

/// Runs `work` in a forked child. A child that hangs is killed after 10 seconds, and the test fails.
#[expect(unsafe_code, reason = "the test forks")]
fn in_a_child(work: impl FnOnce()) {
    // SAFETY: the child uses only its own thread and what glibc allows after a fork (allocation,
    // new threads), and leaves by `_exit` without unwinding into the test harness.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: sets a timer of this process.
        unsafe { libc::alarm(10) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for our child and writes to a local.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child hung or failed");
}
