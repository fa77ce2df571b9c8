//! A sealed object of any length that is nowhere stored: chunks are sealed when they are asked for.
//! For tests and measurements of objects that nobody wants to keep.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::source::not_as_asked;
use super::{ByteStream, FirstBytes, ObjectVersion, RangeSource};
use crate::chunks::{PROLOGUE_LEN, StreamCipher};
use crate::{CHUNK_LEN, SEALED_CHUNK_LEN, StreamSealer, body_len};

/// An object whose plaintext is [`byte`](Self::byte) at every place. It counts what is fetched of it.
pub struct SyntheticObject {
    content: Arc<Content>,
    requests: AtomicU64,
    fetched: Arc<AtomicU64>,
}

struct Content {
    /// Header and prologue.
    head: Vec<u8>,
    cipher: StreamCipher,
    plaintext: u64,
    stored: u64,
}

impl SyntheticObject {
    /// The message of `sealer` with a plaintext of `len` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a padded message, [`ErrorKind::LimitExceeded`] for a length
    /// that no message has.
    pub fn new(sealer: StreamSealer, len: u64) -> Result<Self> {
        if !sealer.padding.is_none() {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Seal)
                .with_detail("a synthetic object is not padded"));
        }
        let head = sealer.head();
        let stored = head.len() as u64 - PROLOGUE_LEN as u64 + body_len(len)?;
        let content = Content { head, cipher: sealer.cipher, plaintext: len, stored };
        Ok(Self {
            content: Arc::new(content),
            requests: AtomicU64::new(0),
            fetched: Arc::default(),
        })
    }

    /// The plaintext at `offset`.
    #[must_use]
    pub fn byte(offset: u64) -> u8 {
        let [a, b, c, ..] = offset.to_le_bytes();
        a.wrapping_mul(31).wrapping_add(b.wrapping_mul(17)).wrapping_add(c)
    }

    /// Requests made so far, and bytes fetched with them.
    #[must_use]
    pub fn fetched(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.fetched.load(Ordering::Relaxed))
    }

    fn stream(&self, range: Range<u64>) -> Result<Pieces> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if range.end > self.content.stored {
            return Err(not_as_asked());
        }
        Ok(Pieces { content: self.content.clone(), fetched: self.fetched.clone(), range })
    }
}

impl fmt::Debug for SyntheticObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyntheticObject")
            .field("plaintext", &self.content.plaintext)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RangeSource for SyntheticObject {
    async fn first(&self, len: u64) -> Result<FirstBytes> {
        let mut bytes = Vec::new();
        for piece in self.stream(0..len.min(self.content.stored))? {
            bytes.extend_from_slice(&piece?);
        }
        Ok(FirstBytes::new(bytes.into(), ObjectVersion::of_len(self.content.stored)))
    }

    async fn range(&self, range: Range<u64>, _version: &ObjectVersion) -> Result<ByteStream> {
        Ok(Box::pin(self.stream(range)?))
    }
}

/// What is left of a range: the head, or one chunk after the other.
struct Pieces {
    content: Arc<Content>,
    fetched: Arc<AtomicU64>,
    range: Range<u64>,
}

impl Iterator for Pieces {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        let whole = self.content.piece(self.range.start);
        Some(whole.map(|(start, whole)| {
            let at = |offset: u64| usize::try_from(offset - start).unwrap_or(usize::MAX);
            let end = self.range.end.min(start + whole.len() as u64);
            let piece = whole.slice(at(self.range.start)..at(end));
            self.range.start = end;
            self.fetched.fetch_add(piece.len() as u64, Ordering::Relaxed);
            piece
        }))
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next())
    }
}

impl Content {
    /// The head or the sealed chunk that holds stored byte `at`, and where it starts.
    fn piece(&self, at: u64) -> Result<(u64, Bytes)> {
        let head = self.head.len() as u64;
        let Some(in_chunks) = at.checked_sub(head) else {
            return Ok((0, self.head.clone().into()));
        };
        let index = in_chunks / SEALED_CHUNK_LEN as u64;
        let start = index * CHUNK_LEN as u64;
        let end = self.plaintext.min(start + CHUNK_LEN as u64);
        let mut chunk: Vec<u8> = (start..end).map(SyntheticObject::byte).collect();
        let tag = self.cipher.seal(index, &mut chunk)?;
        chunk.extend_from_slice(&tag);
        Ok((head + index * SEALED_CHUNK_LEN as u64, chunk.into()))
    }
}
