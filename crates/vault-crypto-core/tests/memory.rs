//! Own binary: it forks, lowers its own limits and dies on purpose, always in children.
//!
//! The pool of locked memory against the system: limits of an ordinary user, guards, what the kernel
//! says of the pages, and what a forked child finds in them.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use vault_crypto_core::ErrorKind;
use vault_crypto_core::locked::{LockPolicy, Locked, LockedBox, LockedPool, PROCESS_POOL_BYTES};

/// Set in a child that runs the second half of the test that started it.
const CHILD: &str = "VAULTKIT_TEST_MEMORY_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs `test` of this binary once more, as a child.
fn child(test: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap()
}

fn assert_child_passes(test: &str) {
    let output = child(test);
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    write!(said, "{}", String::from_utf8_lossy(&output.stderr)).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "the child ran no test: {said}");
}

/// From here on this process is an ordinary user's, and may lock 64 KiB.
#[expect(unsafe_code, reason = "limits and users are the system's")]
fn become_ordinary_with_64_kib() {
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
    // SAFETY: `limit` is a whole structure; the others take plain numbers.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit), 0);
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setgid(65_534), 0);
            assert_eq!(libc::setuid(65_534), 0); // gives up every capability, too
        }
    }
}

/// Forks; the child answers whether `holds`, within 20 seconds.
#[expect(unsafe_code, reason = "fork is the subject")]
fn forked_child_says(holds: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child has one thread, takes no lock that another thread may hold but the
    // allocator's, which survives a fork, and leaves without running destructors.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "fork failed");
        if child == 0 {
            libc::alarm(20);
            libc::_exit(i32::from(!holds()));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
        assert!(libc::WIFEXITED(status), "the child was killed: status {status}");
        libc::WEXITSTATUS(status) == 0
    }
}

/// What the kernel says of the mapping that holds `address`: its paragraph of `smaps`.
fn mapping_of(address: usize) -> String {
    let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found = String::new();
    let mut inside = false;
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((from, to)) = range
            && let (Ok(from), Ok(to)) =
                (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
        {
            inside = (from..to).contains(&address);
        }
        if inside {
            found.push_str(line);
            found.push('\n');
        }
    }
    found
}

fn flags_of(address: usize) -> Vec<String> {
    let mapping = mapping_of(address);
    let line = mapping.lines().find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// Memory that this process holds locked, in KiB.
fn locked_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

fn address_of<T: Send + Sync + 'static>(owned: &LockedBox<T>) -> usize {
    std::ptr::from_ref(owned.get().unwrap()).addr()
}

#[test]
fn an_ordinary_users_limit_of_64_kib_holds_the_process_pool_and_is_never_passed_unnoticed() {
    let name =
        "an_ordinary_users_limit_of_64_kib_holds_the_process_pool_and_is_never_passed_unnoticed";
    if !is_child() {
        return assert_child_passes(name);
    }
    become_ordinary_with_64_kib();
    let usage = LockedPool::process().usage();
    assert_eq!(usage.locked_bytes, PROCESS_POOL_BYTES, "{usage}");
    assert_eq!(locked_kib(), 48);
    let refused = LockedPool::new(LockPolicy::Require, 32 << 10).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LimitExceeded);
    assert!(refused.to_string().contains("ulimit -l"), "{refused}");
    let part = LockedPool::new(LockPolicy::Prefer, 64 << 10).unwrap();
    let usage = part.usage();
    assert_eq!((usage.locked_bytes, usage.capacity), (16 << 10, 64 << 10));
    assert!(usage.to_string().starts_with("the system locks 16 of 64 KiB for keys"), "{usage}");
    let keys: Vec<_> = (0..600_u32).map(|n| part.store([n as u8; 32]).unwrap()).collect();
    assert_eq!(part.usage().spilled, 600 - 512);
    assert!((0..).zip(&keys).all(|(n, key)| key.with(|bytes| bytes[9]) == Some(n as u8)));
    assert_eq!(locked_kib(), 64);
}

