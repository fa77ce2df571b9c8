//! Writing: a message sealed into an object of a store, in bounded memory.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncWrite;
use object_store::path::Path;
use object_store::{ObjectStore, PutPayload, PutResult};
use vault_crypto_core::{CryptoError, EncryptionContext, Operation, Result};

use super::error::failed;
use super::upload::{Upload, put};
use crate::stream::ObjectVersion;
use crate::stream::asynchronous::Turn;
use crate::stream::io::{into_io, writing};
use crate::stream::outgoing::{Outgoing, WRITER_CHUNKS};
use crate::stream::writer::broken;
use crate::{EnvelopeEncryption, StreamSealer};

impl EnvelopeEncryption {
    /// A writer that seals what is written to it into a new object at `path`. The object is there
    /// after [`finish`](ObjectWriter::finish), and not before.
    ///
    /// A future that is dropped has written nothing.
    ///
    /// # Errors
    /// As [`seal_stream`](Self::seal_stream).
    pub async fn object_writer(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        context: &EncryptionContext,
    ) -> Result<ObjectWriter> {
        Ok(self.seal_stream(context, None).await?.into_object_writer(store, path))
    }

    /// As [`object_writer`](Self::object_writer), with the header in an object of its own, which
    /// [`rewrap_object`](Self::rewrap_object) can replace.
    ///
    /// The header is written last. To replace a message without a moment in which header and body
    /// are of two messages, write the new body to a new path.
    ///
    /// # Errors
    /// As [`seal_stream`](Self::seal_stream).
    pub async fn object_writer_detached(
        &self,
        store: Arc<dyn ObjectStore>,
        path: &Path,
        header_path: &Path,
        context: &EncryptionContext,
    ) -> Result<ObjectWriter> {
        let mut sealer = self.seal_stream(context, None).await?;
        let header = sealer.detach_header();
        let mut writer = sealer.into_object_writer(store, path);
        writer.header = Header::Waiting(header_path.clone(), header);
        Ok(writer)
    }
}

impl StreamSealer {
    /// A writer that seals into a new object at `path`.
    #[must_use]
    pub fn into_object_writer(self, store: Arc<dyn ObjectStore>, path: &Path) -> ObjectWriter {
        ObjectWriter {
            upload: Upload::new(store.clone(), path.clone()),
            store,
            message: Outgoing::new(self),
            header: Header::None,
            stored: None,
            turn: Turn::new(),
            state: State::Open,
        }
    }
}

/// Seals what is written to it into an object of a store, in bounded memory: a part that fills up and
/// those that are on their way (8 MiB each, four at once, unless told otherwise).
///
/// A message that fits in one part is put with one request. A longer one is uploaded in parts, all of
/// the same length but the last; no object is there before all of it is.
///
/// **Aborting.** After an error the upload is aborted before the error comes out, and every further
/// call fails. A writer that is dropped unfinished cannot abort: that takes a request, and nobody is
/// there to wait for it. Call [`abort`](Self::abort); for processes that die, give the store a rule
/// that removes incomplete uploads. After a failed [`finish`](Self::finish) the object may be there,
/// and then it is whole.
///
/// It is an `AsyncWrite`, too; closing it finishes. Cancellation-safe: a write or close that is
/// dropped before it is ready may be called again.
pub struct ObjectWriter {
    store: Arc<dyn ObjectStore>,
    message: Outgoing,
    upload: Upload,
    header: Header,
    /// The object, once it is there.
    stored: Option<ObjectVersion>,
    turn: Turn,
    state: State,
}

enum Header {
    None,
    Waiting(Path, Vec<u8>),
    Putting(Pin<Box<dyn Future<Output = object_store::Result<PutResult>> + Send>>),
}

enum State {
    Open,
    /// It failed, and the upload is being aborted.
    Failing(CryptoError),
    Failed,
}

impl ObjectWriter {
    /// Bytes of a part, all but the last: at least 5 MiB for most stores, and at most 10,000 parts.
    /// At least 1.
    #[must_use]
    pub fn with_part_len(mut self, bytes: usize) -> Self {
        self.upload.part_len = bytes.max(1);
        self
    }

