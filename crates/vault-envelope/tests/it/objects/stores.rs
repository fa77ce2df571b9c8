//! Stores that count, and stores that misbehave.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// How answers to ranged requests are falsified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// The body ends this many bytes early.
    Short(usize),
    /// The body has this many bytes more.
    Long(usize),
    /// The body fails after this many bytes.
    Breaks(usize),
    /// The request itself fails.
    Refused,
    /// The bytes begin this much further on.
    Shifted(usize),
    /// The answer says it is of another range.
    OtherRange,
    /// The object is said to be this much longer.
    LongerBy(u64),
    /// The object is said to be this much shorter, all along.
    ShorterBy(u64),
    /// No condition is looked at, and the entity tag is always the same.
    Forgetful,
    /// There are no entity tags.
    Tagless,
}

/// A store in memory that tells what was asked of it.
#[derive(Debug, Default)]
pub(super) struct Counting {
    pub(super) inner: InMemory,
    /// Ranges that were answered.
    pub(super) gets: Mutex<Vec<Range<u64>>>,
    /// The entity tag on which each of them depended.
    pub(super) conditions: Mutex<Vec<Option<String>>>,
    pub(super) puts: AtomicUsize,
    pub(super) uploads: Arc<Uploads>,
    /// The fault, and how many requests are answered before it.
    pub(super) fault: Mutex<(usize, Fault)>,
}

impl Counting {
    pub(super) fn misbehave(&self, after: usize, fault: Fault) {
        *self.fault.lock().unwrap() = (after, fault);
    }

    /// The ranges that were fetched since the last call.
    pub(super) fn fetched(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.gets.lock().unwrap())
    }

    fn fault(&self) -> Fault {
        let (after, fault) = &mut *self.fault.lock().unwrap();
        if *after == 0 {
            return *fault;
        }
        *after -= 1;
        Fault::None
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

/// The error of a store that failed. Its words are a secret.
pub(super) const WORDS: &str = "the server said: token=hunter2";

fn broken() -> Error {
    Error::Generic { store: "Counting", source: WORDS.into() }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        if self.fault() == Fault::Refused {
            return Err(broken());
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, options).await?;
        self.uploads.begun.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Upload { inner, log: self.uploads.clone() }))
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        let fault = self.fault();
        if fault == Fault::Refused {
            return Err(broken());
        }
        if fault == Fault::Forgetful {
            options.if_match = None;
        }
        self.conditions.lock().unwrap().push(options.if_match.clone());
        let head = options.head;
        let mut found = self.inner.get_opts(location, options).await?;
        if !head {
            self.gets.lock().unwrap().push(found.range.clone());
        }
        match fault {
            Fault::LongerBy(len) => found.meta.size += len,
            Fault::ShorterBy(len) => {
                found.meta.size -= len;
                found.range.end = found.range.end.min(found.meta.size);
            }
            Fault::Forgetful => found.meta.e_tag = Some("\"same\"".into()),
            Fault::Tagless => found.meta.e_tag = None,
            Fault::OtherRange => found.range.start += 1,
            _ => {}
        }
        Ok(falsified(found, fault).await)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// The answer, in pieces of an odd length, with the fault in its body.
async fn falsified(found: GetResult, fault: Fault) -> GetResult {
    let GetResult { payload, meta, range, attributes, extensions } = found;
    let GetResultPayload::Stream(mut body) = payload else { unreachable!("it is in memory") };
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    match fault {
        Fault::Short(len) => bytes.truncate(bytes.len().saturating_sub(len)),
        Fault::Long(len) => bytes.resize(bytes.len() + len, 7),
        Fault::Breaks(len) => bytes.truncate(len),
        Fault::Shifted(len) => bytes.rotate_left(len),
        Fault::ShorterBy(_) => bytes.truncate((range.end - range.start) as usize),
        _ => {}
    }
    let mut pieces: Vec<Result<Bytes>> =
        bytes.chunks(10_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    if matches!(fault, Fault::Breaks(_)) {
        pieces.push(Err(broken()));
    }
    let payload = GetResultPayload::Stream(stream::iter(pieces).boxed());
    GetResult { payload, meta, range, attributes, extensions }
}

/// What became of uploads in parts.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    pub(super) begun: AtomicUsize,
    pub(super) completed: AtomicUsize,
    pub(super) aborted: AtomicUsize,
    pub(super) parts: Mutex<Vec<usize>>,
    pub(super) in_flight: AtomicUsize,
    pub(super) most_in_flight: AtomicUsize,
    /// How often a part is pending before it arrives.
    pub(super) slowness: AtomicUsize,
    /// The part that fails, from 1; 0 for none.
    pub(super) failing_part: AtomicUsize,
    pub(super) failing_end: AtomicUsize,
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    log: Arc<Uploads>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let log = self.log.clone();
        let number = {
            let mut parts = log.parts.lock().unwrap();
            parts.push(data.content_length());
            parts.len()
        };
        let in_flight = log.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        log.most_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        let part = self.inner.put_part(data);
        Box::pin(async move {
            for _ in 0..log.slowness.load(Ordering::Relaxed) {
                pause().await;
            }
            log.in_flight.fetch_sub(1, Ordering::Relaxed);
            if log.failing_part.load(Ordering::Relaxed) == number {
                Err(broken())
            } else {
                part.await
            }
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.log.failing_end.load(Ordering::Relaxed) > 0 {
            return Err(broken());
        }
        self.log.completed.fetch_add(1, Ordering::Relaxed);
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        pause().await;
        self.log.aborted.fetch_add(1, Ordering::Relaxed);
        self.inner.abort().await
    }
}

/// Pending once.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Drives a future for a number of polls and then drops it; true if it was ready by then.
pub(super) fn dropped_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future: Pin<Box<F>> = Box::pin(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    (0..polls).any(|_| future.as_mut().poll(&mut cx).is_ready())
}