/// What the notes on the process pool promise: 16 pages of the limit, 12 of them taken, and three of those
/// left to keys with one owner.
#[test]
fn the_process_pool_holds_the_schedules_of_a_busy_cache() {
    let pool = LockedPool::new(LockPolicy::Require, PROCESS_POOL_BYTES).unwrap();
    let schedules: Vec<_> = (0..135).map(|_| pool.store([1_u8; 272]).unwrap()).collect();
    assert!(pool.store([1_u8; 272]).is_err());
    drop(schedules);
    let keys: Vec<_> = (0..1_152).map(|_| pool.store([1_u8; 32]).unwrap()).collect();
    assert!(pool.store([1_u8; 32]).is_err());
    drop(keys);
}

#[test]
fn the_kernel_has_the_pages_locked_out_of_dumps_and_wiped_on_fork() {
    let pool = LockedPool::new(LockPolicy::Require, 16 << 10).unwrap();
    let owned = pool.boxed(|| [1_u8; 32]).unwrap();
    let flags = flags_of(address_of(&owned));
    for flag in ["lo", "dd", "wf"] {
        assert!(flags.iter().any(|has| has == flag), "`{flag}` is not among {flags:?}");
    }
    assert!(mapping_of(address_of(&owned)).lines().any(|line| {
        line.starts_with("Locked:") && line.split_whitespace().nth(1) == Some("16")
    }));
    let unlocked = LockedPool::new(LockPolicy::Off, 16 << 10).unwrap();
    let flags = flags_of(address_of(&unlocked.boxed(|| [1_u8; 32]).unwrap()));
    assert!(!flags.iter().any(|has| has == "lo"), "locked although `Off`: {flags:?}");
    assert!(flags.iter().any(|has| has == "dd") && flags.iter().any(|has| has == "wf"));
}

/// The first and the last byte of the pages, each in a block of its own.
fn edges() -> (LockedPool, [LockedBox<[u8; 2_048]>; 2]) {
    let pool = LockedPool::new(LockPolicy::Require, 4 << 10).unwrap();
    let mut owned = [(); 2].map(|()| pool.boxed(|| [1_u8; 2_048]).unwrap());
    owned.sort_by_key(address_of);
    (pool, owned)
}

#[test]
fn a_write_before_the_pages_kills() {
    if !is_child() {
        let output = child("a_write_before_the_pages_kills");
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
        return;
    }
    let (_pool, [first, _]) = edges();
    write_to(address_of(&first) - 1);
}

#[test]
fn a_write_behind_the_pages_kills() {
    if !is_child() {
        let output = child("a_write_behind_the_pages_kills");
        assert_eq!(output.status.signal(), Some(libc::SIGSEGV), "{output:?}");
        return;
    }
    let (_pool, [_, last]) = edges();
    write_to(address_of(&last) + 2_048);
}

#[expect(unsafe_code, reason = "a stray write is the subject; it ends this process")]
fn write_to(address: usize) {
    // SAFETY: none: the guard is what stops it.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
}

