//! One value from a job on another thread to the future that waits for it.
//!
//! A sender that is dropped without sending closes the channel, so that nobody waits for a job that
//! was thrown away or panicked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

struct Channel<T> {
    value: Option<T>,
    closed: bool,
    waker: Option<Waker>,
}

type Shared<T> = Arc<Mutex<Channel<T>>>;

pub(in crate::stream) struct Sender<T>(Shared<T>);

pub(in crate::stream) struct Receiver<T>(Shared<T>);

pub(in crate::stream) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(Channel { value: None, closed: false, waker: None }));
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    /// Whether the receiver is still there.
    pub(in crate::stream) fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    pub(in crate::stream) fn send(self, value: T) {
        lock(&self.0).value = Some(value);
        // Dropping the sender closes the channel and wakes the receiver.
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut channel = lock(&self.0);
            channel.closed = true;
            channel.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The value; none if the sender was dropped without sending.
    pub(in crate::stream) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut channel = lock(&self.0);
        if channel.closed {
            return Poll::Ready(channel.value.take());
        }
        match &mut channel.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Who does not wait any more is not woken, and its task is not held.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let waker = lock(&self.0).waker.take();
        drop(waker);
    }
}

fn lock<T>(shared: &Mutex<Channel<T>>) -> MutexGuard<'_, Channel<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
