//! Where cached data keys come from: the seam between the cache, which knows no format, and those who
//! make and find data keys.
//!
//! A source is asked once for each miss, by a future that any waiter may drive. Left to others: whether
//! to ask at all, keeping the answer, waiting for it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use vault_crypto_core::Result;
use vault_crypto_core::derive::DataKeySecret;
use vault_crypto_core::header::{Shape, Suite, parse};

use crate::fresh::Fresh;
use crate::unlock::{OpenedBy, expect_shape};
use crate::{EnvelopeEncryption, Invalidation};

/// One question to a source. It owns all it needs, so that whoever still waits can drive it on.
pub(crate) type Fetch = Pin<Box<dyn Future<Output = Result<SourcedKey>> + Send>>;

/// A data key that was vouched for: a KMS (or a branch key that one unwrapped) made it or opened it, and
/// what could be verified was verified.
pub(crate) struct SourcedKey {
    /// The data key.
    pub(crate) secret: DataKeySecret,
    /// What stands before every body sealed under it: a whole header, or a compact prefix.
    pub(crate) front: Vec<u8>,
    /// The suite of those bodies.
    pub(crate) suite: Suite,
    /// Their padded flag.
    pub(crate) padded: bool,
    /// Which allowed key opened it. `None` from [`KeySource::make`]: the cache finds out whether this
    /// envelope may open what it seals.
    pub(crate) opened_by: Option<OpenedBy>,
}

/// Makes data keys for sealing, and finds the ones that messages were sealed under.
pub(crate) trait KeySource: fmt::Debug + Send + Sync {
    /// A new data key for many records in the scope of `envelope`.
    fn make(&self, envelope: EnvelopeEncryption) -> Fetch;

    /// The data key of the records that start with `front`: everything that precedes the body.
    fn find(&self, envelope: EnvelopeEncryption, front: Arc<[u8]>) -> Fetch;

    /// The cache was told that something is not to be used any more; so must whatever keys the source
    /// keeps itself.
    fn invalidate(&self, what: &Invalidation) {
        let _ = what;
    }
}

/// Data keys that stand, wrapped, in the header of their messages.
#[derive(Debug)]
pub(crate) struct Headers;

impl KeySource for Headers {
    fn make(&self, envelope: EnvelopeEncryption) -> Fetch {
        Box::pin(async move {
            let suite = envelope.shared.record_suite;
            let Fresh { secret, mut header, .. } =
                envelope.fresh(suite, Shape::Record, None).await?;
            let front = secret.seal_header(&mut header, &envelope.scope, Some(0))?;
            Ok(SourcedKey { secret, front, suite, padded: header.padded, opened_by: None })
        })
    }

    fn find(&self, envelope: EnvelopeEncryption, front: Arc<[u8]>) -> Fetch {
        Box::pin(async move {
            let parsed = parse(&front)?;
            expect_shape(&parsed, Shape::Record)?;
            let (suite, padded) = (parsed.header.suite, parsed.header.padded);
            let unlocked = envelope.unlock(&parsed).await?;
            Ok(SourcedKey {
                secret: unlocked.secret,
                front: front.to_vec(),
                suite,
                padded,
                opened_by: Some(unlocked.opened_by),
            })
        })
    }
}
