//! What those who wait are promised.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};

use shuttle::future::{block_on, yield_now};
use shuttle::thread;

use crate::Property;
use crate::cache::flight::Flights;
use crate::cache::sync::{Arc, Mutex, Ordering, lock};
use crate::model::{Cache, Key, PRINT, Refused};

pub const ALL: &[Property] = &[
    ("whoever misses the same key costs one call together", one_call),
    ("a refusal is the answer of all who wait, and keeps nothing", one_refusal),
    ("whoever gives up leaves nobody waiting", nobody_is_lost),
    ("who is kept and never polled again holds nobody up", a_sleeper_holds_nobody_up),
    ("the last one to leave takes the question away", nothing_is_left),
    ("failed fills let a full shelf as it is", failures_evict_nobody),
];

/// Broken by not looking at the store again before a new flight begins.
fn one_call() {
    let cache = Cache::new(4);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let cache = cache.clone();
            thread::spawn(move || block_on(cache.key(PRINT)).unwrap().use_it().unwrap())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 0);
    }
    assert_eq!(cache.kms.calls.load(SeqCst), 1);
}

fn one_refusal() {
    let cache = Cache::new(4);
    cache.kms.refuses.store(true, Ordering::SeqCst);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let cache = cache.clone();
            thread::spawn(move || block_on(cache.key(PRINT)).err())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Some(Refused));
    }
    assert_eq!(cache.store.len(), 0);
}

/// An answer that somebody outside gives.
#[derive(Default)]
struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    fn open(&self) {
        let mut gate = lock(&self.0);
        gate.0 = true;
        let waker = gate.1.take();
        drop(gate);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn pass(&self) {
        std::future::poll_fn(|context| {
            let mut gate = lock(&self.0);
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1 = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Flights for one question, which passes a gate.
fn gated() -> (Arc<Flights<u8, u8>>, Arc<Gate>) {
    (Flights::new(|| 0), Arc::default())
}

macro_rules! seat {
    ($flights:expr, $gate:expr) => {{
        let gate = $gate.clone();
        $flights
            .join(1, move || {
                Box::pin(async move {
                    gate.pass().await;
                    yield_now().await;
                    1
                })
            })
            .0
    }};
}

/// Broken by waking one waiter in place of all, or by not ringing again for a wake that came while the
/// question was polled.
fn nobody_is_lost() {
    let (flights, gate) = gated();
    let quitter = {
        let (flights, gate) = (flights.clone(), gate.clone());
        thread::spawn(move || {
            let mut seat = pin!(seat!(flights, gate));
            // Polled on a task's waker that nobody listens to any more, then dropped.
            for _ in 0..2 {
                let _ = seat.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                thread::yield_now();
            }
        })
    };
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let (flights, gate) = (flights.clone(), gate.clone());
            thread::spawn(move || block_on(async { seat!(flights, gate).await }))
        })
        .collect();
    gate.open();
    quitter.join().unwrap();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), 1);
    }
}

fn a_sleeper_holds_nobody_up() {
    let (flights, gate) = gated();
    let mut sleeper = Box::pin(seat!(flights, gate));
    let _ = sleeper.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let waiter = {
        let (flights, gate) = (flights.clone(), gate.clone());
        thread::spawn(move || block_on(async { seat!(flights, gate).await }))
    };
    let opener = {
        let gate = gate.clone();
        thread::spawn(move || gate.open())
    };
    assert_eq!(waiter.join().unwrap(), 1);
    opener.join().unwrap();
    drop(sleeper);
}

/// Broken by counting a seat that was never given back.
fn nothing_is_left() {
    let (flights, gate) = gated();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (flights, gate) = (flights.clone(), gate.clone());
            thread::spawn(move || {
                let mut seat = pin!(seat!(flights, gate));
                let _ = seat.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    // The question held the gate; the seats and their threads are gone.
    assert_eq!(Arc::strong_count(&gate), 1, "a question was left behind");
}

/// Broken by making room before the answer is there.
fn failures_evict_nobody() {
    let cache = Cache::new(1);
    let hot = block_on(cache.key(PRINT)).unwrap();
    cache.kms.refuses.store(true, Ordering::SeqCst);
    let flood: Vec<_> = (100..103)
        .map(|print| {
            let cache = cache.clone();
            thread::spawn(move || assert_eq!(block_on(cache.key(print)).err(), Some(Refused)))
        })
        .collect();
    assert_eq!(block_on(cache.key(PRINT)).unwrap().use_it(), Some(0));
    for thread in flood {
        thread.join().unwrap();
    }
    assert!(!Key::is_wiped(&hot));
}
