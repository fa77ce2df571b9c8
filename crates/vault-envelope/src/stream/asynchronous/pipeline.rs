//! Segments on their way from an input over jobs to an output, in order, a bounded number at once.
//!
//! Input and output make progress in one task; whichever waits does not hold up the other. Left to
//! the [`Codec`]: what is done to a segment.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::Spawner;
use super::io::poll_write_some;
use super::oneshot::{Receiver, channel};
use super::turn::Turn;
use crate::stream::incoming::Released;
use crate::stream::io::{reading, writing};
use crate::stream::parallel::{Piece, Progress, SEGMENT_CHUNKS};
use crate::stream::segment::Segment;

/// What is done to segments.
pub(super) trait Codec {
    const OPERATION: Operation;

    /// Where input goes when `filled` bytes are there; empty when the segment is full.
    fn place<'a>(&self, segment: &'a mut Segment, filled: usize) -> &'a mut [u8];

    /// Turns a segment's input into output at the segment's start; gives the output's length.
    fn work(&self) -> impl FnOnce(Piece, &mut Segment) -> Result<usize> + Send + 'static;

    /// Takes a segment's output for `released`, or leaves it to be written as it is.
    fn release(&mut self, _content: &[u8], _released: &mut Released) -> Result<bool> {
        Ok(false)
    }

    /// Adds what stands behind the last segment's output; nothing when it was added before.
    fn finish(&mut self, released: &mut Released) -> Result<()> {
        released.reset();
        Ok(())
    }
}

/// A segment whose job is done, and the length of what it holds.
type Done = Result<(Segment, usize)>;

pub(super) struct Pipeline<'s, C, R, W> {
    codec: C,
    input: R,
    output: W,
    spawner: &'s dyn Spawner,
    turn: Turn,
    /// Segments that may still be made, and those that are free again.
    to_make: usize,
    free: Vec<Segment>,
    /// The segment that is being read into, and how far.
    filling: Option<(Segment, usize)>,
    next_index: u64,
    input_ended: bool,
    /// Jobs in order, each with the input bytes that it is about.
    jobs: VecDeque<(Receiver<Done>, usize)>,
    progress: Progress<'s>,
    /// The segment that is being written, its length, and how far.
    writing: Option<(Segment, usize, usize)>,
    /// What is to be written before that.
    released: Released,
    finished: bool,
}

impl<'s, C: Codec, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Pipeline<'s, C, R, W> {
    pub(super) fn new(
        codec: C,
        input: R,
        output: W,
        head: Released,
        spawner: &'s dyn Spawner,
        in_flight: usize,
        progress: Progress<'s>,
    ) -> Self {
        Self {
            codec,
            input,
            output,
            spawner,
            turn: Turn::new(),
            to_make: in_flight.max(1),
            free: Vec::new(),
            filling: None,
            next_index: 0,
            input_ended: false,
            jobs: VecDeque::new(),
            progress,
            writing: None,
            released: head,
            finished: false,
        }
    }

    pub(super) async fn run(mut self) -> Result<W> {
        poll_fn(|cx| self.poll(cx)).await?;
        Ok(self.output)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.finished {
            ready!(self.turn.poll(cx));
            let read = self.poll_input(cx)?.is_ready();
            let written = self.poll_output(cx)?.is_ready();
            if !read && !written {
                self.turn.renew();
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.output).poll_flush(cx).map_err(writing(C::OPERATION))
    }

    /// One step of reading; pending if it waits for the input or for a free segment.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some((mut segment, filled)) = self.filling.take().or_else(|| self.free_segment())
        else {
            return Poll::Pending;
        };
        let place = self.codec.place(&mut segment, filled);
        let len = match Pin::new(&mut self.input).poll_read(cx, place) {
            Poll::Ready(result) => result.map_err(reading(C::OPERATION))?,
            Poll::Pending => {
                self.filling = Some((segment, filled));
                return Poll::Pending;
            }
        };
        self.input_ended = len == 0;
        let filled = filled + len;
        if self.input_ended || self.codec.place(&mut segment, filled).is_empty() {
            self.spawn(segment, filled);
        } else {
            self.filling = Some((segment, filled));
        }
        self.turn.after_step();
        Poll::Ready(Ok(()))
    }

    fn free_segment(&mut self) -> Option<(Segment, usize)> {
        if self.input_ended {
            return None;
        }
        if let Some(segment) = self.free.pop() {
            return Some((segment, 0));
        }
        self.to_make = self.to_make.checked_sub(1)?;
        Some((Segment::new(SEGMENT_CHUNKS), 0))
    }

    fn spawn(&mut self, mut segment: Segment, len: usize) {
        let piece = Piece { index: self.next_index, len, is_last: self.input_ended };
        self.next_index += 1;
        let work = self.codec.work();
        let (sender, receiver) = channel();
        self.jobs.push_back((receiver, len));
        self.spawner.spawn(Box::new(move || {
            if sender.is_wanted() {
                let done = work(piece, &mut segment).map(|len| (segment, len));
                sender.send(done);
            }
        }));
        self.turn.after_chunks(SEGMENT_CHUNKS);
    }

    /// One step of writing; pending if it waits for the output or for a job.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.turn.after_step();
        let failed = writing(C::OPERATION);
        if !self.released.next().is_empty() {
            let write = poll_write_some(&mut self.output, cx, self.released.next());
            let len = ready!(write).map_err(failed)?;
            self.released.advance(len);
            return Poll::Ready(Ok(()));
        }
        let Some((segment, len, sent)) = &mut self.writing else { return self.poll_job(cx) };
        let rest = segment.stored(*len).get(*sent..).unwrap_or_default();
        if !rest.is_empty() {
            *sent += ready!(poll_write_some(&mut self.output, cx, rest)).map_err(failed)?;
        }
        if *sent == *len {
            self.free.extend(self.writing.take().map(|(segment, ..)| segment));
        }
        Poll::Ready(Ok(()))
    }

    /// Takes over the result of the oldest job.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some((job, input_len)) = self.jobs.front_mut() else {
            return if self.input_ended { Poll::Ready(self.finish()) } else { Poll::Pending };
        };
        let (segment, len) = ready!(job.poll(cx)).unwrap_or_else(|| Err(dropped::<C>()))?;
        (self.progress)(*input_len as u64);
        self.jobs.pop_front();
        if self.codec.release(segment.stored(len), &mut self.released)? {
            self.free.push(segment);
        } else {
            self.writing = Some((segment, len, 0));
        }
        Poll::Ready(Ok(()))
    }

    /// Adds the end, if there is one that was not written yet.
    fn finish(&mut self) -> Result<()> {
        self.codec.finish(&mut self.released)?;
        self.finished = self.released.next().is_empty();
        Ok(())
    }
}

fn dropped<C: Codec>() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, C::OPERATION)
        .with_detail("the spawner dropped a job, or the job panicked")
}
