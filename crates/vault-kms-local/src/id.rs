//! Names of stores and keys: `local:<store id>#<name>`, not paths, so that a moved folder changes no
//! message.

use std::fmt;

use vault_crypto_core::{KeyId, RandomSource, Result};

use crate::error::{invalid, key_not_found};

/// Scheme of the embedded KMS's key ids.
pub(crate) const SCHEME: &str = "local:";
const MAX_NAME_LEN: usize = 64;

/// The random name of a store: 8 bytes, printed as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StoreId(pub(crate) [u8; 8]);

impl StoreId {
    pub(crate) fn generate(random: &dyn RandomSource) -> Result<Self> {
        let mut id = [0; 8];
        random.fill(&mut id)?;
        Ok(Self(id))
    }

    /// The canonical id of the key `name`.
    pub(crate) fn key_id(self, name: &str) -> KeyId {
        KeyId::new(format!("{SCHEME}{self}#{name}"))
    }

    /// The name inside this store that a bare name or a full id stands for. Whether a key of that
    /// name exists is not asked here.
    pub(crate) fn name_in<'a>(&self, key_id: &'a KeyId) -> Result<&'a str> {
        let Some(rest) = key_id.as_str().strip_prefix(SCHEME) else {
            return Ok(key_id.as_str());
        };
        match rest.split_once('#') {
            Some((store, name)) if store == self.to_string() => Ok(name),
            _ => Err(key_not_found(
                key_id,
                "it is not a key of the key store that is open; open the store that it names",
            )),
        }
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Checks the name of a key: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let head = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let tail = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if head && tail && name.len() <= MAX_NAME_LEN {
        return Ok(());
    }
    Err(invalid(
        "a local key's name has 1 to 64 letters, digits or ._- and begins with a letter or digit",
    ))
}
