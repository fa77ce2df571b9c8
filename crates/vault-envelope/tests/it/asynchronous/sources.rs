//! Inputs, outputs and spawners that behave badly, within the contract.

use std::collections::VecDeque;
use std::io::Result as IoResult;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::{AsyncRead, AsyncWrite};
use vault_envelope::stream::{Job, Spawner};

/// Moves at most `step` bytes a call; with `pauses`, every other call is pending.
pub(crate) struct Slow<T> {
    pub(crate) inner: T,
    step: usize,
    pauses: bool,
    paused: bool,
}

impl<T> Slow<T> {
    pub(crate) fn new(inner: T, step: usize, pauses: bool) -> Self {
        Self { inner, step, pauses, paused: false }
    }

    fn pause(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        self.paused = self.pauses && !self.paused;
        if self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.step)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Slow<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<IoResult<usize>> {
        let len = std::task::ready!(self.pause(cx)).min(out.len());
        Pin::new(&mut self.inner).poll_read(cx, &mut out[..len])
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Slow<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<IoResult<usize>> {
        let len = std::task::ready!(self.pause(cx)).min(data.len());
        Pin::new(&mut self.inner).poll_write(cx, &data[..len])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        std::task::ready!(self.pause(cx));
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        std::task::ready!(self.pause(cx));
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

/// What went through an [`Endless`] input or a [`Sink`].
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, len: usize) {
        self.0.fetch_add(len, Ordering::Relaxed);
    }
}

/// Always ready, never ends.
pub(crate) struct Endless(pub(crate) Count);

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<IoResult<usize>> {
        out.fill(7);
        self.0.add(out.len());
        Poll::Ready(Ok(out.len()))
    }
}

/// Fails at the first call and then works.
pub(crate) struct FailsOnce<R> {
    inner: R,
    failed: bool,
}

impl<R> FailsOnce<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, failed: false }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for FailsOnce<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<IoResult<usize>> {
        if !std::mem::replace(&mut self.failed, true) {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_read(cx, out)
    }
}

/// Takes everything at once, or nothing ever, or fails once; tells whether it was closed.
pub(crate) struct Sink {
    pub(crate) taken: Count,
    pub(crate) closed: Count,
    pub(crate) mood: Mood,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Ready,
    Stuck,
    Broken,
    Full,
}

impl Sink {
    pub(crate) fn new(mood: Mood) -> Self {
        Self { taken: Count::default(), closed: Count::default(), mood }
    }
}

impl AsyncWrite for Sink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<IoResult<usize>> {
        match self.mood {
            Mood::Ready => {
                self.taken.add(data.len());
                Poll::Ready(Ok(data.len()))
            }
            Mood::Stuck => Poll::Pending,
            Mood::Broken => {
                self.mood = Mood::Ready;
                Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
            }
            Mood::Full => {
                self.mood = Mood::Ready;
                Poll::Ready(Ok(0))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        self.closed.add(1);
        Poll::Ready(Ok(()))
    }
}

/// A thread for every job; the first ones start late, so that jobs end out of order.
pub(crate) fn threads() -> impl Spawner {
    let started = AtomicUsize::new(0);
    move |job: Job| {
        let pauses = 300_usize.saturating_sub(started.fetch_add(1, Ordering::Relaxed) * 100);
        std::thread::spawn(move || {
            (0..pauses).for_each(|_| std::thread::yield_now());
            job();
        });
    }
}

/// Keeps jobs until they are asked for.
#[derive(Default)]
pub(crate) struct Shelf(Mutex<VecDeque<Job>>);

impl Shelf {
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn run_newest(&self) {
        let job = self.0.lock().unwrap().pop_back().unwrap();
        job();
    }
}

impl Spawner for Shelf {
    fn spawn(&self, job: Job) {
        self.0.lock().unwrap().push_back(job);
    }
}

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls by hand.
pub(crate) struct Poller {
    wakes: Arc<Wakes>,
    waker: Waker,
}

impl Poller {
    pub(crate) fn new() -> Self {
        let wakes = Arc::new(Wakes::default());
        Self { waker: wakes.clone().into(), wakes }
    }

    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&self.waker))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}
