//! Sealing a stream: the message's key and prologue, and the `Write` that seals what is written.

use std::fmt;
use std::io::Write;

use vault_crypto_core::derive::body_context;
use vault_crypto_core::header::Shape;
use vault_crypto_core::{EncryptionContext, Operation, Result};

use super::io::{into_io, writing};
use super::outgoing::Outgoing;
use crate::chunks::StreamCipher;
use crate::envelope::padding_flag;
use crate::fresh::Fresh;
use crate::{EnvelopeEncryption, Padding};

/// A new message whose body is still to come. Make a writer of it, or seal a whole input in parallel.
pub struct StreamSealer {
    pub(super) header: Vec<u8>,
    pub(super) prologue: Vec<u8>,
    pub(super) cipher: StreamCipher,
    pub(super) padding: Padding,
}

impl EnvelopeEncryption {
    /// Asks the KMS for a data key and prepares a stream. `len` is the plaintext's length if known:
    /// a short message then gets a header without alignment.
    ///
    /// # Errors
    /// [`InvalidInput`](vault_crypto_core::ErrorKind::InvalidInput) for a bad context, or the KMS's error.
    pub async fn seal_stream(
        &self,
        context: &EncryptionContext,
        len: Option<u64>,
    ) -> Result<StreamSealer> {
        let suite = self.shared.stream_suite;
        let padding = self.shared.padding;
        let bound =
            body_context(suite, Shape::Stream, padding_flag(padding), &self.scope, context)?;
        let salt = self.shared.message_id()?;
        let Fresh { secret, mut header } = self.fresh(suite, Shape::Stream, Some(salt)).await?;
        let header = secret.seal_header(&mut header, &self.scope, len)?;
        let (cipher, commitment) = self.stream_cipher(&secret, suite, &salt, &bound)?;
        let prologue = [salt.as_slice(), commitment.as_slice()].concat();
        Ok(StreamSealer { header, prologue, cipher, padding })
    }

    /// A writer that seals what is written to it into `out`. Without
    /// [`finish`](SealWriter::finish) the message does not open.
    ///
    /// # Errors
    /// As [`seal_stream`](Self::seal_stream).
    pub async fn writer<W: Write>(
        &self,
        out: W,
        context: &EncryptionContext,
    ) -> Result<SealWriter<W>> {
        self.seal_stream(context, None).await?.into_writer(out)
    }
}

impl StreamSealer {
    /// The header as it will be written, which says who took part; empty once it was taken away.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Takes the header away, to be stored as an object of its own; what is written is the bare body.
    #[must_use]
    pub fn detach_header(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.header)
    }

    /// A writer that seals into `out`; header, salt and commitment are written at once.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io).
    pub fn into_writer<W: Write>(self, out: W) -> Result<SealWriter<W>> {
        let mut writer = SealWriter { out, message: Outgoing::new(self), broken: false };
        writer.send().map_err(writing(Operation::Seal))?;
        Ok(writer)
    }

    /// What stands before the first chunk.
    pub(super) fn head(&self) -> Vec<u8> {
        [self.header.as_slice(), self.prologue.as_slice()].concat()
    }
}

impl fmt::Debug for StreamSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSealer").finish_non_exhaustive()
    }
}

/// Seals what is written to it, 16 KiB chunk by chunk, in constant memory.
///
/// After an error every further call fails too.
pub struct SealWriter<W> {
    out: W,
    message: Outgoing,
    broken: bool,
}

impl<W: Write> SealWriter<W> {
    /// Seals the last chunk and hands the output back. Until then the message does not open.
    ///
    /// # Errors
    /// [`Io`](vault_crypto_core::ErrorKind::Io).
    pub fn finish(mut self) -> Result<W> {
        if self.broken {
            return Err(writing(Operation::Seal)(broken()));
        }
        while !self.message.ended() {
            self.message.finish()?;
            self.send().map_err(writing(Operation::Seal))?;
        }
        self.out.flush().map_err(writing(Operation::Seal))?;
        Ok(self.out)
    }

    fn take(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let taken = self.message.take(data).map_err(into_io)?;
        self.send()?;
        Ok(taken)
    }

    /// Writes what is sealed.
    fn send(&mut self) -> std::io::Result<()> {
        let pending = self.message.pending();
        let len = pending.len();
        self.out.write_all(pending)?;
        self.message.sent(len);
        Ok(())
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        if self.broken {
            return Err(broken());
        }
        let result = self.take(data);
        self.broken = result.is_err();
        result
    }

    /// Flushes what is sealed; a chunk that is not full stays here until more comes or `finish`.
    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl<W> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealWriter").field("written", &self.message.total()).finish_non_exhaustive()
    }
}

/// What every call says after a failed one.
pub(super) fn broken() -> std::io::Error {
    std::io::Error::other("an earlier write of this message failed")
}
