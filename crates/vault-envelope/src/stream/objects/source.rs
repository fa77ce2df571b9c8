//! Where an object's bytes come from: a store that answers ranged requests.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

/// Stored bytes on their way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// Which content of an object was seen: later requests must get the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectVersion {
    /// Length of the object in bytes.
    pub len: u64,
    /// The entity tag (RFC 9110), if the store has them.
    pub e_tag: Option<String>,
    /// The store's version of the object, if it keeps several.
    pub version: Option<String>,
    /// When the object was written, if known: the last resort of stores without entity tags.
    pub modified: Option<SystemTime>,
}

impl ObjectVersion {
    /// An object of `len` bytes of which nothing else is known.
    #[must_use]
    pub fn of_len(len: u64) -> Self {
        Self { len, ..Self::default() }
    }
}

/// The answer to the first request for an object.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FirstBytes {
    /// As many bytes from the start as were asked for, or all.
    pub bytes: Bytes,
    /// What they are of.
    pub version: ObjectVersion,
}

impl FirstBytes {
    /// `bytes` are the first of the object that `version` tells of.
    #[must_use]
    pub fn new(bytes: Bytes, version: ObjectVersion) -> Self {
        Self { bytes, version }
    }
}

/// One stored object, read by ranged requests: an object in a store, a resource on an HTTP server.
///
/// Whatever an implementation answers, only authentic plaintext comes out; what it can do by lying is
/// to make a read fail.
#[async_trait]
pub trait RangeSource: Send + Sync {
    /// The object's first `len` bytes, and which object it is, in one request.
    ///
    /// # Behavior
    /// - A shorter object is answered whole.
    /// - An object that does not exist is [`ErrorKind::Io`].
    ///
    /// # Errors
    /// What the store answers.
    async fn first(&self, len: u64) -> Result<FirstBytes>;

    /// The bytes of `range`, which lies within the object and is not empty, with one request.
    ///
    /// # Behavior
    /// - Where the object is not `version` any more, and the store can tell, it is
    ///   [`ErrorKind::Conflict`].
    /// - Dropping the stream ends the request.
    ///
    /// # Errors
    /// What the store answers; the stream's errors are such, too.
    async fn range(&self, range: Range<u64>, version: &ObjectVersion) -> Result<ByteStream>;
}

/// An object in memory.
#[async_trait]
impl RangeSource for Bytes {
    async fn first(&self, len: u64) -> Result<FirstBytes> {
        let first = self.slice(..usize::try_from(len).unwrap_or(usize::MAX).min(self.len()));
        Ok(FirstBytes::new(first, ObjectVersion::of_len(self.len() as u64)))
    }

    async fn range(&self, range: Range<u64>, _version: &ObjectVersion) -> Result<ByteStream> {
        let at = |offset: u64| usize::try_from(offset).ok().filter(|at| *at <= self.len());
        match (at(range.start), at(range.end)) {
            (Some(start), Some(end)) if start <= end => Ok(single(self.slice(start..end))),
            _ => Err(not_as_asked()),
        }
    }
}

/// A stream of one piece.
#[must_use]
pub fn single(bytes: Bytes) -> ByteStream {
    Box::pin(Single(Some(bytes)))
}

struct Single(Option<Bytes>);

impl Stream for Single {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// A store whose answer is not what was asked for.
pub(super) fn not_as_asked() -> CryptoError {
    CryptoError::new(ErrorKind::Io, Operation::Open)
        .with_detail("the store answered with other bytes than were asked for")
}
