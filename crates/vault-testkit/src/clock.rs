//! A clock that stands still until a test moves it, so that hours of time-outs, back-offs and leases
//! take no time and end the same way every time.
//!
//! Left to others: measuring real time. Nothing in a test on this clock shows how fast anything is.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, SystemTime};

use vault_crypto_core::{Clock, Sleep};

/// How long [`VirtualClock::run`] and [`VirtualClock::wait_for_sleepers`] wait, in real time, for
/// other threads before they call it a deadlock.
const PATIENCE: Duration = Duration::from_secs(20);

/// A clock moved by hand. Clones share the same time.
///
/// ```
/// use std::time::Duration;
/// use vault_crypto_core::Clock as _;
/// use vault_testkit::VirtualClock;
///
/// let clock = VirtualClock::new();
/// clock.run(clock.sleep(Duration::from_secs(3_600))); // an hour that takes no time
/// assert_eq!(clock.monotonic(), Duration::from_secs(3_600));
/// ```
#[derive(Debug, Clone, Default)]
pub struct VirtualClock {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    monotonic: Duration,
    /// Wall time when `monotonic` was zero, moved by [`VirtualClock::set_wall`].
    wall_base: SystemTime,
    sleeps: BTreeMap<(Duration, u64), Waker>,
    next_number: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            monotonic: Duration::ZERO,
            // 2026-01-01T00:00:00Z
            wall_base: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            sleeps: BTreeMap::new(),
            next_number: 0,
        }
    }
}

impl VirtualClock {
    /// Stands at zero; the wall clock says 2026-01-01T00:00:00Z.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves time forward, stopping at the deadline of each sleep on the way, earliest first.
    ///
    /// Tasks woken on other threads run while this goes on; to step with them, call
    /// [`advance_to_next`](Self::advance_to_next).
    pub fn advance(&self, by: Duration) {
        let end = self.monotonic() + by;
        while self.step(Some(end)) {}
        let mut state = self.lock();
        state.monotonic = state.monotonic.max(end);
    }

    /// Moves time to the earliest sleep's deadline and wakes it; `false` if nothing sleeps.
    pub fn advance_to_next(&self) -> bool {
        self.step(None)
    }

    /// Sets the wall clock; monotonic time and sleeps do not notice.
    pub fn set_wall(&self, now: SystemTime) {
        let mut state = self.lock();
        state.wall_base = now.checked_sub(state.monotonic).unwrap_or(SystemTime::UNIX_EPOCH);
    }

    /// How many sleeps wait. A dropped sleep no longer counts.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.lock().sleeps.len()
    }

    /// Blocks until at least `count` sleeps wait, for tests whose tasks run on other threads.
    ///
    /// # Panics
    /// If that has not happened after 20 seconds of real time.
    pub fn wait_for_sleepers(&self, count: usize) {
        let state = self.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.sleeps.len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(
            state.sleeps.len() >= count,
            "{} of {count} sleeps began in 20 s of real time",
            state.sleeps.len()
        );
    }

    /// Drives `future` to its end on this thread, moving time to the next sleep whenever nothing
    /// else can go on.
    ///
    /// # Panics
    /// If the future waits for something that is neither a sleep on this clock nor, within 20
    /// seconds of real time, another thread.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            while !signal.take() {
                if !self.advance_to_next() {
                    assert!(signal.wait(), "the future waits for something that never comes");
                }
            }
        }
    }

    /// Fires the first sleep not after `end`, moving time to its deadline.
    fn step(&self, end: Option<Duration>) -> bool {
        let mut state = self.lock();
        let due = match state.sleeps.first_key_value() {
            Some(((deadline, _), _)) if end.is_none_or(|end| *deadline <= end) => {
                state.sleeps.pop_first()
            }
            _ => None,
        };
        let Some(((deadline, _), waker)) = due else { return false };
        state.monotonic = state.monotonic.max(deadline);
        drop(state);
        waker.wake();
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> SystemTime {
        let state = self.lock();
        state.wall_base + state.monotonic
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let deadline = self.monotonic().saturating_add(duration);
        Box::pin(VirtualSleep { clock: self.clone(), deadline, key: None })
    }
}

struct VirtualSleep {
    clock: VirtualClock,
    deadline: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut state = clock.lock();
        // Wakers are dropped after the lock: dropping one may drop a task, and its sleeps with it.
        let old = self.key.take().and_then(|key| state.sleeps.remove(&key));
        if state.monotonic >= self.deadline {
            drop(state);
            drop(old);
            return Poll::Ready(());
        }
        let key = (self.deadline, state.next_number);
        state.next_number += 1;
        state.sleeps.insert(key, cx.waker().clone());
        self.key = Some(key);
        drop(state);
        drop(old);
        clock.shared.changed.notify_all();
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let waker = self.clock.lock().sleeps.remove(&key);
            drop(waker);
        }
    }
}

/// Remembers that somebody called the waker of [`VirtualClock::run`].
#[derive(Default)]
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn take(&self) -> bool {
        std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait(&self) -> bool {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(woken, PATIENCE, |woken| !*woken);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}
