//! Keys in a pool: what comes back, when it is gone, and who may be looking meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use vault_crypto_core::ErrorKind;
use vault_crypto_core::locked::{LockPolicy, Locked, LockedPool, MAX_SLOT_LEN};

fn pool(policy: LockPolicy, kib: usize) -> LockedPool {
    LockedPool::new(policy, kib * 1_024).unwrap()
}

#[test]
fn a_value_comes_back_until_it_is_wiped_under_every_policy() {
    for policy in [LockPolicy::Require, LockPolicy::Prefer, LockPolicy::Off] {
        let pool = pool(policy, 8);
        let key = pool.store([7_u8; 32]).unwrap();
        assert_eq!(key.with(|bytes| *bytes), Some([7; 32]), "{policy:?}");
        assert!(!key.is_wiped());
        key.wipe();
        assert_eq!(key.with(|bytes| *bytes), None, "{policy:?}");
        assert!(key.is_wiped());
        key.wipe(); // a second time changes nothing
        assert_eq!(pool.usage().used, 0, "{policy:?}");
    }
}

#[test]
fn values_of_every_length_come_back_whole() {
    fn check<const N: usize>(pool: &LockedPool) {
        let value: [u8; N] = std::array::from_fn(|index| (index % 251) as u8 + 1);
        assert_eq!(pool.store(value).unwrap().with(|bytes| *bytes), Some(value), "{N}");
        assert_eq!(pool.boxed(|| value).unwrap().get(), Some(&value), "{N}");
    }
    let pool = pool(LockPolicy::Prefer, 16);
    check::<1>(&pool);
    check::<31>(&pool);
    check::<32>(&pool);
    check::<33>(&pool);
    check::<50>(&pool);
    check::<271>(&pool);
    check::<289>(&pool);
    check::<{ MAX_SLOT_LEN }>(&pool);
}

#[test]
fn a_wiped_slot_is_used_again_and_its_old_handle_stays_empty() {
    let pool = pool(LockPolicy::Prefer, 4);
    let old = pool.store([1_u8; 2_048]).unwrap();
    let other = pool.store([2_u8; 2_048]).unwrap();
    old.wipe();
    let new = pool.store([3_u8; 2_048]).unwrap();
    let usage = pool.usage();
    assert_eq!((usage.used, usage.spilled), (2, 0), "the slot was not used again");
    assert_eq!(old.with(|bytes| bytes[0]), None);
    assert_eq!(new.with(|bytes| bytes[0]), Some(3));
    drop(old); // wipes nothing that is not its own
    assert_eq!(new.with(|bytes| bytes[0]), Some(3));
    assert_eq!(other.with(|bytes| bytes[0]), Some(2));
}

#[test]
fn a_full_pool_refuses_under_require_and_does_not_even_make_the_value() {
    let pool = pool(LockPolicy::Require, 4);
    let keys: Vec<Locked<[u8; 32]>> = (0..128).map(|_| pool.store([9; 32]).unwrap()).collect();
    let refused = pool.store_with(|| -> [u8; 32] { panic!("made although there is no room") });
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::LimitExceeded);
    assert_eq!(
        pool.boxed(|| -> u64 { panic!("made") }).unwrap_err().kind(),
        ErrorKind::LimitExceeded
    );
    assert_eq!(pool.usage().used, 128);
    drop(keys);
    // The block serves shared keys for ever, of any length once it is empty.
    assert!(pool.store([9_u8; 2_048]).is_ok());
}

#[test]
fn under_require_keys_of_one_kind_never_shut_the_other_kind_out() {
    let shared_first = pool(LockPolicy::Require, 16);
    let shared: Vec<_> = std::iter::from_fn(|| shared_first.store([1_u8; 272]).ok()).collect();
    assert_eq!(shared.len(), 3 * 15);
    drop(shared);
    let owned: Vec<_> = std::iter::from_fn(|| shared_first.boxed(|| [1_u8; 32]).ok()).collect();
    assert_eq!(owned.len(), 128);
    let owned_first = pool(LockPolicy::Require, 16);
    let owned: Vec<_> = std::iter::from_fn(|| owned_first.boxed(|| [1_u8; 32]).ok()).collect();
    assert_eq!(owned.len(), 3 * 128);
    assert!(owned_first.store([1_u8; 272]).is_ok());
}

