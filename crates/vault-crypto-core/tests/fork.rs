//! Own binary: it forks, which must not copy other tests' threads and locks.
//!
//! A forked child never repeats its parent's salts and nonces.

#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "helpers of tests, where a panic is the report")]

use std::io::Read as _;
use std::os::fd::FromRawFd as _;
use std::time::Duration;

use vault_crypto_core::{BufferedRandom, RandomSource as _};

/// One nonce, with the clock reading fixed so that only the buffer can make a difference.
fn nonce() -> [u8; 24] {
    BufferedRandom::new().nonce(Duration::ZERO).expect("the system's generator works")
}

/// What a forked child draws next from the buffer that it inherited.
#[expect(unsafe_code, reason = "fork is the subject; the child only draws, writes and exits")]
fn nonce_of_a_child() -> [u8; 24] {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the child calls nothing that waits for another thread's lock.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let drawn = nonce();
        // SAFETY: writes 24 bytes that live on this stack, then leaves without running destructors.
        unsafe {
            libc::write(ends[1], drawn.as_ptr().cast(), drawn.len());
            libc::_exit(0);
        }
    }
    assert!(child > 0, "fork failed");
    // SAFETY: both descriptors are ours and used nowhere else.
    let (mut reading, writing) =
        unsafe { (std::fs::File::from_raw_fd(ends[0]), std::fs::File::from_raw_fd(ends[1])) };
    drop(writing);
    let mut drawn = [0; 24];
    reading.read_exact(&mut drawn).expect("the child wrote its nonce");
    let mut status = 0;
    // SAFETY: waits for the child made above.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child ended well");
    drawn
}

#[test]
fn a_forked_child_repeats_nothing_of_its_parent_or_its_siblings() {
    nonce(); // the buffer is full, and shared by every child from here on
    let children = [nonce_of_a_child(), nonce_of_a_child(), nonce_of_a_child()];
    let mine: Vec<[u8; 24]> = (0..64).map(|_| nonce()).collect();
    for (index, child) in children.iter().enumerate() {
        assert!(!mine.contains(child), "child {index} repeats its parent");
        assert!(!children[..index].contains(child), "child {index} repeats a sibling");
    }
}
