//! `AsyncRead` and `AsyncSeek` over a sealed object.

use std::fmt;
use std::io::SeekFrom;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_core::Stream as _;
use futures_io::{AsyncRead, AsyncSeek};
use vault_crypto_core::Result;

use super::{PlaintextStream, SealedObject};
use crate::stream::io::into_io;
use crate::stream::ranges::moved;

/// Read-ahead after a seek, and at most.
const LEAST_AHEAD: u64 = 256 << 10;
const MOST_AHEAD: u64 = 8 << 20;

type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Reads the plaintext of an object from any position, every chunk authenticated before its first
/// byte comes out. The end is believed, for `SeekFrom::End` as for reading, only when the last chunk
/// was opened.
///
/// It asks for 256 KiB after a seek, and for twice as much every time that was read to its end, up to
/// 8 MiB. An error of the store ends one read and the next one tries again.
///
/// Cancellation-safe: a read or seek that is dropped before it is ready loses nothing.
pub struct ObjectReader {
    object: SealedObject,
    position: u64,
    /// What is at hand from the position on, and where more of it comes from.
    ready: Bytes,
    state: State,
    ahead: u64,
    /// The length that a seek waits for.
    seeking: Option<Later<u64>>,
}

enum State {
    Idle,
    Asking(Later<PlaintextStream>),
    Reading(PlaintextStream),
}

impl ObjectReader {
    pub(super) fn new(object: SealedObject) -> Self {
        let (ready, state) = (Bytes::new(), State::Idle);
        Self { object, position: 0, ready, state, ahead: LEAST_AHEAD, seeking: None }
    }

    /// As `AsyncRead::poll_read`, with our error.
    ///
    /// # Errors
    /// As [`SealedObject::range`].
    pub fn poll_read_plaintext(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<Result<usize>> {
        if self.ready.is_empty() && !out.is_empty() {
            match ready!(self.poll_more(cx)) {
                Ok(bytes) => self.ready = bytes,
                Err(error) => {
                    self.state = State::Idle;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let len = self.ready.len().min(out.len());
        if let Some(out) = out.get_mut(..len) {
            self.ready.copy_to_slice(out);
        }
        self.position += len as u64;
        Poll::Ready(Ok(len))
    }

    /// The next bytes; empty at the end of the message.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        loop {
            match &mut self.state {
                State::Idle => {
                    let (object, position, ahead) =
                        (self.object.clone(), self.position, self.ahead);
                    self.ahead = (ahead * 2).min(MOST_AHEAD);
                    self.state = State::Asking(Box::pin(async move {
                        // Whether there is anything at the position, only the end can tell.
                        let content = object.inner.extent.content;
                        let is_inside = position < content && !object.inner.extent.padded;
                        let end = if is_inside { content } else { object.len().await? };
                        object.stream(position.min(end)..position.saturating_add(ahead)).await
                    }));
                }
                State::Asking(asking) => {
                    let stream = ready!(asking.as_mut().poll(cx))?;
                    if stream.remaining() == 0 {
                        self.state = State::Idle;
                        return Poll::Ready(Ok(Bytes::new()));
                    }
                    self.state = State::Reading(stream);
                }
                State::Reading(stream) => match ready!(Pin::new(stream).poll_next(cx)) {
                    Some(bytes) => return Poll::Ready(bytes),
                    None => self.state = State::Idle,
                },
            }
        }
    }

    /// Goes to `position`. What is at hand there stays.
    fn go(&mut self, position: u64) {
        let forward = position.checked_sub(self.position);
        match forward.and_then(|len| usize::try_from(len).ok()) {
            Some(len) if len <= self.ready.len() => self.ready.advance(len),
            _ => {
                self.ready = Bytes::new();
                self.state = State::Idle;
                self.ahead = LEAST_AHEAD;
            }
        }
        self.position = position;
    }

    fn poll_len(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        let object = &self.object;
        let seeking = self.seeking.get_or_insert_with(|| {
            let object = object.clone();
            Box::pin(async move { object.len().await })
        });
        let len = ready!(seeking.as_mut().poll(cx));
        self.seeking = None;
        Poll::Ready(len)
    }
}

impl AsyncRead for ObjectReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        self.get_mut().poll_read_plaintext(cx, out).map_err(into_io)
    }
}

impl AsyncSeek for ObjectReader {
    fn poll_seek(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<std::io::Result<u64>> {
        let this = self.get_mut();
        let from_end = matches!(to, SeekFrom::End(_));
        let len = if from_end { ready!(this.poll_len(cx)).map_err(into_io)? } else { 0 };
        let position = moved(this.position, len, to)?;
        this.go(position);
        Poll::Ready(Ok(position))
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader").field("position", &self.position).finish_non_exhaustive()
    }
}
