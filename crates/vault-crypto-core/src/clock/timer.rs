//! One timer thread per process, from the standard library alone, so that sleeping needs no runtime.
//!
//! Sleeps stand in an ordered map; a dropped future takes its entry out at once, so cancelled
//! sleeps cost nothing. A forked child inherits no thread: the first sleep there starts a new one.
//! Left to others: what time means in tests (`vault-testkit` has a virtual clock).

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::Sleep;

/// Monotonic time since the process first asked.
#[expect(clippy::disallowed_methods, reason = "this is the module that asks the system")]
pub(super) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Ends after `duration`; ready at once for zero.
pub(super) fn sleep(duration: Duration) -> Sleep {
    // Far enough to be never, and near enough that adding to it cannot overflow.
    const NEVER: Duration = Duration::from_secs(u32::MAX as u64 * 64);
    let deadline = monotonic() + duration.min(NEVER);
    Box::pin(Sleeping { deadline, entry: None })
}

/// The deadline, and the entry in the timer's map once the future has been polled.
struct Sleeping {
    deadline: Duration,
    entry: Option<(Arc<Timer>, EntryKey)>,
}

/// Ordered by deadline; the number tells equal deadlines apart.
type EntryKey = (Duration, u64);

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if monotonic() >= self.deadline {
            self.leave();
            return Poll::Ready(());
        }
        let timer = Timer::of_this_process();
        // A future carried across `fork` is registered with a timer that has no thread here.
        if let Some((registered, _)) = &self.entry
            && !Arc::ptr_eq(registered, &timer)
        {
            self.entry = None;
        }
        let deadline = self.deadline;
        match &self.entry {
            Some((_, key)) => timer.renew(*key, cx.waker()),
            None => {
                let key = timer.register(deadline, cx.waker().clone());
                self.entry = Some((timer, key));
            }
        }
        Poll::Pending
    }
}

