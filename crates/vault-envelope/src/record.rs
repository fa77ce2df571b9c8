//! One record in memory: what stands before the body, and the body bound to it.
//!
//! Left to others: the key, the budget, and checking what stands before the body.

use vault_crypto_core::header::{MESSAGE_ID_LEN, Suite};
use vault_crypto_core::{EncryptedData, Result, SecureBytes};

use crate::Padding;
use crate::body::{BodyRef, Prologue, overhead};
use crate::chunks::defect;
use crate::sealing::with_body_context;

/// What all records under one data key have in common.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// A whole header, or the prefix of compact records.
    pub(crate) front: &'a [u8],
    /// B without the context's pairs.
    pub(crate) context_prefix: &'a [u8],
    pub(crate) suite: Suite,
    /// Whether the plaintexts of its messages are padded.
    pub(crate) padded: bool,
}

/// A new record's content.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    pub(crate) plaintext: &'a [u8],
    /// The context's pairs.
    pub(crate) pairs: &'a [u8],
    pub(crate) padding: Padding,
}

impl Frame<'_> {
    /// Appends `front || body` to `out`, under an id drawn for it.
    #[inline]
    pub(crate) fn seal(
        &self,
        body: BodyRef<'_>,
        id: &[u8; MESSAGE_ID_LEN],
        content: Content<'_>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Content { plaintext, pairs, padding } = content;
        let len = padding.padded_len(plaintext.len())?;
        out.reserve(self.front.len() + overhead(self.suite, len) + len);
        out.extend_from_slice(self.front);
        with_body_context(self.context_prefix, pairs, |bound| {
            body.seal_append(id, bound, plaintext, padding, out)
        })
    }

    /// As [`seal`](Self::seal), in a buffer of its own.
    #[inline]
    pub(crate) fn seal_new(
        &self,
        body: BodyRef<'_>,
        id: &[u8; MESSAGE_ID_LEN],
        content: Content<'_>,
    ) -> Result<EncryptedData> {
        let mut out = Vec::new();
        self.seal(body, id, content, &mut out)?;
        Ok(EncryptedData::from_bytes(out))
    }

    /// Opens a record that starts with this front.
    #[inline]
    pub(crate) fn open(
        &self,
        body: BodyRef<'_>,
        sealed: &[u8],
        pairs: &[u8],
    ) -> Result<SecureBytes> {
        let rest = sealed.get(self.front.len()..).ok_or_else(defect)?;
        let (prologue, data) = Prologue::split(rest)?;
        with_body_context(self.context_prefix, pairs, |bound| {
            body.open(&prologue, bound, data, self.padded)
        })
    }
}
