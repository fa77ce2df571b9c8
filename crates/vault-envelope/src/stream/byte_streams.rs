//! Messages as streams of `Bytes`, the shape of HTTP bodies: stored bytes in, plaintext out, and the
//! other way round. Ciphering is in the polling task, a few chunks at a time; left to
//! [`open_all_async`](crate::StreamOpener::open_all_async) and its twin: doing it elsewhere.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use vault_crypto_core::{CryptoError, EncryptionContext, ErrorKind, Operation, Result};

use super::asynchronous::Turn;
use super::head::HeaderReader;
use super::incoming::{Incoming, READER_CHUNKS};
use super::opener::parse_stream_header;
use super::outgoing::{Outgoing, WRITER_CHUNKS};
use crate::chunks::PROLOGUE_LEN;
use crate::{EnvelopeEncryption, OpenedBy, StreamSealer};

impl EnvelopeEncryption {
    /// The plaintext of the inline message that `input` is, as a stream.
    ///
    /// A future that is dropped takes `input` with it.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn open_byte_stream<S, E>(
        &self,
        input: S,
        context: &EncryptionContext,
    ) -> Result<OpenBytes<S>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut input = Pieces::new(input, Operation::Open);
        let mut header = HeaderReader::new();
        loop {
            let place = header.place()?;
            let wanted = place.len();
            let len = input.read_full(place).await?;
            header.advance(len);
            if wanted == 0 || len < wanted {
                break;
            }
        }
        self.open_rest(&header.finish(), input, context).await
    }

    /// As [`open_byte_stream`](Self::open_byte_stream), for a body whose header is stored apart.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn open_byte_stream_detached<S, E>(
        &self,
        header: &[u8],
        body: S,
        context: &EncryptionContext,
    ) -> Result<OpenBytes<S>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.open_rest(header, Pieces::new(body, Operation::Open), context).await
    }

    async fn open_rest<S, E>(
        &self,
        header: &[u8],
        mut input: Pieces<S>,
        context: &EncryptionContext,
    ) -> Result<OpenBytes<S>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let parsed = parse_stream_header(header)?;
        let mut prologue = [0; PROLOGUE_LEN];
        let len = input.read_full(&mut prologue).await?;
        let prologue = prologue.get(..len).unwrap_or_default();
        let opener = self.verify_stream(&parsed, prologue, context).await?;
        Ok(OpenBytes { input, message: Incoming::new(opener), turn: Turn::new(), failed: false })
    }

    /// The stored bytes of the plaintext that `input` is, as a stream. `len` is the plaintext's
    /// length if known.
    ///
    /// # Errors
    /// As [`seal_stream`](Self::seal_stream).
    pub async fn seal_byte_stream<S, E>(
        &self,
        input: S,
        context: &EncryptionContext,
        len: Option<u64>,
    ) -> Result<SealBytes<S>>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        Ok(self.seal_stream(context, len).await?.into_byte_stream(input))
    }
}

impl StreamSealer {
    /// The stored bytes of the plaintext that `input` is, as a stream.
    pub fn into_byte_stream<S, E>(self, input: S) -> SealBytes<S>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let input = Pieces::new(input, Operation::Seal);
        SealBytes { input, message: Outgoing::new(self), turn: Turn::new(), failed: false }
    }
}

/// The plaintext of a stream of stored bytes, every chunk authenticated before it comes out.
///
/// A cut-off input gives its authentic beginning and then an error instead of the end: treat what
/// came as whole only after the stream ended without one. Nothing comes after an error. Plaintext is wiped when the last clone of
/// its `Bytes` is dropped.
///
/// Cancellation-safe: nothing is lost when a poll is not followed by another for a while.
pub struct OpenBytes<S> {
    input: Pieces<S>,
    message: Incoming,
    turn: Turn,
    failed: bool,
}

impl<S> OpenBytes<S> {
    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        self.message.opened_by()
    }
}