impl Sleeping {
    fn leave(&mut self) {
        if let Some((timer, key)) = self.entry.take() {
            // The lock of a timer inherited through `fork` may be held by a thread that is not here.
            if timer.process == std::process::id() {
                timer.remove(key);
            }
        }
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Timer {
    process: u32,
    state: Mutex<State>,
    earlier: Condvar,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<EntryKey, Waker>,
    next_number: u64,
    running: bool,
    /// Until when the thread waits: zero while it is awake and about to look at the entries.
    waits_until: Duration,
}

/// One timer of each process in the line of forks, oldest first.
struct Link(OnceLock<(Arc<Timer>, &'static Link)>);

static HEAD: Link = Link(OnceLock::new());

impl Timer {
    /// The timer whose thread runs in this process.
    ///
    /// Timers of earlier processes are kept in the list, never locked: their mutex may have been
    /// held at the moment of the fork. The list has one entry per generation of forks.
    fn of_this_process() -> Arc<Self> {
        let process = std::process::id();
        let mut link: &'static Link = &HEAD;
        loop {
            let (timer, next) = link.0.get_or_init(|| {
                let next: &'static Link = Box::leak(Box::new(Link(OnceLock::new())));
                (Arc::new(Self::new(process)), next)
            });
            if timer.process == process {
                return Arc::clone(timer);
            }
            link = next;
        }
    }

    fn new(process: u32) -> Self {
        Self { process, state: Mutex::new(State::default()), earlier: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(self: &Arc<Self>, deadline: Duration, waker: Waker) -> EntryKey {
        let mut state = self.lock();
        let key = (deadline, state.next_number);
        state.next_number += 1;
        let again = (!self.ensure_running(&mut state)).then(|| waker.clone());
        state.entries.insert(key, waker);
        // A sleep that ends later than the thread wakes anyhow costs no wake-up: so it is with limits of
        // time around one call after another.
        let too_late = deadline < state.waits_until;
        drop(state);
        if too_late {
            self.earlier.notify_one();
        }
        if let Some(waker) = again {
            waker.wake();
        }
        key
    }

    /// Whether the thread is there. Where the system refuses one, the sleepers poll until it does
    /// not: slow, but they end.
    fn ensure_running(self: &Arc<Self>, state: &mut State) -> bool {
        if !state.running {
            let timer = Arc::clone(self);
            let builder = thread::Builder::new().name("vaultkit-timer".into());
            state.running = builder.spawn(move || timer.run()).is_ok();
        }
        state.running
    }

    fn renew(self: &Arc<Self>, key: EntryKey, waker: &Waker) {
        let mut state = self.lock();
        let mut again = !self.ensure_running(&mut state);
        let replaced = match state.entries.get_mut(&key) {
            Some(entry) if entry.will_wake(waker) => None,
            Some(entry) => Some(std::mem::replace(entry, waker.clone())),
            // Fired between the deadline check and here: come again at once.
            None => {
                again = true;
                None
            }
        };
        drop(state);
        // As in `remove`: the last waker of a task may take a sleep along that wants the lock.
        drop(replaced);
        if again {
            waker.wake_by_ref();
        }
    }

    fn remove(&self, key: EntryKey) {
        let removed = self.lock().entries.remove(&key);
        // A waker may run code of its executor when dropped: never under the lock.
        drop(removed);
    }

    fn run(&self) {
        let mut state = self.lock();
        loop {
            let now = monotonic();
            let due = match state.entries.first_key_value() {
                Some((&(deadline, _), _)) if deadline <= now => state.entries.pop_first(),
                _ => None,
            };
            if let Some((_, waker)) = due {
                drop(state);
                // An executor that panics on a wake must not take everybody's timer along.
                drop(panic::catch_unwind(AssertUnwindSafe(|| waker.wake())));
                state = self.lock();
                continue;
            }
            let first = state.entries.first_key_value().map(|((deadline, _), _)| *deadline);
            state.waits_until = first.unwrap_or(Duration::MAX);
            state = match first {
                Some(deadline) => {
                    let waited = self.earlier.wait_timeout(state, deadline - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.earlier.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.waits_until = Duration::ZERO;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sleeps of 20 to 60 seconds, which no other test has.
    fn long_sleeps() -> usize {
        let [from, to] = [20, 60].map(|seconds| (monotonic() + Duration::from_secs(seconds), 0));
        Timer::of_this_process().lock().entries.range(from..to).count()
    }

    #[test]
    fn sleeps_end_after_their_time_and_cancelled_ones_leave_nothing_behind() {
        let start = monotonic();
        pollster::block_on(sleep(Duration::from_millis(20)));
        assert!(monotonic() - start >= Duration::from_millis(20));

        let mut context = Context::from_waker(Waker::noop());
        let mut sleeps: Vec<Sleep> = (0..1_000).map(|_| sleep(Duration::from_secs(30))).collect();
        for sleeping in &mut sleeps {
            assert!(sleeping.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(long_sleeps(), 1_000);
        drop(sleeps);
        assert_eq!(long_sleeps(), 0);

        // A short sleep registered after a long one still ends first.
        let mut long = sleep(Duration::from_secs(30));
        assert!(long.as_mut().poll(&mut context).is_pending());
        pollster::block_on(sleep(Duration::from_millis(5)));
        assert!(long.as_mut().poll(&mut context).is_pending());
    }

    #[test]
    fn a_sleep_that_ends_after_a_cancelled_one_ends_all_the_same() {
        let mut context = Context::from_waker(Waker::noop());
        let mut cancelled = sleep(Duration::from_millis(10));
        assert!(cancelled.as_mut().poll(&mut context).is_pending());
        drop(cancelled);
        let start = monotonic();
        pollster::block_on(sleep(Duration::from_millis(40)));
        assert!(monotonic() - start >= Duration::from_millis(40));
    }

    /// A task that goes with its last waker, and its own sleep with the task.
    struct Task(Arc<Timer>, EntryKey);

    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Task {
        fn drop(&mut self) {
            self.0.remove(self.1);
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_take_another_sleep_along() {
        let timer = Arc::new(Timer::new(std::process::id()));
        let later = monotonic() + Duration::from_secs(70);
        let own = timer.register(later, Waker::noop().clone());
        let task = Waker::from(Arc::new(Task(timer.clone(), own)));
        let moved = timer.register(later, task);
        let (done, finished) = std::sync::mpsc::channel();
        thread::spawn(move || {
            timer.renew(moved, Waker::noop());
            done.send(timer.lock().entries.len())
        });
        assert_eq!(finished.recv_timeout(Duration::from_secs(20)), Ok(1));
    }

    #[test]
    fn zero_is_ready_at_once_and_forever_does_not_overflow() {
        let mut context = Context::from_waker(Waker::noop());
        assert!(sleep(Duration::ZERO).as_mut().poll(&mut context).is_ready());
        assert!(sleep(Duration::MAX).as_mut().poll(&mut context).is_pending());
    }
}
