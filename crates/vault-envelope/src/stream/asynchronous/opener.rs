//! Opening a stream from an async input: header, data key, commitment.

use futures_io::AsyncRead;
use vault_crypto_core::{EncryptionContext, Operation, Result};

use super::AsyncOpenReader;
use super::io::read_full;
use crate::EnvelopeEncryption;
use crate::chunks::PROLOGUE_LEN;
use crate::stream::StreamOpener;
use crate::stream::head::HeaderReader;
use crate::stream::io::reading;
use crate::stream::opener::parse_stream_header;

impl EnvelopeEncryption {
    /// As [`open_stream`](Self::open_stream), from an async input.
    ///
    /// Not cancellation-safe: a future that is dropped leaves `input` somewhere in the header.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn open_stream_async<R: AsyncRead + Unpin>(
        &self,
        input: &mut R,
        context: &EncryptionContext,
    ) -> Result<StreamOpener> {
        let header = read_header(input).await?;
        self.open_detached_async(&header, input, context).await
    }

    /// As [`open_detached`](Self::open_detached), from an async body.
    ///
    /// Not cancellation-safe: a future that is dropped leaves `body` somewhere before its chunks.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn open_detached_async<R: AsyncRead + Unpin>(
        &self,
        header: &[u8],
        body: &mut R,
        context: &EncryptionContext,
    ) -> Result<StreamOpener> {
        let parsed = parse_stream_header(header)?;
        let mut prologue = [0; PROLOGUE_LEN];
        let len = read_full(body, &mut prologue).await.map_err(reading(Operation::Open))?;
        self.verify_stream(&parsed, prologue.get(..len).unwrap_or_default(), context).await
    }

    /// An async reader of the plaintext in `input`, released chunk by chunk.
    ///
    /// A future that is dropped takes `input` with it.
    ///
    /// # Errors
    /// As [`open_stream`](Self::open_stream).
    pub async fn async_reader<R: AsyncRead + Unpin>(
        &self,
        mut input: R,
        context: &EncryptionContext,
    ) -> Result<AsyncOpenReader<R>> {
        Ok(self.open_stream_async(&mut input, context).await?.into_async_reader(input))
    }
}

impl StreamOpener {
    /// An async reader of the plaintext; `input` must be at the first chunk.
    pub fn into_async_reader<R: AsyncRead + Unpin>(self, input: R) -> AsyncOpenReader<R> {
        AsyncOpenReader::new(self, input)
    }
}

async fn read_header<R: AsyncRead + Unpin>(input: &mut R) -> Result<Vec<u8>> {
    let mut header = HeaderReader::new();
    loop {
        let place = header.place()?;
        let wanted = place.len();
        let len = read_full(input, place).await.map_err(reading(Operation::Open))?;
        header.advance(len);
        if wanted == 0 || len < wanted {
            return Ok(header.finish());
        }
    }
}