#[test]
fn a_value_that_finds_no_place_comes_back() {
    let pool = pool(LockPolicy::Require, 4);
    let large = pool.place([1_u8; 2_048]).unwrap();
    let other = pool.place([2_u8; 2_048]).unwrap();
    let (value, error) = pool.place(vec![3_u8]).unwrap_err();
    assert_eq!((value, error.kind()), (vec![3], ErrorKind::LimitExceeded));
    drop(large);
    assert_eq!(other.get().unwrap()[0], 2);
    assert_eq!(pool.place([4_u8; 2_000]).unwrap().get().unwrap()[0], 4);
}

#[test]
fn a_full_pool_spills_under_prefer_and_counts() {
    let pool = pool(LockPolicy::Prefer, 4);
    let keys: Vec<Locked<[u8; 32]>> = (0..200_u8).map(|n| pool.store([n; 32]).unwrap()).collect();
    let usage = pool.usage();
    assert_eq!((usage.used, usage.spilled, usage.spills), (200, 72, 72));
    assert!(
        usage.to_string().ends_with("; 72 of 200 keys lie outside of locked memory"),
        "{usage}"
    );
    for (n, key) in (0..).zip(&keys) {
        assert_eq!(key.with(|bytes| bytes[31]), Some(n));
    }
    drop(keys);
    let usage = pool.usage();
    assert_eq!((usage.used, usage.spilled, usage.spills), (0, 0, 72));
}

#[test]
fn a_pool_grows_by_thousands_of_keys_where_it_may() {
    let pool = pool(LockPolicy::Off, 4);
    let keys: Vec<Locked<[u8; 272]>> =
        (0..5_000_u32).map(|n| pool.store([n as u8; 272]).unwrap()).collect();
    for (n, key) in (0_u32..).zip(&keys) {
        assert_eq!(key.with(|bytes| bytes[271]), Some(n as u8));
    }
    let usage = pool.usage();
    assert_eq!((usage.used, usage.locked_bytes, usage.spilled), (5_000, 0, 0));
}

#[test]
fn a_value_outlives_the_callers_handle_on_its_pool() {
    let pool = pool(LockPolicy::Prefer, 4);
    let key = pool.store([5_u8; 32]).unwrap();
    let owned = pool.boxed(|| String::from("on the heap")).unwrap();
    drop(pool);
    assert_eq!(key.with(|bytes| bytes[0]), Some(5));
    assert_eq!(owned.get().map(String::as_str), Some("on the heap"));
}

#[test]
fn a_box_drops_its_value_once_and_lets_its_owner_change_it() {
    struct Counted(Arc<AtomicU64>, u64);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicU64::new(0));
    let pool = pool(LockPolicy::Prefer, 4);
    let mut owned = pool.boxed(|| Counted(Arc::clone(&drops), 1)).unwrap();
    owned.get_mut().unwrap().1 = 2;
    assert_eq!(owned.get().unwrap().1, 2);
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(owned);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    assert_eq!(pool.usage().used, 0);
}

#[test]
fn a_panic_while_a_value_is_made_or_used_keeps_no_slot_and_harms_nobody() {
    let pool = pool(LockPolicy::Prefer, 4);
    let quiet = |run: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    assert!(quiet(&|| drop(pool.store_with(|| -> [u8; 32] { panic!("made") }))).is_err());
    assert!(quiet(&|| drop(pool.boxed(|| -> u64 { panic!("made") }))).is_err());
    assert_eq!(pool.usage().used, 0);
    let key = pool.store([6_u8; 32]).unwrap();
    assert!(quiet(&|| key.with(|_| panic!("used")).unwrap()).is_err());
    assert_eq!(key.with(|bytes| bytes[0]), Some(6));
}

