//! The encryption context: pairs bound into one message and stored nowhere.

use std::fmt;

use crate::{Result, pairs};

/// Most pairs in a context.
pub const MAX_CONTEXT_PAIRS: usize = 64;
/// Longest name in a context, in bytes.
pub const MAX_CONTEXT_NAME_LEN: usize = 255;
/// Longest canonical context in bytes. Chosen so that the body context B stays within 8,192.
pub const MAX_CONTEXT_LEN: usize = 7_000;

/// Pairs that a message is bound to (row id, column, file name): whoever opens must give the same.
///
/// The order of the pairs does not matter; a repeated or empty name is an error that shows when
/// the context is used, or at once with [`try_new`](Self::try_new). Never stored in the message
/// and never sent to a KMS. `Debug` prints names, not values.
///
/// ```
/// use vault_crypto_core::EncryptionContext;
/// let context = EncryptionContext::from([("table", "cards"), ("row", "42")]);
/// assert_eq!(context, EncryptionContext::from([("row", "42"), ("table", "cards")]));
/// assert!(EncryptionContext::try_new([("row", "1"), ("row", "2")]).is_err());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionContext {
    names: Vec<String>,
    // The canonical form is made once, so that sealing a record only copies it.
    canonical: Result<Vec<u8>, &'static str>,
}

impl EncryptionContext {
    /// The empty context.
    #[must_use]
    pub fn new() -> Self {
        Self { names: Vec::new(), canonical: Ok(vec![0, 0]) }
    }

    /// Checks and encodes the pairs at once.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a repeated or empty name, a name with `=` or a control
    /// character or over 255 bytes, over 64 pairs, or over 7,000 bytes in all.
    pub fn try_new<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let context: Self = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        context.canonical_pairs()?;
        Ok(context)
    }

    /// The canonical encoding of docs/FORMAT.md section 2.
    ///
    /// # Errors
    /// As [`try_new`](Self::try_new).
    pub fn canonical_pairs(&self) -> Result<&[u8]> {
        self.canonical.as_deref().map_err(|why| pairs::invalid(why))
    }

    /// The names, ascending; values stay inside.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl Default for EncryptionContext {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<(String, String)> for EncryptionContext {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(iter: I) -> Self {
        let pairs: Vec<(String, String)> = iter.into_iter().collect();
        let mut names: Vec<String> = pairs.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        Self { names, canonical: canonical(pairs) }
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]>
    for EncryptionContext
{
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect()
    }
}

impl fmt::Debug for EncryptionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptionContext{:?}", self.names)
    }
}

fn canonical(pairs: Vec<(String, String)>) -> Result<Vec<u8>, &'static str> {
    if pairs.len() > MAX_CONTEXT_PAIRS {
        return Err("an encryption context has at most 64 pairs");
    }
    for (name, _) in &pairs {
        if name.is_empty() {
            return Err("a name in an encryption context is empty");
        }
        if name.len() > MAX_CONTEXT_NAME_LEN || name.contains(|c: char| c == '=' || c.is_control())
        {
            return Err("a context name has at most 255 bytes, no '=' and no control characters");
        }
    }
    let encoded = pairs::encode(pairs)
        .map_err(|_| "a name is repeated in an encryption context, or a value is too long")?;
    if encoded.len() > MAX_CONTEXT_LEN {
        return Err("an encryption context has at most 7000 bytes");
    }
    Ok(encoded)
}

/// Whether `bytes` are the canonical encoding of a context within the limits.
pub(crate) fn is_canonical(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_CONTEXT_LEN
        && pairs::decode(bytes).is_some_and(|pairs| canonical(pairs).as_deref() == Ok(bytes))
}
