//! The way past the cache: where there is none, where a key may not be kept, or where none stayed.

use vault_crypto_core::header::Suite;
use vault_crypto_core::{EncryptedData, EncryptionContext, Result, SecureBytes};

use super::entry::backend_of;
use super::lease::Purse;
use super::open::front_of;
use super::source::SourcedKey;
use crate::EnvelopeEncryption;
use crate::body::BodyKey;
use crate::record::{Content, Frame};
use crate::sealing::context_prefix;

/// A data key that one call has for itself.
pub(crate) struct OwnKey {
    pub(crate) body: BodyKey,
    pub(crate) purse: Purse,
    front: Vec<u8>,
    suite: Suite,
    padded: bool,
    context_prefix: Vec<u8>,
}

impl OwnKey {
    pub(crate) fn frame(&self) -> Frame<'_> {
        let Self { front, suite, padded, context_prefix, .. } = self;
        Frame { front, context_prefix, suite: *suite, padded: *padded }
    }
}

impl EnvelopeEncryption {
    /// Opens with a data key that is asked for and forgotten.
    pub(crate) async fn open_uncached(
        &self,
        sealed: &[u8],
        context: &EncryptionContext,
    ) -> Result<SecureBytes> {
        let key = self.found_key(front_of(sealed).unwrap_or_default()).await?;
        key.frame().open(key.body.by_ref(), sealed, context.canonical_pairs()?)
    }

    /// Seals under a data key that is asked for and forgotten.
    pub(crate) async fn seal_uncached(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<EncryptedData> {
        let key = self.own_key().await?;
        let id = self.shared.random.nonce(self.shared.clock.monotonic())?;
        let (pairs, padding) = (context.canonical_pairs()?, self.shared.padding);
        key.frame().seal_new(key.body.by_ref(), &id, Content { plaintext, pairs, padding })
    }

    /// A new data key for one call.
    pub(crate) async fn own_key(&self) -> Result<OwnKey> {
        self.owned(self.source(None).await?.1)
    }

    /// The data key of the messages that start with `front`, for one call.
    pub(crate) async fn found_key(&self, front: &[u8]) -> Result<OwnKey> {
        self.owned(self.source(Some(front.into())).await?.1)
    }

    fn owned(&self, sourced: SourcedKey) -> Result<OwnKey> {
        let backend = backend_of(sourced.suite, self.shared.backend);
        Ok(OwnKey {
            body: BodyKey::new(&sourced.secret, sourced.suite, Some(backend)),
            purse: self.purse(),
            context_prefix: context_prefix(sourced.suite, u8::from(sourced.padded), self)?,
            front: sourced.front,
            suite: sourced.suite,
            padded: sourced.padded,
        })
    }
}
