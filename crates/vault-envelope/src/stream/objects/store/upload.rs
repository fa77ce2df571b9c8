//! One object on its way into a store: put whole if it is small, else in parts of one length,
//! several at once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    UploadPart,
};

/// Length of a part unless told: over the 5 MiB that stores ask for, and 80 GiB in 10,000 parts.
const PART_LEN: usize = 8 << 20;
/// Parts that are on their way at once unless told.
const AT_ONCE: usize = 4;

type Result<T> = object_store::Result<T>;
type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    pub(super) part_len: usize,
    pub(super) at_once: usize,
    waiting: super::part::Parts,
    taken: u64,
    state: State,
}

enum State {
    /// Nothing was sent yet.
    New,
    Starting(Later<Result<Box<dyn MultipartUpload>>>),
    Running(Running),
    Ending(Later<Result<PutResult>>),
    Aborting(Later<()>),
    Ended,
}

struct Running {
    upload: Box<dyn MultipartUpload>,
    parts: Vec<UploadPart>,
}

impl Upload {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        Self {
            store,
            path,
            part_len: PART_LEN,
            at_once: AT_ONCE,
            waiting: super::part::Parts::default(),
            taken: 0,
            state: State::New,
        }
    }

    /// Stored bytes so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.taken += bytes.len() as u64;
        self.waiting.push(bytes);
    }

    /// Sends full parts until less than one waits.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let State::Running(running) = &mut self.state {
                running.poll_parts(cx)?;
            }
            if self.waiting.len() <= self.part_len {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_send(cx))?;
        }
    }

    /// Sends what is left; gives the object that came of it.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<PutResult>> {
        loop {
            match &mut self.state {
                State::New if self.waiting.len() <= self.part_len => {
                    let payload = self.waiting.take(self.part_len);
                    self.state = State::Ending(put(&self.store, &self.path, payload));
                }
                State::Running(running) if self.waiting.len() == 0 => {
                    running.poll_parts(cx)?;
                    if !running.parts.is_empty() {
                        return Poll::Pending;
                    }
                    if let State::Running(running) =
                        std::mem::replace(&mut self.state, State::Ended)
                    {
                        self.state = State::Ending(Box::pin(running.complete()));
                    }
                }
                State::Ending(ending) => {
                    let done = ready!(ending.as_mut().poll(cx));
                    self.state = State::Ended;
                    return Poll::Ready(done);
                }
                State::Running(running) => {
                    running.poll_parts(cx)?;
                    ready!(self.poll_send(cx))?;
                }
                _ => ready!(self.poll_send(cx))?,
            }
        }
    }

    /// Gives up: takes back what was uploaded, if the store can.
    pub(super) fn poll_abort(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Starting(starting) => {
                    self.state = State::Aborting(Box::pin(async {
                        if let Ok(mut upload) = starting.await {
                            let _ = upload.abort().await;
                        }
                    }));
                }
                State::Running(mut running) => {
                    running.parts.clear();
                    self.state = State::Aborting(Box::pin(async move {
                        let _ = running.upload.abort().await;
                    }));
                }
                State::Aborting(mut aborting) => {
                    if aborting.as_mut().poll(cx).is_pending() {
                        self.state = State::Aborting(aborting);
                        return Poll::Pending;
                    }
                }
                State::New | State::Ending(_) | State::Ended => return Poll::Ready(()),
            }
        }
    }

    /// One step towards sending the next part; pending if as many as may be are on their way.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.state {
            State::New => {
                let (store, path) = (self.store.clone(), self.path.clone());
                self.state = State::Starting(Box::pin(async move {
                    store.put_multipart_opts(&path, PutMultipartOptions::default()).await
                }));
            }
            State::Starting(starting) => {
                let started = ready!(starting.as_mut().poll(cx));
                self.state = State::Ended;
                self.state = State::Running(Running { upload: started?, parts: Vec::new() });
            }
            State::Running(running) if running.parts.len() < self.at_once => {
                let part = self.waiting.take(self.part_len);
                running.parts.push(running.upload.put_part(part));
            }
            _ => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }
}

impl Running {
    /// Lets all parts make progress and forgets those that arrived.
    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut failed = None;
        self.parts.retain_mut(|part| match part.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(error)) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(()), Err)
    }

    async fn complete(mut self) -> Result<PutResult> {
        let completed = self.upload.complete().await;
        if completed.is_err() {
            let _ = self.upload.abort().await;
        }
        completed
    }
}

/// Puts an object with one request.
pub(super) fn put(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    payload: PutPayload,
) -> Later<Result<PutResult>> {
    let (store, path) = (store.clone(), path.clone());
    Box::pin(async move { store.put_opts(&path, payload, PutOptions::default()).await })
}
