//! What is not to be used any more, and the order of such orders and of fills under way.

use vault_crypto_core::{KeyId, Scope};

/// Which cached data keys are not to be used any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// All that this key wrapped or unwrapped: it was disabled, or is compromised.
    Key(KeyId),
    /// All of this scope.
    Scope(Scope),
    /// All of the envelope.
    Everything,
}
