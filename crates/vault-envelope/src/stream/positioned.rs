//! File to file on several threads, each reading and writing at its own place: no thread waits for
//! another, and chunks go between file and buffer without being moved.

use std::fs::File;
use std::io::{ErrorKind as IoKind, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::io::{Errno, preadv, pwritev};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::io::{reading, writing};
use super::parallel::{Input, Output, Piece, SEGMENT_CHUNKS, aborted, run};
use super::segment::{Segment, Workers};
use super::{StreamOpener, StreamSealer};
use crate::chunks::PROLOGUE_LEN;
use crate::{CHUNK_LEN, SEALED_CHUNK_LEN, plaintext_len};

const PLAIN_SEGMENT: u64 = (SEGMENT_CHUNKS * CHUNK_LEN) as u64;
const SEALED_SEGMENT: u64 = (SEGMENT_CHUNKS * SEALED_CHUNK_LEN) as u64;

impl StreamSealer {
    /// Seals the first `len` bytes of the regular file `input` into the empty file `output`.
    ///
    /// A padded message goes through [`seal_all`](Self::seal_all) instead: its end is not known
    /// before its length is.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], also where the input became shorter meanwhile. What was written by then
    /// does not open.
    pub fn seal_file(
        self,
        input: &File,
        len: u64,
        output: &File,
        workers: Workers,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        if !self.padding.is_none() {
            return self.seal_all(input, output, workers, progress).map(|_| ());
        }
        let head = self.head();
        output.write_all_at(&head, 0).map_err(writing(Operation::Seal))?;
        let source = FileInput::plain(input, len);
        let sink = SealedFile { file: output, start: head.len() as u64, aborted: false.into() };
        run(&source, &sink, &|piece, segment| self.seal_piece(piece, segment), workers, progress)
    }
}

impl StreamOpener {
    /// Opens the inline message in the regular file `input` of `len` bytes into the empty file
    /// `output`. The length is checked before anything is read.
    ///
    /// # Errors
    /// As [`open_all`](Self::open_all).
    pub fn open_file(
        self,
        input: &File,
        len: u64,
        output: &File,
        workers: Workers,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let start = self.header_len + PROLOGUE_LEN as u64;
        plaintext_len(len.saturating_sub(self.header_len))?;
        if self.padded {
            let mut reader = input;
            std::io::Seek::seek(&mut reader, std::io::SeekFrom::Start(start))
                .map_err(reading(Operation::Open))?;
            return self.open_all(reader, output, workers, progress).map(|_| ());
        }
        let source = FileInput::sealed(input, start, len - start);
        let sink = PlainFile { file: output, aborted: false.into() };
        run(&source, &sink, &|piece, segment| self.open_piece(piece, segment), workers, progress)
    }
}

/// A file's bytes from `start` on, in segments of a fixed length.
struct FileInput<'a> {
    file: &'a File,
    start: u64,
    len: u64,
    step: u64,
    operation: Operation,
    next: AtomicU64,
}

impl<'a> FileInput<'a> {
    fn plain(file: &'a File, len: u64) -> Self {
        let (step, operation) = (PLAIN_SEGMENT, Operation::Seal);
        Self { file, start: 0, len, step, operation, next: AtomicU64::new(0) }
    }

    fn sealed(file: &'a File, start: u64, len: u64) -> Self {
        let (step, operation) = (SEALED_SEGMENT, Operation::Open);
        Self { file, start, len, step, operation, next: AtomicU64::new(0) }
    }

    fn fill(&self, segment: &mut Segment, offset: u64, len: usize) -> std::io::Result<()> {
        if self.operation == Operation::Open {
            let stored = segment.stored_mut().get_mut(..len).unwrap_or_default();
            return self.file.read_exact_at(stored, offset);
        }
        read_exact_vectored_at(self.file, &mut segment.places(len), offset)
    }
}

impl Input for FileInput<'_> {
    fn next(&self, segment: &mut Segment) -> Result<Option<Piece>> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        // One segment more than full ones: the last is always short, and may be empty.
        if index > self.len / self.step {
            return Ok(None);
        }
        let offset = index * self.step;
        let len = usize::try_from((self.len - offset).min(self.step)).unwrap_or(usize::MAX);
        self.fill(segment, self.start + offset, len).map_err(|error| match error.kind() {
            IoKind::UnexpectedEof => CryptoError::new(ErrorKind::Io, self.operation)
                .with_detail("the input became shorter while it was read; try again"),
            _ => reading(self.operation)(error),
        })?;
        Ok(Some(Piece { index, len, is_last: index == self.len / self.step }))
    }
}

struct SealedFile<'a> {
    file: &'a File,
    start: u64,
    aborted: AtomicBool,
}

impl Output for SealedFile<'_> {
    fn put(&self, piece: Piece, segment: &Segment, len: usize) -> Result<()> {
        check(&self.aborted)?;
        let offset = self.start + piece.index * SEALED_SEGMENT;
        self.file.write_all_at(segment.stored(len), offset).map_err(writing(Operation::Seal))
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

struct PlainFile<'a> {
    file: &'a File,
    aborted: AtomicBool,
}

impl Output for PlainFile<'_> {
    fn put(&self, piece: Piece, segment: &Segment, len: usize) -> Result<()> {
        check(&self.aborted)?;
        let mut slices = segment.plaintext(len);
        write_all_vectored_at(self.file, &mut slices, piece.index * PLAIN_SEGMENT)
            .map_err(writing(Operation::Open))
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

fn check(flag: &AtomicBool) -> Result<()> {
    if flag.load(Ordering::Relaxed) { Err(aborted()) } else { Ok(()) }
}

fn read_exact_vectored_at(
    file: &File,
    slices: &mut [IoSliceMut<'_>],
    offset: u64,
) -> std::io::Result<()> {
    let read = |slices: &mut [IoSliceMut<'_>], offset| preadv(file, slices, offset);
    move_all(slices, offset, IoKind::UnexpectedEof, read, IoSliceMut::advance_slices)
}

fn write_all_vectored_at(
    file: &File,
    slices: &mut [IoSlice<'_>],
    offset: u64,
) -> std::io::Result<()> {
    let write = |slices: &mut [IoSlice<'_>], offset| pwritev(file, slices, offset);
    move_all(slices, offset, IoKind::WriteZero, write, IoSlice::advance_slices)
}

/// Moves all of `slices` by calls that may each move less; `stuck` is what it means if one moves nothing.
fn move_all<S>(
    mut slices: &mut [S],
    mut offset: u64,
    stuck: IoKind,
    call: impl Fn(&mut [S], u64) -> Result<usize, Errno>,
    advance: impl Fn(&mut &mut [S], usize),
) -> std::io::Result<()> {
    while !slices.is_empty() {
        match call(slices, offset) {
            Ok(0) => return Err(stuck.into()),
            Ok(len) => {
                offset += len as u64;
                advance(&mut slices, len);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
