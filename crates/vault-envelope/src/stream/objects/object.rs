//! A sealed object that is opened: which requests to make for which part of it.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use vault_crypto_core::header::{PREFIX_LEN, parse_prefix};
use vault_crypto_core::{EncryptionContext, Result, SecureBytes};

use super::collect::{collect, collect_all, fetch};
use super::source::not_as_asked;
use super::{FirstBytes, ObjectOptions, ObjectReader, ObjectVersion, PlaintextStream, RangeSource};
use crate::chunks::{PROLOGUE_LEN, StreamCipher};
use crate::stream::extent::{Extent, within};
use crate::stream::opener::parse_stream_header;
use crate::{
    CHUNK_LEN, EnvelopeEncryption, OpenedBy, RangePlan, WholeMessage, plaintext_len, plan_range,
};

/// A message in a store, opened for reading parts of it. Cheap to clone.
///
/// A read fetches the sealed chunks that hold it and nothing else, with one request; what came with
/// the first request is not fetched again. All requests are for the object that was opened: one
/// that was replaced meanwhile is a [`Conflict`](vault_crypto_core::ErrorKind::Conflict), or not
/// authentic where the store cannot tell.
///
/// The length that a store tells is not believed: [`len`](Self::len), the end of a
/// [`reader`](Self::reader), a range that reaches to the end or beyond it, all open the last chunk.
/// Of a padded message the zeros behind the plaintext are not looked at; `open_whole` checks them.
///
/// All futures are cancellation-safe: dropping one ends its requests.
#[derive(Clone)]
pub struct SealedObject {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) source: Arc<dyn RangeSource>,
    pub(super) version: ObjectVersion,
    pub(super) options: ObjectOptions,
    pub(super) cipher: Arc<StreamCipher>,
    pub(super) extent: Extent,
    /// The body's beginning, as far as the first request brought it.
    pub(super) beginning: Bytes,
    /// Length of the plaintext, once it was authenticated.
    pub(super) len: OnceLock<u64>,
    opened_by: OpenedBy,
}

impl EnvelopeEncryption {
    /// Opens the inline message that `source` is, with one request.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream); a length that no message has shows before a key is
    /// asked for.
    pub async fn open_source(
        &self,
        source: Arc<dyn RangeSource>,
        context: &EncryptionContext,
        options: ObjectOptions,
    ) -> Result<SealedObject> {
        let first = first(&*source, &options).await?;
        let header_len = parse_prefix(first.bytes.get(..PREFIX_LEN).unwrap_or(&first.bytes))?;
        let header_len = header_len.header_len;
        let FirstBytes { bytes, version } = at_least(&*source, first, header_len).await?;
        let header = bytes.slice(..header_len.min(bytes.len()));
        let parts = Parts { source, version, options, start: header_len as u64 };
        self.open_parts(&header, bytes.slice(header.len()..), parts, context).await
    }

    /// As [`open_source`](Self::open_source), for a body whose header is stored apart.
    ///
    /// # Errors
    /// As [`open_source`](Self::open_source).
    pub async fn open_source_detached(
        &self,
        header: &[u8],
        body: Arc<dyn RangeSource>,
        context: &EncryptionContext,
        options: ObjectOptions,
    ) -> Result<SealedObject> {
        let first = first(&*body, &options).await?;
        let FirstBytes { bytes, version } = at_least(&*body, first, 0).await?;
        let parts = Parts { source: body, version, options, start: 0 };
        self.open_parts(header, bytes, parts, context).await
    }

    async fn open_parts(
        &self,
        header: &[u8],
        beginning: Bytes,
        parts: Parts,
        context: &EncryptionContext,
    ) -> Result<SealedObject> {
        let Parts { source, version, options, start } = parts;
        let parsed = parse_stream_header(header)?;
        // A length that no body has shows before a key is asked for (docs/FORMAT.md section 10).
        plaintext_len(version.len.saturating_sub(start))?;
        let prologue = beginning.get(..PROLOGUE_LEN).unwrap_or(&beginning);
        let opener = self.verify_stream(&parsed, prologue, context).await?;
        let inner = Inner {
            extent: Extent::new(start, version.len, opener.padded)?,
            source,
            version,
            options,
            beginning,
            len: OnceLock::new(),
            opened_by: opener.opened_by().clone(),
            cipher: Arc::new(opener.cipher),
        };
        Ok(SealedObject { inner: Arc::new(inner) })
    }
}

