//! Opening a stream: header, data key, commitment; then readers and parallel runs.

use std::fmt;
use std::io::Read;

use vault_crypto_core::derive::body_context;
use vault_crypto_core::header::{ParsedHeader, Shape, parse};
use vault_crypto_core::{CryptoError, EncryptionContext, ErrorKind, Operation, Result};

use super::OpenReader;
use super::head::HeaderReader;
use super::io::{read_full, reading};
use crate::body::Prologue;
use crate::chunks::{PROLOGUE_LEN, StreamCipher};
use crate::opening::check_message_id;
use crate::unlock::expect_shape;
use crate::{EnvelopeEncryption, OpenedBy};

/// A stream whose header and commitment are verified; its chunks are still to be opened.
pub struct StreamOpener {
    pub(super) cipher: StreamCipher,
    pub(super) padded: bool,
    pub(super) header_len: u64,
    opened_by: OpenedBy,
}

impl EnvelopeEncryption {
    /// Reads header, salt and commitment from `input`, asks the KMS and verifies; `input` is then
    /// at the first chunk.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt), and [`Io`](vault_crypto_core::ErrorKind::Io).
    pub async fn open_stream<R: Read>(
        &self,
        input: &mut R,
        context: &EncryptionContext,
    ) -> Result<StreamOpener> {
        let header = read_header(input)?;
        self.open_detached(&header, input, context).await
    }

    /// As [`open_stream`](Self::open_stream), for a header that is stored apart from its body.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn open_detached<R: Read>(
        &self,
        header: &[u8],
        body: &mut R,
        context: &EncryptionContext,
    ) -> Result<StreamOpener> {
        let parsed = parse_stream_header(header)?;
        let mut prologue = [0; PROLOGUE_LEN];
        let len = read_full(body, &mut prologue).map_err(reading(Operation::Open))?;
        self.verify_stream(&parsed, prologue.get(..len).unwrap_or_default(), context).await
    }

    /// A reader of the plaintext in `input`, released chunk by chunk.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn reader<R: Read>(
        &self,
        mut input: R,
        context: &EncryptionContext,
    ) -> Result<OpenReader<R>> {
        Ok(self.open_stream(&mut input, context).await?.into_reader(input))
    }

    /// `prologue` is what the body starts with; one that is cut off is not authentic.
    pub(super) async fn verify_stream(
        &self,
        parsed: &ParsedHeader<'_>,
        prologue: &[u8],
        context: &EncryptionContext,
    ) -> Result<StreamOpener> {
        let header = &parsed.header;
        self.check_supported(header)?;
        let bound =
            body_context(header.suite, Shape::Stream, header.body_flags(), &self.scope, context)?;
        let (prologue, _) = Prologue::split(prologue)?;
        check_message_id(Some(header.message_id), &prologue)?;
        let unlocked = self.unlock(parsed).await?;
        let cipher = self.committed_cipher(&unlocked.secret, header.suite, &prologue, &bound)?;
        Ok(StreamOpener {
            cipher,
            padded: header.padded,
            header_len: parsed.len() as u64,
            opened_by: unlocked.opened_by,
        })
    }
}

impl StreamOpener {
    /// Which slot opened the header.
    #[must_use]
    pub fn opened_by(&self) -> &OpenedBy {
        &self.opened_by
    }

    /// Length of the header in bytes: an inline body starts there.
    #[must_use]
    pub fn header_len(&self) -> u64 {
        self.header_len
    }

    /// A reader of the plaintext; `input` must be at the first chunk.
    pub fn into_reader<R: Read>(self, input: R) -> OpenReader<R> {
        OpenReader::new(self, input)
    }
}

impl fmt::Debug for StreamOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamOpener").field("opened_by", &self.opened_by).finish_non_exhaustive()
    }
}

/// A header that must be a stream's.
pub(super) fn parse_stream_header(header: &[u8]) -> Result<ParsedHeader<'_>> {
    let parsed = parse(header)?;
    expect_shape(&parsed, Shape::Stream)?;
    if parsed.len() != header.len() {
        return Err(CryptoError::new(ErrorKind::Malformed, Operation::Open)
            .with_detail("there are bytes after the detached header"));
    }
    Ok(parsed)
}

/// Reads a header, allocating only what its checked lengths ask for (at most 64 KiB).
pub(super) fn read_header<R: Read>(input: &mut R) -> Result<Vec<u8>> {
    let mut header = HeaderReader::new();
    loop {
        let place = header.place()?;
        let wanted = place.len();
        let len = read_full(input, place).map_err(reading(Operation::Open))?;
        header.advance(len);
        if wanted == 0 || len < wanted {
            return Ok(header.finish());
        }
    }
}