#[test]
fn a_forked_child_holds_no_key_of_its_parents_and_no_lock_and_may_use_the_pool() {
    let pool = LockedPool::new(LockPolicy::Require, 16 << 10).unwrap();
    let shared = pool.store([1_u8; 32]).unwrap();
    let owned = pool.boxed(|| [2_u8; 32]).unwrap();
    let address = address_of(&owned);
    let parents: Vec<Locked<[u8; 272]>> = (0..15).map(|_| pool.store([3; 272]).unwrap()).collect();
    let child = || {
        let nothing_left = shared.with(|_| ()).is_none()
            && shared.is_wiped()
            && owned.get().is_none()
            && parents.iter().all(|key| key.with(|_| ()).is_none())
            && page_at(address).iter().all(|byte| *byte == 0)
            && locked_kib() == 0;
        // The same slots again, and the parent's handles still find nothing in them.
        let own_short = pool.store([6_u8; 32]).unwrap();
        let own: Vec<_> = (0..15).map(|_| pool.store([4_u8; 272]).unwrap()).collect();
        let own_box = pool.boxed(|| [5_u8; 32]).unwrap();
        let works = own.iter().all(|key| key.with(|bytes| bytes[271]) == Some(4))
            && own_box.get() == Some(&[5; 32])
            && own_short.with(|bytes| bytes[0]) == Some(6)
            && pool.usage().used == 17
            && locked_kib() == 16
            && shared.with(|_| ()).is_none()
            && parents.iter().all(|key| key.with(|_| ()).is_none());
        // Dropping what is the parent's frees nothing of the child's.
        drop((shared, owned, parents));
        nothing_left && works && pool.usage().used == 17 && own[0].with(|b| b[0]) == Some(4)
    };
    assert!(forked_child_says(child));
}

/// 4 KiB from the start of the page that holds `address`, behind the pool's back.
#[expect(unsafe_code, reason = "looks at a slot's bytes behind the pool's back")]
fn page_at(address: usize) -> [u8; 4_096] {
    let start = std::ptr::with_exposed_provenance::<[u8; 4_096]>(address & !4_095);
    // SAFETY: a page of the caller's pool, which nobody else writes to meanwhile.
    unsafe { start.read_volatile() }
}

#[test]
fn what_is_wiped_or_dropped_leaves_no_byte_in_its_page() {
    let pool = LockedPool::new(LockPolicy::Require, 8 << 10).unwrap();
    let owned = pool.boxed(|| [0xB0_u8; 2_048]).unwrap();
    let address = address_of(&owned);
    // The first page is the box's, so the second holds the shared values.
    let (wiped, dropped) = (pool.store([0xA1_u8; 31]).unwrap(), pool.store([0xA2_u8; 31]).unwrap());
    let shared_page = address + 4_096;
    assert!(page_at(address).contains(&0xB0));
    assert!(page_at(shared_page).contains(&0xA1) && page_at(shared_page).contains(&0xA2));
    wiped.wipe();
    drop((dropped, owned));
    assert_eq!(page_at(address), [0; 4_096]);
    assert_eq!(page_at(shared_page), [0; 4_096]);
}

#[test]
fn a_parent_keeps_its_keys_and_its_lock_when_it_forks() {
    let pool = LockedPool::new(LockPolicy::Require, 16 << 10).unwrap();
    let shared = pool.store([1_u8; 32]).unwrap();
    let owned = pool.boxed(|| [2_u8; 32]).unwrap();
    assert!(forked_child_says(|| {
        drop(pool.store([9_u8; 32]).unwrap());
        true
    }));
    assert_eq!(shared.with(|bytes| bytes[0]), Some(1));
    assert_eq!(owned.get(), Some(&[2; 32]));
    assert_eq!(pool.usage().locked_bytes, 16 << 10);
    assert!(flags_of(address_of(&owned)).iter().any(|flag| flag == "lo"));
}

/// Other threads are in the middle of storing and wiping at every fork; a lock that one of them held
/// would hold the child for ever.
#[test]
fn a_child_forked_amid_other_threads_work_uses_the_pool_at_once() {
    let pool = LockedPool::new(LockPolicy::Prefer, 8 << 10).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let keys: Vec<_> = (0..70).map(|_| pool.store([7_u8; 272]).unwrap()).collect();
                    drop(keys);
                }
            });
        }
        let all_work = (0..200).all(|_| {
            forked_child_says(|| {
                let key = pool.store([8_u8; 272]).unwrap();
                key.with(|bytes| bytes[0]) == Some(8) && pool.usage().used == 1
            })
        });
        done.store(true, Ordering::Relaxed);
        assert!(all_work);
    });
}