/// A body in an object.
struct Parts {
    source: Arc<dyn RangeSource>,
    version: ObjectVersion,
    options: ObjectOptions,
    start: u64,
}

impl SealedObject {
    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        &self.inner.opened_by
    }

    /// Which object is read.
    #[must_use]
    pub fn version(&self) -> &ObjectVersion {
        &self.inner.version
    }

    /// Length of the plaintext in bytes: authenticated, at the cost of one request for the last
    /// chunk unless that was opened before.
    ///
    /// # Errors
    /// [`AuthenticationFailed`](vault_crypto_core::ErrorKind::AuthenticationFailed) for an object that
    /// was cut or extended, [`Conflict`](vault_crypto_core::ErrorKind::Conflict),
    /// [`Io`](vault_crypto_core::ErrorKind::Io).
    pub async fn len(&self) -> Result<u64> {
        if let Some(len) = self.inner.len.get() {
            return Ok(*len);
        }
        let extent = self.inner.extent;
        let tail = collect(self.content(extent.tail())?, usize::MAX).await?;
        let len = extent.plaintext_len(tail.as_slice())?;
        Ok(*self.inner.len.get_or_init(|| len))
    }

    /// The plaintext in `wanted`, cut at the end of the message, with one request.
    ///
    /// # Errors
    /// [`InvalidInput`](vault_crypto_core::ErrorKind::InvalidInput) for a range that starts beyond the
    /// end or ends before it starts; as [`len`](Self::len) for altered bytes and a store that fails.
    pub async fn range(&self, wanted: Range<u64>) -> Result<SecureBytes> {
        collect(self.stream(wanted).await?, usize::MAX).await
    }

    /// The plaintext of several ranges, each cut at the end of the message. Ranges that overlap or
    /// lie close together share a request and are opened once; several requests go out at once.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub async fn ranges(&self, wanted: &[Range<u64>]) -> Result<Vec<SecureBytes>> {
        let mut cut = Vec::with_capacity(wanted.len());
        for range in wanted {
            cut.push(self.cut(range).await?);
        }
        let groups = grouped(&cut, self.inner.options.gap);
        let reach = wanted.iter().map(|range| range.end).max().unwrap_or_default();
        let streams = groups.iter().map(|group| self.content(self.ending(group, reach)));
        let opened = collect_all(streams.collect::<Result<_>>()?).await?;
        Ok(cut.iter().map(|range| part(range, &groups, &opened)).collect())
    }

    /// The plaintext in `wanted`, cut at the end of the message, as a stream with one request behind
    /// it: in constant memory, however long.
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub async fn stream(&self, wanted: Range<u64>) -> Result<PlaintextStream> {
        let range = self.cut(&wanted).await?;
        if range.is_empty() {
            return Ok(PlaintextStream::new(self.inner.clone(), &NOTHING));
        }
        self.content(self.ending(&range, wanted.end))
    }

    /// All of the message in memory, every byte authenticated before the first is handed out. The
    /// zeros of a padded message are looked at here.
    ///
    /// # Errors
    /// As [`range`](Self::range), and
    /// [`LimitExceeded`](vault_crypto_core::ErrorKind::LimitExceeded) for over `limit` bytes of
    /// plaintext, before more than that is kept.
    pub async fn open_whole(&self, limit: usize) -> Result<WholeMessage> {
        let extent = self.inner.extent;
        let padding = if extent.padded { extent.content - self.len().await? } else { 0 };
        let limit = limit.saturating_add(usize::try_from(padding).unwrap_or(usize::MAX));
        // To beyond the end, so that the last chunk is among them even if it is empty.
        let content = collect(self.content(0..extent.content + 1)?, limit).await?;
        let opened_by = self.inner.opened_by.clone();
        WholeMessage::from_content(content, extent.padded, opened_by)
    }

    /// A reader of the plaintext that seeks, for code that wants one. It reads ahead, more with every
    /// read that follows the one before.
    #[must_use]
    pub fn reader(&self) -> ObjectReader {
        ObjectReader::new(self.clone())
    }

    /// `wanted` within the plaintext. Only what lies within by what the store says needs no request.
    async fn cut(&self, wanted: &Range<u64>) -> Result<Range<u64>> {
        let extent = self.inner.extent;
        let len = match self.inner.len.get() {
            Some(len) => *len,
            // What ends the message is opened with the range itself.
            None if !extent.padded && wanted.start < extent.content => extent.content,
            None => self.len().await?,
        };
        within(wanted, len)
    }

    /// `range`, and where it was cut at the end that the store tells, what is needed to verify that.
    fn ending(&self, range: &Range<u64>, reach: u64) -> Range<u64> {
        let extent = self.inner.extent;
        let is_cut = !extent.padded && reach > extent.content && range.end == extent.content;
        range.start..range.end + u64::from(is_cut)
    }

    /// What was sealed in `range`. At least one chunk is opened.
    fn content(&self, range: Range<u64>) -> Result<PlaintextStream> {
        let plan = plan_range(self.inner.extent.len, range)?;
        Ok(PlaintextStream::new(self.inner.clone(), &plan))
    }
}

