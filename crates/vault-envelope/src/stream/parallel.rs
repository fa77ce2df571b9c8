//! Whole streams on several threads: each takes a segment, seals or opens it, and writes it in turn.
//!
//! Scoped threads, no pool: nothing outlives the call, and a forked child has nothing to hang on.

use std::io::{Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::io::{read_full, read_full_vectored, reading, write_all_vectored, writing};
use super::outgoing::{PaddingTail, padding_tail};
use super::segment::{Segment, Workers};
use super::{StreamOpener, StreamSealer};
use crate::padding::Unpadder;
use crate::{CHUNK_LEN, Padding, SEALED_CHUNK_LEN};

/// Chunks in a worker's segment: 256 KiB of plaintext, so that what was read is still in the
/// processor's cache when it is written.
pub(super) const SEGMENT_CHUNKS: usize = 16;

/// What a worker has in its segment.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) index: u64,
    /// Bytes of plaintext before sealing, of stored bytes before opening.
    pub(super) len: usize,
    pub(super) is_last: bool,
}

/// Where segments come from. Called by all workers.
pub(super) trait Input: Sync {
    fn next(&self, segment: &mut Segment) -> Result<Option<Piece>>;
}

/// Where segments go to. Called by all workers.
pub(super) trait Output: Sync {
    fn put(&self, piece: Piece, segment: &Segment, len: usize) -> Result<()>;
    /// Another worker failed: nobody waits any longer.
    fn abort(&self);
}

/// Called with the number of input bytes done, from any worker.
pub(super) type Progress<'a> = &'a (dyn Fn(u64) + Sync);

type Work<'a> = &'a (dyn Fn(Piece, &mut Segment) -> Result<usize> + Sync);

impl StreamSealer {
    /// Seals all of `input` into `output` on `workers` threads and in constant memory (about 256 KiB
    /// for each). `progress` hears of every input byte that is done.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]. What was written by then does not open.
    pub fn seal_all<R: Read + Send, W: Write + Send>(
        self,
        input: R,
        mut output: W,
        workers: Workers,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<W> {
        output.write_all(&self.head()).map_err(writing(Operation::Seal))?;
        let source = PlainInput(Mutex::new(InOrder::new(Padded::new(input, self.padding))));
        let sink = OrderedOutput::new(SealedSink(output));
        run(&source, &sink, &|piece, segment| self.seal_piece(piece, segment), workers, progress)?;
        let mut output = sink.into_inner().0;
        output.flush().map_err(writing(Operation::Seal))?;
        Ok(output)
    }

    pub(super) fn seal_piece(&self, piece: Piece, segment: &mut Segment) -> Result<usize> {
        let first = piece.index * SEGMENT_CHUNKS as u64;
        self.cipher.seal_segment(first, segment.stored_mut(), piece.len, piece.is_last)
    }
}

impl StreamOpener {
    /// Opens all of `input`, which is at the first chunk, into `output` on `workers` threads. Every
    /// byte that is written was authenticated; the message is whole only when this returns.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for altered or cut-off bytes, [`ErrorKind::Io`].
    pub fn open_all<R: Read + Send, W: Write + Send>(
        self,
        input: R,
        output: W,
        workers: Workers,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<W> {
        let source = SealedInput(Mutex::new(InOrder::new(input)));
        let unpadder = self.padded.then(Unpadder::default);
        let sink = OrderedOutput::new(PlainSink { output, unpadder });
        run(&source, &sink, &|piece, segment| self.open_piece(piece, segment), workers, progress)?;
        let mut output = sink.into_inner().output;
        output.flush().map_err(writing(Operation::Open))?;
        Ok(output)
    }

    pub(super) fn open_piece(&self, piece: Piece, segment: &mut Segment) -> Result<usize> {
        let first = piece.index * SEGMENT_CHUNKS as u64;
        let stored = segment.stored_mut().get_mut(..piece.len).unwrap_or_default();
        self.cipher.open_segment(first, stored, piece.is_last)
    }
}

/// Runs `work` over all segments; the first error ends it and is the answer.
pub(super) fn run(
    input: &dyn Input,
    output: &dyn Output,
    work: Work<'_>,
    workers: Workers,
    progress: Progress<'_>,
) -> Result<()> {
    let one = || {
        let mut unfinished = Unfinished(Some(output));
        run_worker(input, output, work, progress)?;
        unfinished.0 = None;
        Ok(())
    };
    std::thread::scope(|scope| {
        // Where the system gives no more threads, those that are there do it.
        let spawn = || std::thread::Builder::new().spawn_scoped(scope, one).ok();
        let others: Vec<_> = (1..workers.get()).map_while(|_| spawn()).collect();
        let mut result = one();
        for other in others {
            let theirs = other.join().unwrap_or_else(|_| Err(aborted()));
            result = first_error(result, theirs);
        }
        result
    })
}

/// A worker that fails, or panics in the caller's reader or writer, keeps nobody waiting for its turn.
struct Unfinished<'a>(Option<&'a dyn Output>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(output) = self.0 {
            output.abort();
        }
    }
}

fn run_worker(
    input: &dyn Input,
    output: &dyn Output,
    work: Work<'_>,
    progress: Progress<'_>,
) -> Result<()> {
    let mut segment = Segment::new(SEGMENT_CHUNKS);
    while let Some(piece) = input.next(&mut segment)? {
        let len = work(piece, &mut segment)?;
        output.put(piece, &segment, len)?;
        progress(piece.len as u64);
    }
    Ok(())
}