impl<S, E> OpenBytes<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_plaintext(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            ready!(self.turn.poll(cx));
            let bytes = self.message.give_bytes()?;
            if !bytes.is_empty() {
                self.turn.after_step();
                return Poll::Ready(Ok(Some(bytes)));
            }
            if self.message.ended()? {
                return Poll::Ready(Ok(None));
            }
            let place = self.message.place();
            let wanted = place.len();
            let len = ready!(self.input.poll_copy(cx, place))?;
            self.message.advance(len);
            self.turn.after_step();
            if len == 0 || len == wanted {
                self.message.open(len == 0)?;
                self.turn.after_chunks(READER_CHUNKS);
            }
        }
    }
}

impl<S, E> Stream for OpenBytes<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let next = ready!(this.poll_plaintext(cx));
        if next.is_err() {
            this.failed = true;
            this.message.fail();
        }
        Poll::Ready(next.transpose())
    }
}

impl<S> fmt::Debug for OpenBytes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenBytes").field("opened_by", self.opened_by()).finish_non_exhaustive()
    }
}

/// The stored bytes of a stream of plaintext. If the input fails, so does this, and what came before
/// does not open. Nothing comes after an error.
///
/// Cancellation-safe, as [`OpenBytes`] is.
pub struct SealBytes<S> {
    input: Pieces<S>,
    message: Outgoing,
    turn: Turn,
    failed: bool,
}

impl<S, E> SealBytes<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn poll_stored(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            ready!(self.turn.poll(cx));
            let bytes = self.message.take_pending();
            if !bytes.is_empty() {
                self.turn.after_chunks(WRITER_CHUNKS);
                return Poll::Ready(Ok(Some(bytes)));
            }
            if self.message.ended() {
                return Poll::Ready(Ok(None));
            }
            match ready!(self.input.poll_piece(cx))? {
                Some(piece) => {
                    let len = self.message.take(piece)?;
                    self.input.advance(len);
                }
                None => self.message.finish()?,
            }
            self.turn.after_step();
        }
    }
}

impl<S, E> Stream for SealBytes<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.failed {
            return Poll::Ready(None);
        }
        let next = ready!(this.poll_stored(cx));
        this.failed = next.is_err();
        Poll::Ready(next.transpose())
    }
}

impl<S> fmt::Debug for SealBytes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealBytes").field("taken", &self.message.total()).finish_non_exhaustive()
    }
}

/// A stream of pieces, read as bytes.
struct Pieces<S> {
    input: S,
    piece: Bytes,
    ended: bool,
    operation: Operation,
}

impl<S, E> Pieces<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn new(input: S, operation: Operation) -> Self {
        Self { input, piece: Bytes::new(), ended: false, operation }
    }

    /// What is left of the current piece, or the next one; none at the end of the input.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>>> {
        while self.piece.is_empty() && !self.ended {
            match ready!(Pin::new(&mut self.input).poll_next(cx)) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Err(CryptoError::new(ErrorKind::Io, self.operation)
                        .with_detail("reading the input failed")
                        .with_source(error)));
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(Ok(Some(&*self.piece).filter(|piece| !piece.is_empty())))
    }

    /// Copies some bytes; 0 at the end of the input.
    fn poll_copy(&mut self, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<Result<usize>> {
        let Some(piece) = ready!(self.poll_piece(cx))? else { return Poll::Ready(Ok(0)) };
        let len = piece.len().min(out.len());
        if let (Some(out), Some(piece)) = (out.get_mut(..len), piece.get(..len)) {
            out.copy_from_slice(piece);
        }
        self.advance(len);
        Poll::Ready(Ok(len))
    }

    fn advance(&mut self, len: usize) {
        drop(self.piece.split_to(len));
    }

    /// Reads until `out` is full or the input ends; gives the number of bytes.
    async fn read_full(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match std::future::poll_fn(|cx| self.poll_copy(cx, rest)).await? {
                0 => break,
                len => filled += len,
            }
        }
        Ok(filled)
    }
}
