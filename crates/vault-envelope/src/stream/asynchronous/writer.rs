//! The `AsyncWrite` that seals what is written to it.

use std::fmt;
use std::future::poll_fn;
use std::io::Result as IoResult;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use vault_crypto_core::{EncryptionContext, Operation, Result};

use super::io::poll_write_some;
use super::turn::Turn;
use crate::EnvelopeEncryption;
use crate::stream::StreamSealer;
use crate::stream::io::{into_io, writing};
use crate::stream::outgoing::{Outgoing, WRITER_CHUNKS};
use crate::stream::writer::broken;

impl EnvelopeEncryption {
    /// An async writer that seals what is written to it into `out`. Without being closed (or
    /// [finished](AsyncSealWriter::finish)) the message does not open.
    ///
    /// A future that is dropped has written nothing.
    ///
    /// # Errors
    /// As [`seal_stream`](Self::seal_stream).
    pub async fn async_writer<W: AsyncWrite + Unpin>(
        &self,
        out: W,
        context: &EncryptionContext,
    ) -> Result<AsyncSealWriter<W>> {
        Ok(self.seal_stream(context, None).await?.into_async_writer(out))
    }
}

impl StreamSealer {
    /// An async writer that seals into `out`; header, salt and commitment are written before the
    /// first chunk.
    pub fn into_async_writer<W: AsyncWrite + Unpin>(self, out: W) -> AsyncSealWriter<W> {
        AsyncSealWriter { out, message: Outgoing::new(self), turn: Turn::new(), broken: false }
    }
}

/// Seals what is written to it, 16 KiB chunk by chunk, in constant memory; the async form of
/// [`SealWriter`](crate::SealWriter).
///
/// `close` seals the last chunk and closes the output; [`finish`](Self::finish) seals it and hands
/// the output back. Dropped before that, it leaves a message that does not open. `flush` passes on
/// what is sealed; a chunk that is not full stays here until more comes. After an error every
/// further call fails too.
///
/// ```
/// # use std::sync::Arc;
/// use futures_util::{AsyncReadExt, AsyncWriteExt};
/// use vault_crypto_core::EncryptionContext;
/// # use vault_envelope::EnvelopeEncryption;
/// # use vault_testkit::MemoryKms;
/// # pollster::block_on(async {
/// # let kms = Arc::new(MemoryKms::new());
/// # let key = kms.add_key("app").unwrap();
/// # let envelope = EnvelopeEncryption::builder(kms, key).build()?;
/// let context = EncryptionContext::from([("file", "report")]);
/// let mut stored = Vec::new();
/// let mut writer = envelope.async_writer(&mut stored, &context).await?;
/// writer.write_all(b"figures").await?;
/// writer.close().await?;
///
/// let mut plaintext = Vec::new();
/// let mut reader = envelope.async_reader(stored.as_slice(), &context).await?;
/// reader.read_to_end(&mut plaintext).await?;
/// assert_eq!(plaintext, b"figures");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// Cancellation-safe: a write, flush or close that is dropped before it is ready may be called again.
pub struct AsyncSealWriter<W> {
    out: W,
    message: Outgoing,
    turn: Turn,
    broken: bool,
}

impl<W: AsyncWrite + Unpin> AsyncSealWriter<W> {
    /// Seals the last chunk, flushes, and hands the output back without closing it.
    ///
    /// A future that is dropped takes the output with it; its message does not open.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io).
    pub async fn finish(mut self) -> Result<W> {
        let flushed = poll_fn(|cx| {
            self.poll_guarded(cx, |this, cx| {
                ready!(this.poll_end(cx))?;
                Pin::new(&mut this.out).poll_flush(cx)
            })
        });
        flushed.await.map_err(writing(Operation::Seal))?;
        Ok(self.out)
    }

    /// Runs `step`; after its first error nothing runs any more.
    fn poll_guarded<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<IoResult<T>>,
    ) -> Poll<IoResult<T>> {
        if self.broken {
            return Poll::Ready(Err(broken()));
        }
        let result = step(self, cx);
        self.broken = matches!(result, Poll::Ready(Err(_)));
        result
    }

    /// Sends what is sealed, until nothing is pending.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        loop {
            ready!(self.turn.poll(cx));
            let pending = self.message.pending();
            if pending.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = self.turn.after_call(poll_write_some(&mut self.out, cx, pending));
            let len = ready!(written)?;
            self.message.sent(len);
        }
    }

    /// Sends everything, the last chunk included.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        ready!(self.poll_send(cx))?;
        while !self.message.ended() {
            self.message.finish().map_err(into_io)?;
            self.turn.after_chunks(WRITER_CHUNKS);
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<IoResult<usize>> {
        ready!(self.poll_send(cx))?;
        let taken = self.message.take(data).map_err(into_io)?;
        if !self.message.pending().is_empty() {
            self.turn.after_chunks(WRITER_CHUNKS);
        }
        self.turn.after_call(Poll::Ready(Ok(taken)))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for AsyncSealWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<IoResult<usize>> {
        self.get_mut().poll_guarded(cx, |this, cx| this.poll_take(cx, data))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        self.get_mut().poll_guarded(cx, |this, cx| {
            ready!(this.poll_send(cx))?;
            Pin::new(&mut this.out).poll_flush(cx)
        })
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        self.get_mut().poll_guarded(cx, |this, cx| {
            ready!(this.poll_end(cx))?;
            Pin::new(&mut this.out).poll_close(cx)
        })
    }
}

impl<W> fmt::Debug for AsyncSealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSealWriter")
            .field("written", &self.message.total())
            .finish_non_exhaustive()
    }
}