/// A worker that was only told to stop does not hide the error of the one that failed.
fn first_error(one: Result<()>, other: Result<()>) -> Result<()> {
    match (one, other) {
        (Ok(()), result) | (result, Ok(())) => result,
        (Err(one), Err(other)) => Err(if one.kind() == ErrorKind::Internal { other } else { one }),
    }
}

pub(super) fn aborted() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Seal).with_detail("another worker failed")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An input that is read from front to back, by whoever is next.
struct InOrder<R> {
    input: R,
    next: u64,
    ended: bool,
}

impl<R> InOrder<R> {
    fn new(input: R) -> Self {
        Self { input, next: 0, ended: false }
    }

    /// Reads one segment of at most `capacity` bytes; a short one is the last.
    fn next_piece(
        &mut self,
        capacity: usize,
        operation: Operation,
        read: impl FnOnce(&mut R) -> std::io::Result<usize>,
    ) -> Result<Option<Piece>> {
        if self.ended {
            return Ok(None);
        }
        // If reading fails, nobody reads on behind the hole.
        self.ended = true;
        let len = read(&mut self.input).map_err(reading(operation))?;
        let piece = Piece { index: self.next, len, is_last: len < capacity };
        self.ended = piece.is_last;
        self.next += 1;
        Ok(Some(piece))
    }
}

struct PlainInput<R>(Mutex<InOrder<R>>);

impl<R: Read + Send> Input for PlainInput<R> {
    fn next(&self, segment: &mut Segment) -> Result<Option<Piece>> {
        let capacity = SEGMENT_CHUNKS * CHUNK_LEN;
        lock(&self.0).next_piece(capacity, Operation::Seal, |input| {
            read_full_vectored(input, &mut segment.places(capacity))
        })
    }
}

struct SealedInput<R>(Mutex<InOrder<R>>);

impl<R: Read + Send> Input for SealedInput<R> {
    fn next(&self, segment: &mut Segment) -> Result<Option<Piece>> {
        let capacity = SEGMENT_CHUNKS * SEALED_CHUNK_LEN;
        lock(&self.0)
            .next_piece(capacity, Operation::Open, |input| read_full(input, segment.stored_mut()))
    }
}

/// The end of the line: takes segments in order.
trait Sink: Send {
    fn take(&mut self, segment: &Segment, len: usize, is_last: bool) -> Result<()>;
}

struct SealedSink<W>(W);

impl<W: Write + Send> Sink for SealedSink<W> {
    fn take(&mut self, segment: &Segment, len: usize, _is_last: bool) -> Result<()> {
        self.0.write_all(segment.stored(len)).map_err(writing(Operation::Seal))
    }
}

struct PlainSink<W> {
    output: W,
    unpadder: Option<Unpadder>,
}

impl<W: Write + Send> Sink for PlainSink<W> {
    fn take(&mut self, segment: &Segment, len: usize, is_last: bool) -> Result<()> {
        let Some(mut unpadder) = self.unpadder.take() else {
            return write_all_vectored(&mut self.output, &mut segment.plaintext(len))
                .map_err(writing(Operation::Open));
        };
        let output = &mut self.output;
        let mut emit = |bytes: &[u8]| output.write_all(bytes).map_err(writing(Operation::Open));
        for piece in segment.plaintext(len) {
            unpadder.push(&piece, &mut emit)?;
        }
        if is_last {
            return unpadder.finish(&mut emit);
        }
        self.unpadder = Some(unpadder);
        Ok(())
    }
}

/// Lets workers in one after another, in the order of their segments.
struct OrderedOutput<S> {
    turn: Mutex<Turn<S>>,
    changed: Condvar,
}

struct Turn<S> {
    sink: S,
    next: u64,
    aborted: bool,
}

impl<S> OrderedOutput<S> {
    fn new(sink: S) -> Self {
        Self { turn: Mutex::new(Turn { sink, next: 0, aborted: false }), changed: Condvar::new() }
    }

    fn into_inner(self) -> S {
        self.turn.into_inner().unwrap_or_else(PoisonError::into_inner).sink
    }
}

impl<S: Sink> Output for OrderedOutput<S> {
    fn put(&self, piece: Piece, segment: &Segment, len: usize) -> Result<()> {
        let mut turn = self
            .changed
            .wait_while(lock(&self.turn), |turn| !turn.aborted && turn.next != piece.index)
            .unwrap_or_else(PoisonError::into_inner);
        if turn.aborted {
            return Err(aborted());
        }
        turn.sink.take(segment, len, piece.is_last)?;
        turn.next += 1;
        self.changed.notify_all();
        Ok(())
    }

    fn abort(&self) {
        lock(&self.turn).aborted = true;
        self.changed.notify_all();
    }
}

/// An input followed by its padding.
pub(super) struct Padded<R> {
    pub(super) input: R,
    padding: Padding,
    len: u64,
    /// The padding, once the input has ended.
    pub(super) tail: Option<PaddingTail>,
}

impl<R> Padded<R> {
    pub(super) fn new(input: R, padding: Padding) -> Self {
        Self { input, padding, len: 0, tail: None }
    }

    /// `len` bytes were read from the input; 0 is its end.
    pub(super) fn count(&mut self, len: usize) {
        self.len += len as u64;
        if len == 0 {
            self.tail = Some(padding_tail(self.padding, self.len));
        }
    }
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.read_vectored(&mut [std::io::IoSliceMut::new(out)])
    }

    fn read_vectored(&mut self, out: &mut [std::io::IoSliceMut<'_>]) -> std::io::Result<usize> {
        if self.tail.is_none() {
            let len = self.input.read_vectored(out)?;
            self.count(len);
            if len > 0 {
                return Ok(len);
            }
        }
        self.tail.as_mut().map_or(Ok(0), |tail| tail.read_vectored(out))
    }
}
