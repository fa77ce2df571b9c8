//! The way past the cache: where there is none, where a key may not be kept, or where none stayed.

use vault_crypto_core::{EncryptedData, EncryptionContext, Result, SecureBytes};

use super::entry::backend_of;
use super::open::front_of;
use super::source::SourcedKey;
use crate::EnvelopeEncryption;
use crate::body::BodyKey;
use crate::record::{Content, Frame};
use crate::sealing::context_prefix;

impl EnvelopeEncryption {
    /// Opens with a data key that is asked for and forgotten.
    pub(crate) async fn open_uncached(
        &self,
        sealed: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let front = front_of(sealed).unwrap_or_default();
        let (_, found) = self.source(Some(front.into())).await?;
        let (body, prefix) = self.body_of(&found)?;
        frame(&found, &prefix).open(body.by_ref(), sealed, context.canonical_pairs()?)
    }

    /// Seals under a data key that is asked for and forgotten.
    pub(crate) async fn seal_uncached(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let (_, made) = self.source(None).await?;
        let (body, prefix) = self.body_of(&made)?;
        let id = self.shared.random.nonce(self.shared.clock.monotonic())?;
        let (pairs, padding) = (context.canonical_pairs()?, self.shared.padding);
        let content = Content { plaintext, pairs, padding };
        frame(&made, &prefix).seal_new(body.by_ref(), &id, content)
    }

    fn body_of(&self, sourced: &SourcedKey) -> Result<(BodyKey, Vec<u8>)> {
        let backend = backend_of(sourced.suite, self.shared.backend);
        let prefix = context_prefix(sourced.suite, u8::from(sourced.padded), self)?;
        Ok((BodyKey::new(&sourced.secret, sourced.suite, Some(backend)), prefix))
    }
}

fn frame<'a>(sourced: &'a SourcedKey, context_prefix: &'a [u8]) -> Frame<'a> {
    let SourcedKey { front, suite, padded, .. } = sourced;
    Frame { front, context_prefix, suite: *suite, padded: *padded }
}
