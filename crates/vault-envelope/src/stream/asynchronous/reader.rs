//! The `AsyncRead` that opens a stream chunk by chunk.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncRead;
use vault_crypto_core::{Operation, Result};

use super::turn::Turn;
use crate::OpenedBy;
use crate::stream::StreamOpener;
use crate::stream::incoming::{Incoming, READER_CHUNKS};
use crate::stream::io::{into_io, reading};

/// Releases a stream's plaintext, every chunk authenticated before its first byte comes out; the
/// async form of [`OpenReader`](crate::OpenReader), in as little memory.
///
/// A cut-off stream gives its authentic beginning and then an error instead of the end: treat what
/// was read as whole only after a read gave 0. After an error every further call fails too.
///
/// Cancellation-safe: a read that is dropped before it is ready loses nothing.
pub struct AsyncOpenReader<R> {
    input: R,
    message: Incoming,
    turn: Turn,
}

impl<R: AsyncRead + Unpin> AsyncOpenReader<R> {
    pub(super) fn new(opener: StreamOpener, input: R) -> Self {
        Self { input, message: Incoming::new(opener), turn: Turn::new() }
    }

    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        self.message.opened_by()
    }

    /// As `AsyncRead::poll_read`, with our error.
    ///
    /// # Errors
    /// [`AuthenticationFailed`](vault_crypto_core::ErrorKind::AuthenticationFailed) for altered or
    /// cut-off bytes, [`Io`](vault_crypto_core::ErrorKind::Io). The reader stays failed afterwards.
    pub fn poll_read_plaintext(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<Result<usize>> {
        ready!(self.turn.poll(cx));
        loop {
            let len = self.message.give(out);
            if len > 0 || out.is_empty() || self.message.ended()? {
                return self.turn.after_call(Poll::Ready(Ok(len)));
            }
            if let Err(error) = ready!(self.poll_segment(cx)) {
                self.message.fail();
                return Poll::Ready(Err(error));
            }
        }
    }

    /// Reads and opens the next segment; what was read stays here while the input is pending.
    fn poll_segment(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let is_last = loop {
            ready!(self.turn.poll(cx));
            let place = self.message.place();
            if place.is_empty() {
                break false;
            }
            let read = self.turn.after_call(Pin::new(&mut self.input).poll_read(cx, place));
            let len = ready!(read).map_err(reading(Operation::Open))?;
            if len == 0 {
                break true;
            }
            self.message.advance(len);
        };
        self.turn.after_chunks(READER_CHUNKS);
        Poll::Ready(self.message.open(is_last))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for AsyncOpenReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        self.get_mut().poll_read_plaintext(cx, out).map_err(into_io)
    }
}

impl<R> fmt::Debug for AsyncOpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOpenReader")
            .field("opened_by", self.message.opened_by())
            .finish_non_exhaustive()
    }
}
