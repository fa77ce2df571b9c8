//! The plaintext of a part of an object, as it arrives: one request, segments opened in order, some
//! of them at once where there is a [`Spawner`](crate::Spawner) for it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::ByteStream;
use super::object::Inner;
use super::source::not_as_asked;
use crate::stream::asynchronous::{Receiver, Turn, channel};
use crate::stream::parallel::SEGMENT_CHUNKS;
use crate::stream::segment::Segment;
use crate::{RangePlan, SEALED_CHUNK_LEN};

/// Authenticated plaintext, in pieces of at most 256 KiB, in order. Wiped when the last clone of a
/// piece is dropped.
///
/// Every piece is authentic when it comes. If the object was altered or cut, what came before is a
/// part of the message all the same, and then there is an error. Nothing comes after an error.
///
/// Cancellation-safe: nothing is lost when a poll is not followed by another for a while, and
/// dropping the stream ends its request.
pub struct PlaintextStream {
    object: Arc<Inner>,
    fetch: Fetch,
    /// Stored bytes that are still to come, and what came of them and was not taken yet.
    left: u64,
    piece: Bytes,
    filling: Option<(Segment, usize)>,
    next_chunk: u64,
    includes_last: bool,
    jobs: VecDeque<Receiver<Result<(Segment, usize)>>>,
    /// Plaintext to drop, then to give.
    skip: usize,
    remaining: u64,
    turn: Turn,
}

type Asking = Pin<Box<dyn Future<Output = Result<ByteStream>> + Send>>;

enum Fetch {
    /// Where the request for the rest starts, in the body.
    Held(u64),
    Asking(Asking),
    Body(ByteStream),
}

impl PlaintextStream {
    pub(super) fn new(object: Arc<Inner>, plan: &RangePlan) -> Self {
        let held = object.beginning.len() as u64;
        let at = |offset: u64| usize::try_from(offset.min(held)).unwrap_or_default();
        let piece = object.beginning.slice(at(plan.chunks.start)..at(plan.chunks.end));
        Self {
            fetch: Fetch::Held(plan.chunks.start + piece.len() as u64),
            left: plan.chunks.end - plan.chunks.start,
            piece,
            filling: None,
            next_chunk: plan.first_chunk,
            includes_last: plan.includes_last,
            jobs: VecDeque::new(),
            skip: plan.skip,
            remaining: plan.len,
            turn: Turn::new(),
            object,
        }
    }

    /// Bytes of plaintext that are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn poll_plaintext(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            ready!(self.turn.poll(cx));
            let filled = self.poll_fill(cx)?.is_ready();
            match self.jobs.front_mut().map(|job| job.poll(cx)) {
                Some(Poll::Ready(done)) => {
                    self.jobs.pop_front();
                    let (segment, len) = done.unwrap_or_else(|| Err(dropped()))?;
                    let bytes = self.release(segment, len)?;
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                None if self.left == 0 => {
                    self.note_end();
                    return Poll::Ready(Ok(None));
                }
                _ if !filled => {
                    self.turn.renew();
                    return Poll::Pending;
                }
                _ => {}
            }
        }
    }

    /// One step of reading; pending if it waits for the store or for a job, or all was read.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.left == 0 || self.jobs.len() >= self.object.options.in_flight {
            return Poll::Pending;
        }
        if self.piece.is_empty() {
            self.piece = ready!(self.poll_piece(cx))?;
            if self.piece.len() as u64 > self.left {
                return Poll::Ready(Err(not_as_asked()));
            }
        }
        let (mut segment, filled) = self.filling.take().unwrap_or_else(|| (self.segment(), 0));
        let place = segment.stored_mut().get_mut(filled..).unwrap_or_default();
        let bytes = self.piece.split_to(place.len().min(self.piece.len()));
        let is_full = bytes.len() == place.len();
        if let Some(place) = place.get_mut(..bytes.len()) {
            place.copy_from_slice(&bytes);
        }
        self.left -= bytes.len() as u64;
        let filled = filled + bytes.len();
        if is_full || self.left == 0 {
            self.spawn(segment, filled);
        } else {
            self.filling = Some((segment, filled));
        }
        self.turn.after_step();
        Poll::Ready(Ok(()))
    }

    /// The next stored bytes, from the request that is made for them if there is none yet.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        loop {
            match &mut self.fetch {
                Fetch::Held(from) => {
                    let object = self.object.clone();
                    let from = object.extent.start + *from;
                    let range = from..from + self.left;
                    self.fetch = Fetch::Asking(Box::pin(async move {
                        object.source.range(range, &object.version).await
                    }));
                }
                Fetch::Asking(asking) => {
                    let body = ready!(asking.as_mut().poll(cx))?;
                    self.fetch = Fetch::Body(body);
                }
                Fetch::Body(body) => match ready!(body.as_mut().poll_next(cx)) {
                    Some(Ok(piece)) if piece.is_empty() => {}
                    Some(piece) => return Poll::Ready(piece),
                    None => return Poll::Ready(Err(not_as_asked())),
                },
            }
        }
    }

    /// Room for the next stored bytes.
    fn segment(&self) -> Segment {
        let chunks = usize::try_from(self.left.div_ceil(SEALED_CHUNK_LEN as u64));
        Segment::new(chunks.unwrap_or(SEGMENT_CHUNKS).min(SEGMENT_CHUNKS))
    }

    fn spawn(&mut self, mut segment: Segment, len: usize) {
        let first = self.next_chunk;
        let is_last = self.includes_last && self.left == 0;
        let cipher = self.object.cipher.clone();
        self.next_chunk += (len / SEALED_CHUNK_LEN) as u64;
        let (sender, receiver) = channel();
        self.jobs.push_back(receiver);
        self.object.options.spawner.spawn(Box::new(move || {
            if sender.is_wanted() {
                let stored = segment.stored_mut().get_mut(..len).unwrap_or_default();
                let opened = cipher.open_segment(first, stored, is_last);
                sender.send(opened.map(|len| (segment, len)));
            }
        }));
        self.turn.after_chunks(SEGMENT_CHUNKS);
    }

    /// What of an opened segment was asked for.
    fn release(&mut self, segment: Segment, len: usize) -> Result<Bytes> {
        let from = self.skip.min(len);
        self.skip -= from;
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let to = from + wanted.min(len - from);
        self.remaining -= (to - from) as u64;
        Ok(segment.into_plaintext(len)?.slice(from..to))
    }

    /// The last chunk was authentic, and so is the length.
    fn note_end(&self) {
        if self.includes_last && !self.object.extent.padded {
            self.object.len.get_or_init(|| self.object.extent.content);
        }
    }

    /// Nothing more comes.
    fn stop(&mut self) {
        self.left = 0;
        self.includes_last = false;
        self.filling = None;
        self.jobs.clear();
        self.fetch = Fetch::Held(0);
    }
}

impl Stream for PlaintextStream {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = ready!(this.poll_plaintext(cx));
        if next.is_err() {
            this.stop();
        }
        Poll::Ready(next.transpose())
    }
}

impl fmt::Debug for PlaintextStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaintextStream")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

fn dropped() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Open)
        .with_detail("the spawner dropped a job, or the job panicked")
}
