//! The virtual clock itself.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use vault_crypto_core::{Clock, SystemClock};
use vault_testkit::VirtualClock;

use super::support::poll_once;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn advancing_wakes_sleeps_in_the_order_of_their_deadlines() {
    let clock = VirtualClock::new();
    let order = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = [3_u32, 1, 2]
        .into_iter()
        .map(|seconds| {
            let (clock, order) = (clock.clone(), Arc::clone(&order));
            thread::spawn(move || {
                pollster::block_on(clock.sleep(SECOND * seconds));
                order.lock().unwrap().push(seconds);
            })
        })
        .collect();
    clock.wait_for_sleepers(3);
    for expected in 1..=3 {
        assert!(clock.advance_to_next());
        while order.lock().unwrap().len() < expected {
            thread::yield_now();
        }
        assert_eq!(clock.monotonic(), SECOND * u32::try_from(expected).unwrap());
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    assert!(!clock.advance_to_next());
}

#[test]
fn a_sleep_ends_neither_before_its_time_nor_after() {
    let clock = VirtualClock::new();
    let mut sleep = clock.sleep(SECOND);
    assert!(poll_once(sleep.as_mut()).is_pending());
    clock.advance(SECOND - Duration::from_nanos(1));
    assert!(poll_once(sleep.as_mut()).is_pending());
    clock.advance(Duration::from_nanos(1));
    assert!(poll_once(sleep.as_mut()).is_ready());
    assert!(poll_once(clock.sleep(Duration::ZERO).as_mut()).is_ready());
}

#[test]
fn dropped_sleeps_are_forgotten_and_polling_twice_keeps_one_entry() {
    let clock = VirtualClock::new();
    let mut sleep = clock.sleep(SECOND);
    assert!(poll_once(sleep.as_mut()).is_pending());
    assert!(poll_once(sleep.as_mut()).is_pending());
    assert_eq!(clock.sleepers(), 1);
    drop(sleep);
    assert_eq!(clock.sleepers(), 0);
}

#[test]
fn wall_time_moves_with_monotonic_time_and_jumps_without_it() {
    let clock = VirtualClock::new();
    let start = clock.now();
    clock.advance(SECOND);
    assert_eq!(clock.now(), start + SECOND);
    clock.set_wall(SystemTime::UNIX_EPOCH + SECOND * 1_000);
    assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + SECOND * 1_000);
    assert_eq!(clock.monotonic(), SECOND);
}

#[test]
fn running_passes_the_time_that_the_future_needs() {
    let clock = VirtualClock::new();
    let answer = clock.run(async {
        clock.sleep(SECOND * 3_600).await;
        clock.sleep(SECOND).await;
        7
    });
    assert_eq!((answer, clock.monotonic()), (7, SECOND * 3_601));
}

#[test]
fn the_system_clock_sleeps_under_any_executor_and_on_many_threads() {
    let clock = SystemClock::new();
    let threads: Vec<_> = (1..=8)
        .map(|n| {
            thread::spawn(move || {
                let nap = Duration::from_millis(5 * n);
                let began = clock.monotonic();
                pollster::block_on(clock.sleep(nap));
                assert!(clock.monotonic() - began >= nap);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let mut long = pin!(clock.sleep(SECOND * 3_600));
    assert!(poll_once(long.as_mut()).is_pending());
}
