//! A forked child has no branch key of its parent, and makes ids of its own.

use vault_crypto_core::Operation;

use super::support::World;

#[test]
fn a_forked_child_fetches_branch_keys_anew_and_repeats_no_id() {
    for cached in [true, false] {
        let world = World::new();
        let keys = vault_envelope::BranchKeys::new(world.storage.clone());
        let builder = world.builder().branch_keys(keys);
        let builder = if cached { builder } else { builder.without_cache() };
        let process = builder.build().unwrap();
        let before = world.seal(&process);
        let unwraps = || world.kms.calls().of(Operation::DecryptDataKey);
        let of_parent = unwraps();
        in_a_child(|| {
            assert_eq!(process.branch_stats().held, 0);
            let sealed = world.seal(&process);
            assert_ne!(sealed[8..24], before[8..24], "another id");
            assert_eq!(sealed[..8], before[..8], "the same branch");
            assert_eq!(unwraps(), of_parent + 1);
            assert!(world.opens(&process, &before));
            assert_eq!(unwraps(), of_parent + 1);
        });
        assert!(world.opens(&process, &before));
        assert_eq!((process.branch_stats().held, unwraps()), (1, of_parent));
    }
}

/// Runs `work` in a forked child. A child that hangs is killed after 20 seconds, and the test fails.
#[expect(unsafe_code, reason = "the test forks")]
fn in_a_child(work: impl FnOnce()) {
    // SAFETY: the child uses only its own thread and what glibc allows after a fork (allocation), and
    // leaves by `_exit` without unwinding into the test harness.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        // SAFETY: sets a timer of this process.
        unsafe { libc::alarm(20) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(if done.is_ok() { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for our child and writes to a local.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!((waited, status), (child, 0), "the child hung or failed");
}