    /// How many parts may be on their way at once; zero counts as one.
    #[must_use]
    pub fn with_parts_in_flight(mut self, parts: usize) -> Self {
        self.upload.at_once = parts.max(1);
        self
    }

    /// Seals all of `plaintext`, as far as it fills chunks, and uploads what fills parts.
    ///
    /// Not cancellation-safe: a future that is dropped may have taken a part of `plaintext`.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io) and what else the store answers.
    pub async fn write_plaintext(&mut self, plaintext: &[u8]) -> Result<()> {
        let mut left = plaintext;
        while !left.is_empty() {
            let taken = poll_fn(|cx| self.poll_guarded(cx, |this, cx| this.poll_take(cx, left)));
            left = left.get(taken.await?..).unwrap_or_default();
        }
        Ok(())
    }

    /// Seals the last chunk, uploads the rest and makes the object be there; then the header's, if it
    /// is apart.
    ///
    /// A future that is dropped leaves the upload as it is, unaborted; to be able to go on, close the
    /// writer instead.
    ///
    /// # Errors
    /// As [`write_plaintext`](Self::write_plaintext).
    pub async fn finish(mut self) -> Result<ObjectVersion> {
        poll_fn(|cx| self.poll_finish(cx)).await
    }

    /// Gives up: takes back what was uploaded, if the store can.
    pub async fn abort(mut self) {
        poll_fn(|cx| self.upload.poll_abort(cx)).await;
    }

    /// As [`finish`](Self::finish), for code that polls.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<ObjectVersion>> {
        self.poll_guarded(cx, |this, cx| {
            while !this.message.ended() {
                ready!(this.poll_upload(cx))?;
                this.message.finish()?;
                this.turn.after_chunks(WRITER_CHUNKS);
            }
            this.upload.push(this.message.take_pending());
            if this.stored.is_none() {
                let put = ready!(this.upload.poll_finish(cx)).map_err(failed(Operation::Seal))?;
                this.stored = Some(ObjectVersion {
                    len: this.upload.taken(),
                    e_tag: put.e_tag,
                    version: put.version,
                    modified: None,
                });
            }
            ready!(this.poll_header(cx))?;
            Poll::Ready(Ok(this.stored.clone().unwrap_or_default()))
        })
    }

    /// Runs `step`. Its first error ends the writer, once the upload is aborted.
    fn poll_guarded<T>(
        &mut self,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<Result<T>>,
    ) -> Poll<Result<T>> {
        if matches!(self.state, State::Open) {
            match step(self, cx) {
                Poll::Ready(Err(error)) => self.state = State::Failing(error),
                other => return other,
            }
        }
        ready!(self.upload.poll_abort(cx));
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Failing(error) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Err(writing(Operation::Seal)(broken()))),
        }
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, plaintext: &[u8]) -> Poll<Result<usize>> {
        ready!(self.poll_upload(cx))?;
        let taken = self.message.take(plaintext)?;
        if !self.message.pending().is_empty() {
            self.turn.after_chunks(WRITER_CHUNKS);
        }
        self.turn.after_call(Poll::Ready(Ok(taken)))
    }

    /// Hands over what is sealed, once there is room for it.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.turn.poll(cx));
        ready!(self.upload.poll_room(cx)).map_err(failed(Operation::Seal))?;
        self.upload.push(self.message.take_pending());
        Poll::Ready(Ok(()))
    }

    fn poll_header(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Header::Waiting(path, header) = &mut self.header {
            let payload = PutPayload::from(std::mem::take(header));
            self.header = Header::Putting(put(&self.store, path, payload));
        }
        if let Header::Putting(putting) = &mut self.header {
            let put = ready!(putting.as_mut().poll(cx));
            self.header = Header::None;
            put.map_err(failed(Operation::Seal))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ObjectWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.get_mut().poll_guarded(cx, |this, cx| this.poll_take(cx, data)).map_err(into_io)
    }

    /// Waits until less than a part is here. A part that is not full stays until more comes.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().poll_guarded(cx, |this, cx| this.poll_upload(cx)).map_err(into_io)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.get_mut().poll_finish(cx).map(|done| done.map(drop)).map_err(into_io)
    }
}

impl fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectWriter")
            .field("written", &self.message.total())
            .field("stored", &self.upload.taken())
            .finish_non_exhaustive()
    }
}