impl fmt::Debug for SealedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedObject")
            .field("version", &self.inner.version)
            .field("opened_by", &self.inner.opened_by)
            .finish_non_exhaustive()
    }
}

/// The plan of an empty range: no chunk, no request.
const NOTHING: RangePlan = RangePlan {
    prologue: 0..0,
    chunks: 0..0,
    first_chunk: 0,
    includes_last: false,
    skip: 0,
    len: 0,
    last_chunk: 0..0,
};

/// The first request; its answer must be as long as it can be.
async fn first(source: &dyn RangeSource, options: &ObjectOptions) -> Result<FirstBytes> {
    let first = source.first(options.first_request).await?;
    if first.bytes.len() as u64 != options.first_request.min(first.version.len) {
        return Err(not_as_asked());
    }
    Ok(first)
}

/// Fetches what is missing of a header of `header_len` bytes (at most 64 KiB) and its prologue.
async fn at_least(
    source: &dyn RangeSource,
    first: FirstBytes,
    header_len: usize,
) -> Result<FirstBytes> {
    let FirstBytes { bytes, version } = first;
    let wanted = version.len.min((header_len + PROLOGUE_LEN) as u64);
    let have = bytes.len() as u64;
    if have >= wanted {
        return Ok(FirstBytes::new(bytes, version));
    }
    let mut joined = BytesMut::from(&*bytes);
    let rest = source.range(have..wanted, &version).await?;
    joined.extend_from_slice(&fetch(rest, wanted - have).await?);
    Ok(FirstBytes::new(joined.freeze(), version))
}

/// The requests that cover `ranges`: those that overlap, share a chunk, or have at most `gap` bytes
/// between them are one.
fn grouped(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let chunk = CHUNK_LEN as u64;
    let mut sorted: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut groups: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match groups.last_mut() {
            Some(last)
                if range.start <= last.end.saturating_add(gap)
                    || range.start / chunk <= (last.end - 1) / chunk =>
            {
                last.end = last.end.max(range.end);
            }
            _ => groups.push(range),
        }
    }
    groups
}

/// A copy of `range` out of the group that holds it.
fn part(range: &Range<u64>, groups: &[Range<u64>], opened: &[SecureBytes]) -> SecureBytes {
    let holds = |group: &Range<u64>| group.start <= range.start && range.end <= group.end;
    let found = groups.iter().zip(opened).find(|(group, _)| !range.is_empty() && holds(group));
    let bytes = found.and_then(|(group, bytes)| {
        let at = |offset: u64| usize::try_from(offset - group.start).unwrap_or(usize::MAX);
        bytes.as_slice().get(at(range.start)..at(range.end))
    });
    SecureBytes::new(bytes.unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_a_common_chunk_are_one_request_and_distant_ones_are_not() {
        let chunk = CHUNK_LEN as u64;
        let far = 10 * chunk;
        let ranges = [far..far + 1, 5..9, 0..3, chunk - 1..chunk, far + 2..far + 9, 7..7];
        assert_eq!(grouped(&ranges, 0), [0..chunk, far..far + 9]);
        assert_eq!(grouped(&ranges, far), vec![Range { start: 0, end: far + 9 }]);
        assert_eq!(grouped(&[chunk..chunk + 1, 0..chunk - 1], 0), [0..chunk - 1, chunk..chunk + 1]);
        assert!(grouped(&[Range { start: 3, end: 3 }], 9).is_empty());
    }
}
