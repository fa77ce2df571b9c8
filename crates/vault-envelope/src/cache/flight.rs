//! One question, many who wait for its answer: single flight without a leader.
//!
//! The question is a future that lies in the flight itself. Whoever is polled drives it on, whoever is
//! dropped leaves it lying there, and the last one to leave takes it away. So there is no leader to be
//! cancelled and nothing to hand over. A wake goes to everybody: a waiter that is kept but never polled
//! again holds nobody up. Left to others: what is asked and what becomes of the answer.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use super::sync::{Arc, Mutex, lock};

/// What a flight drives.
pub(crate) type Question<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The flights under way, each under the key of what it asks for.
pub(crate) struct Flights<K, T> {
    table: Mutex<HashMap<K, Entry<T>>>,
    /// The answer to those who wait for a question that panicked.
    broken: fn() -> T,
}

struct Entry<T> {
    flight: Arc<Flight<T>>,
    seats: usize,
}

struct Flight<T> {
    state: Mutex<State<T>>,
    bell: Arc<Bell>,
}

enum State<T> {
    Waiting(Question<T>),
    /// Somebody polls the question at this moment.
    Polling,
    Answered(T),
    Broken,
}

/// Wakes everybody in the flight. The question holds it, so it must not hold the question.
#[derive(Default)]
struct Bell(Mutex<Ringers>);

#[derive(Default)]
struct Ringers {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
    rung: bool,
}

impl<K: Hash + Eq + Clone, T: Clone> Flights<K, T> {
    pub(crate) fn new(broken: fn() -> T) -> Arc<Self> {
        Arc::new(Self { table: Mutex::default(), broken })
    }

    /// A seat in the flight for `key`. If there is none, `start` makes its question; the second answer
    /// is whether that was so. `start` runs under the table's lock: it makes a future and polls nothing.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: K,
        start: impl FnOnce() -> Question<T>,
    ) -> (Seat<K, T>, bool) {
        let mut table = lock(&self.table);
        let mut started = false;
        let entry = table.entry(key.clone()).or_insert_with(|| {
            started = true;
            let state = Mutex::new(State::Waiting(start()));
            Entry { flight: Arc::new(Flight { state, bell: Arc::default() }), seats: 0 }
        });
        entry.seats += 1;
        let flight = entry.flight.clone();
        drop(table);
        let place = flight.bell.place();
        (Seat { flights: self.clone(), key, flight, place }, started)
    }

    /// Takes `flight` off the table, if it is the one that stands there.
    fn land(&self, key: &K, flight: &Arc<Flight<T>>) {
        let mut table = lock(&self.table);
        if table.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.flight, flight)) {
            let landed = table.remove(key);
            drop(table);
            drop(landed);
        }
    }
}

/// One who waits. Dropping it leaves the flight to the others.
pub(crate) struct Seat<K: Hash + Eq + Clone, T: Clone> {
    flights: Arc<Flights<K, T>>,
    key: K,
    flight: Arc<Flight<T>>,
    place: u64,
}

impl<K: Hash + Eq + Clone, T: Clone> Unpin for Seat<K, T> {}

impl<K: Hash + Eq + Clone, T: Clone> Future for Seat<K, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let flight = &self.flight;
        // Before looking at the state: an answer that comes from here on rings for this one, too.
        flight.bell.listen(self.place, cx.waker());
        let mut state = lock(&flight.state);
        match std::mem::replace(&mut *state, State::Polling) {
            State::Answered(answer) => {
                *state = State::Answered(answer.clone());
                Poll::Ready(answer)
            }
            State::Broken => {
                *state = State::Broken;
                Poll::Ready((self.flights.broken)())
            }
            State::Polling => Poll::Pending,
            State::Waiting(question) => {
                drop(state);
                self.drive(question)
            }
        }
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Seat<K, T> {
    fn drive(&self, mut question: Question<T>) -> Poll<T> {
        let flight = &self.flight;
        flight.bell.hush();
        let waker = Waker::from(flight.bell.clone());
        let guard = BreakOnPanic(self);
        let polled = question.as_mut().poll(&mut Context::from_waker(&waker));
        std::mem::forget(guard);
        match polled {
            Poll::Ready(answer) => {
                *lock(&flight.state) = State::Answered(answer.clone());
                drop(question);
                self.flights.land(&self.key, flight);
                flight.bell.ring();
                Poll::Ready(answer)
            }
            Poll::Pending => {
                *lock(&flight.state) = State::Waiting(question);
                // Whoever was woken meanwhile found the question gone and sleeps again.
                if flight.bell.was_rung() {
                    flight.bell.ring();
                }
                Poll::Pending
            }
        }
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Drop for Seat<K, T> {
    fn drop(&mut self) {
        let waker = self.flight.bell.leave(self.place);
        drop(waker);
        let mut table = lock(&self.flights.table);
        let Some(entry) = table.get_mut(&self.key) else { return };
        if !Arc::ptr_eq(&entry.flight, &self.flight) {
            return;
        }
        entry.seats -= 1;
        if entry.seats == 0 {
            let last = table.remove(&self.key);
            drop(table);
            // The question is dropped here or with this seat, outside of every lock.
            drop(last);
        }
    }
}

struct BreakOnPanic<'a, K: Hash + Eq + Clone, T: Clone>(&'a Seat<K, T>);

impl<K: Hash + Eq + Clone, T: Clone> Drop for BreakOnPanic<'_, K, T> {
    fn drop(&mut self) {
        *lock(&self.0.flight.state) = State::Broken;
        self.0.flights.land(&self.0.key, &self.0.flight);
        self.0.flight.bell.ring();
    }
}

impl Bell {
    fn place(&self) -> u64 {
        let mut ringers = lock(&self.0);
        ringers.next += 1;
        ringers.next
    }

    fn listen(&self, place: u64, waker: &Waker) {
        let mut ringers = lock(&self.0);
        let old = match ringers.wakers.get(&place) {
            Some(known) if known.will_wake(waker) => None,
            _ => ringers.wakers.insert(place, waker.clone()),
        };
        drop(ringers);
        // Dropping a waker may drop a task, and that a seat: not under the lock.
        drop(old);
    }

    fn leave(&self, place: u64) -> Option<Waker> {
        lock(&self.0).wakers.remove(&place)
    }

    fn hush(&self) {
        lock(&self.0).rung = false;
    }

    fn was_rung(&self) -> bool {
        lock(&self.0).rung
    }

    fn ring(&self) {
        let mut ringers = lock(&self.0);
        ringers.rung = true;
        let wakers: Vec<Waker> = ringers.wakers.values().cloned().collect();
        drop(ringers);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.ring();
    }
}
