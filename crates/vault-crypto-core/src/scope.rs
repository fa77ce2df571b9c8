//! The key scope: a few low-cardinality pairs that say which messages may share a data key.

use std::fmt;

use crate::{Result, pairs};

/// Most pairs in a scope.
pub const MAX_SCOPE_PAIRS: usize = 8;
/// Longest canonical scope in bytes.
pub const MAX_SCOPE_LEN: usize = 1_024;

/// Pairs such as tenant, purpose or table. A KMS that can binds them in the wrapping call, the
/// header MAC binds them always. Stored in the header by default; not secret.
///
/// Names match `[a-z][a-z0-9_.-]{0,63}`, values have 1 to 256 bytes without control characters.
///
/// ```
/// use vault_crypto_core::Scope;
/// let scope = Scope::new([("tenant", "acme"), ("table", "cards")])?;
/// assert_eq!(scope.pairs().next(), Some(("table", "cards")));
/// assert!(Scope::new([("Tenant", "acme")]).is_err());
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    pairs: Vec<(String, String)>,
    canonical: Vec<u8>,
}

impl Scope {
    /// The empty scope.
    #[must_use]
    pub fn empty() -> Self {
        Self { pairs: Vec::new(), canonical: vec![0, 0] }
    }

    /// Checks and encodes the pairs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a repeated name, a name or value outside the rules above,
    /// over 8 pairs or over 1 KiB in all.
    pub fn new<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let mut pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.sort();
        check(&pairs)?;
        let canonical = pairs::encode(pairs.clone())?;
        if canonical.len() > MAX_SCOPE_LEN {
            return Err(pairs::invalid("a scope has at most 1024 bytes"));
        }
        Ok(Self { pairs, canonical })
    }

    /// Reads a stored scope; `None` unless it is canonical and within the rules.
    #[must_use]
    pub fn from_canonical(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_SCOPE_LEN {
            return None;
        }
        let pairs = pairs::decode(bytes)?;
        check(&pairs).ok()?;
        Some(Self { pairs, canonical: bytes.to_vec() })
    }

    /// This scope with more pairs.
    ///
    /// # Errors
    /// As [`new`](Self::new); a name that is already there counts as repeated.
    pub fn extended<N: Into<String>, V: Into<String>>(
        &self,
        more: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let more = more.into_iter().map(|(n, v)| (n.into(), v.into()));
        Self::new(self.pairs.iter().cloned().chain(more))
    }

    /// The canonical encoding of docs/FORMAT.md section 2.
    #[must_use]
    pub fn canonical_pairs(&self) -> &[u8] {
        &self.canonical
    }

    /// The pairs, ascending by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::empty()
    }
}

/// Names only: values may name a customer.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")?;
        f.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

fn check(pairs: &[(String, String)]) -> Result<()> {
    if pairs.len() > MAX_SCOPE_PAIRS {
        return Err(pairs::invalid("a scope has at most 8 pairs"));
    }
    for (name, value) in pairs {
        let head_ok = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let tail_ok = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b));
        if !head_ok || !tail_ok || name.len() > 64 {
            return Err(pairs::invalid("a scope name matches [a-z][a-z0-9_.-]{0,63}"));
        }
        if value.is_empty() || value.len() > 256 || value.chars().any(char::is_control) {
            return Err(pairs::invalid("a scope value has 1 to 256 bytes, no control characters"));
        }
    }
    Ok(())
}