/// One thread stores and wipes values of one repeated byte in two classes; the others read whatever
/// handle they find. A copy that mixes two values would show two bytes.
#[test]
fn a_reader_never_sees_a_mixed_value() {
    let pool = pool(LockPolicy::Prefer, 4);
    let current = Mutex::new(Arc::new(pool.store([1_u8; 272]).unwrap()));
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    let read = || {
        while !done.load(Ordering::Relaxed) {
            let key = Arc::clone(&current.lock().unwrap());
            while let Some(value) = key.with(|bytes| *bytes) {
                assert!(value.iter().all(|byte| *byte == value[0] && *byte != 0), "{value:?}");
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(read);
        scope.spawn(read);
        for round in 0..20_000_u32 {
            let byte = (round % 255) as u8 + 1;
            let next = Arc::new(pool.store([byte; 272]).unwrap());
            let last = std::mem::replace(&mut *current.lock().unwrap(), next);
            last.wipe();
            // Another class over the same words.
            drop(pool.store([byte.wrapping_add(1).max(1); 32]).unwrap());
            if round % 64 == 0 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        current.lock().unwrap().wipe();
    });
    assert!(seen.load(Ordering::Relaxed) > 0);
    assert_eq!(pool.usage().used, 0);
}

#[test]
fn many_threads_storing_and_wiping_never_share_a_slot() {
    let pool = pool(LockPolicy::Prefer, 4);
    thread::scope(|scope| {
        for thread in 1..=4_u8 {
            let pool = &pool;
            scope.spawn(move || {
                let mut kept = Vec::new();
                for round in 0..5_000_u32 {
                    kept.push(pool.store([thread; 64]).unwrap());
                    if kept.len() > 40 {
                        kept.swap_remove(round as usize % 40).wipe();
                    }
                    let some = &kept[round as usize % kept.len()];
                    assert_eq!(some.with(|bytes| *bytes), Some([thread; 64]));
                }
            });
        }
    });
    assert_eq!(pool.usage().used, 0);
}

#[cfg(all(feature = "xaes", feature = "header-mac"))]
mod keys {
    use super::*;
    use vault_crypto_core::HmacSha512Key;
    use vault_crypto_core::aead::AeadBackend;
    use vault_crypto_core::xaes::XaesKey;

    #[test]
    fn a_pooled_xaes_key_seals_and_opens_as_the_key_itself_on_every_backend() {
        for &backend in AeadBackend::available() {
            let pool = pool(LockPolicy::Prefer, 4);
            let plain = XaesKey::new(&[3; 32], backend);
            let key = pool.store_with(|| XaesKey::new(&[3; 32], backend)).unwrap();
            let mut data = *b"4111 1111 1111 1111";
            let (commitment, tag) =
                key.with(|key| key.seal_in_place(&[4; 24], b"row", &mut data)).unwrap().unwrap();
            plain.open_in_place(&[4; 24], &commitment, b"row", &mut data, &tag).unwrap();
            assert_eq!(&data, b"4111 1111 1111 1111");
            let (commitment, tag) = plain.seal_in_place(&[5; 24], b"row", &mut data).unwrap();
            key.with(|key| key.open_in_place(&[5; 24], &commitment, b"row", &mut data, &tag))
                .unwrap()
                .unwrap();
            assert_eq!(&data, b"4111 1111 1111 1111");
        }
    }

    #[test]
    fn a_pooled_hmac_key_gives_the_macs_of_the_key_itself() {
        let pool = pool(LockPolicy::Prefer, 4);
        for len in [0, 32, 128, 200] {
            let bytes = vec![7; len];
            let plain = HmacSha512Key::new(&bytes);
            let key = pool.store_with(|| HmacSha512Key::new(&bytes)).unwrap();
            let parts: [&[u8]; 3] = [b"one", b"", &[9; 300]];
            assert_eq!(key.with(|key| key.mac(&parts)), Some(plain.mac(&parts)), "{len}");
        }
    }
}
