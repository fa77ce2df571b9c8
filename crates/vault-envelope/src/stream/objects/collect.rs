//! Streams read to their end: stored bytes and plaintext, one stream or several at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_core::Stream as _;
use vault_crypto_core::{Result, SecureBytes};

use super::source::not_as_asked;
use super::{ByteStream, PlaintextStream};
use crate::whole::{grown, too_long};

/// Streams of plaintext that are read at once, and so requests.
const AT_ONCE: usize = 8;
/// Room that is made for a plaintext before any of it came.
const MAX_ROOM: u64 = 16 << 20;

/// Stored bytes, exactly `len`: nothing more is kept of a store that gives more.
pub(super) async fn fetch(mut stream: ByteStream, len: u64) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        let piece = piece?;
        if (bytes.len() + piece.len()) as u64 > len {
            return Err(not_as_asked());
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() as u64 == len { Ok(bytes.freeze()) } else { Err(not_as_asked()) }
}

/// A plaintext in memory, at most `limit` bytes.
pub(super) async fn collect(stream: PlaintextStream, limit: usize) -> Result<SecureBytes> {
    let mut collecting = Collecting::new(stream, limit);
    poll_fn(|cx| collecting.poll(cx)).await
}

/// Several plaintexts in memory, some of them at once.
pub(super) async fn collect_all(streams: Vec<PlaintextStream>) -> Result<Vec<SecureBytes>> {
    let mut all: Vec<_> = streams.into_iter().map(|one| Collecting::new(one, usize::MAX)).collect();
    poll_fn(|cx| {
        let unfinished = all.iter_mut().filter(|one| !one.ended).take(AT_ONCE);
        let mut waiting = 0;
        for one in unfinished {
            waiting += usize::from(one.poll_step(cx)?.is_pending());
        }
        if waiting > 0 {
            return Poll::Pending;
        }
        if all.iter().any(|one| !one.ended) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    })
    .await
    .map(|()| all.into_iter().map(|one| one.plaintext).collect())
}

struct Collecting {
    stream: PlaintextStream,
    plaintext: SecureBytes,
    limit: usize,
    ended: bool,
}

impl Collecting {
    fn new(stream: PlaintextStream, limit: usize) -> Self {
        let room = usize::try_from(stream.remaining().min(MAX_ROOM)).unwrap_or_default();
        let plaintext = SecureBytes::new(Vec::with_capacity(room.min(limit)));
        Self { stream, plaintext, limit, ended: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<SecureBytes>> {
        ready!(self.poll_step(cx))?;
        let nothing = SecureBytes::new(Vec::new());
        Poll::Ready(Ok(std::mem::replace(&mut self.plaintext, nothing)))
    }

    /// Ready at the end of the stream.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(piece) = ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            let piece = piece?;
            if piece.len() > self.limit - self.plaintext.len() {
                return Poll::Ready(Err(too_long()));
            }
            let plaintext = std::mem::replace(&mut self.plaintext, SecureBytes::new(Vec::new()));
            self.plaintext = grown(plaintext, &piece);
        }
        self.ended = true;
        Poll::Ready(Ok(()))
    }
}
