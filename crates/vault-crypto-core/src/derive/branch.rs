//! What is derived from a branch key: the data keys of compact records, and the key that wraps.
//!
//! Left to `vault-envelope`: where branch keys are kept, and for how long.

use zeroize::Zeroizing;

use super::{DataKeySecret, expand};
use crate::header::DATA_KEY_ID_LEN;
use crate::{DATA_KEY_LEN, Scope};

/// A look at the 32 bytes of a branch key, wherever they lie. It keeps no copy.
#[derive(Clone, Copy)]
pub struct BranchKey<'a>(&'a [u8; DATA_KEY_LEN]);

impl<'a> BranchKey<'a> {
    /// Looks at a branch key.
    #[must_use]
    pub fn new(key: &'a [u8; DATA_KEY_LEN]) -> Self {
        Self(key)
    }

    /// The data key of one id: `E(BK, Lbl("branch-data-key") || u32 version || id || pairs(scope), 32)`.
    #[must_use]
    pub fn data_key(
        &self,
        version: u32,
        id: &[u8; DATA_KEY_ID_LEN],
        scope: &Scope,
    ) -> DataKeySecret {
        let version = version.to_be_bytes();
        let fields = [version.as_slice(), id, scope.canonical_pairs()];
        DataKeySecret(Box::new(expand(self.0, b"branch-data-key", &fields)))
    }

    /// `K_wrap`, the key of key slots of kind 6: `E(BK, Lbl("branch-wrap"), 32)`.
    #[must_use]
    pub fn wrap_key(&self) -> Zeroizing<[u8; DATA_KEY_LEN]> {
        expand(self.0, b"branch-wrap", &[])
    }
}

impl std::fmt::Debug for BranchKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BranchKey([REDACTED])")
    }
}
