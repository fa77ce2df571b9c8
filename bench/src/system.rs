//! What only the system knows: a thread's CPU time, a child's peak memory. The one place with `unsafe`.

use std::process::Child;
use std::time::Duration;

use vault_crypto_core::{Clock as _, SystemClock};

/// Time by the wall, from some start on.
pub fn wall_time() -> Duration {
    SystemClock::new().monotonic()
}

/// CPU time that the calling thread has used.
pub fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, which the call fills.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "the thread's CPU clock cannot be read");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Waits for `child`; whether it succeeded, and its peak resident memory in KiB.
pub fn wait_peak(child: Child) -> (bool, u64) {
    let mut status = 0;
    // SAFETY: a rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values, which the call fills; nobody else waits for the child.
    let pid = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!(pid, child.id() as i32, "the child cannot be waited for");
    (status == 0, usage.ru_maxrss as u64)
}

/// Flushes all file systems, so that one program does not pay for what another wrote.
pub fn sync() {
    // SAFETY: takes nothing and touches no memory of ours.
    unsafe { libc::sync() }
}

/// Bytes that the program holds in the heap, as the C library counts them, its own overhead included.
/// The calling thread must have made them: other threads have arenas of their own.
pub fn heap_in_use() -> usize {
    // SAFETY: takes nothing and returns numbers.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
