//! Names of keys: `orders`, or in full `hcvault:prod/team-a/transit#orders`. Checked before any request,
//! since a name becomes part of a path.

use vault_connection::VaultMount;
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation, Result};

/// The scheme of this provider's key ids, and its type.
pub(crate) const SCHEME: &str = "hcvault";
const MAX_NAME_LEN: usize = 256;

/// What stands before the name of every key here: server, namespace and mount.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// `hcvault:prod/team-a/transit#`
    prefix: String,
}

impl Place {
    pub(crate) fn new(server: &str, namespace: Option<&VaultMount>, mount: &VaultMount) -> Self {
        // A namespace is a part of the path: the server takes it there as well as in a header.
        let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        Self { prefix: format!("{SCHEME}:{server}/{namespace}{mount}#") }
    }

    /// The canonical id of the key `name`.
    pub(crate) fn key_id(&self, name: &str) -> KeyId {
        KeyId::new(format!("{}{name}", self.prefix))
    }

    /// The name that a bare name or a full id stands for. Whether there is such a key is not asked here.
    ///
    /// # Errors
    /// `InvalidInput` for what can be no name; `KeyNotFound` for the id of another server or mount.
    pub(crate) fn name_in<'a>(&self, key_id: &'a KeyId) -> Result<&'a str> {
        let id = key_id.as_str();
        let name = match id.strip_prefix(self.prefix.as_str()) {
            Some(name) => name,
            None if is_full(id) => {
                return Err(CryptoError::new(ErrorKind::KeyNotFound, Operation::Configure)
                    .with_detail(
                        "this key is of another server, namespace or mount than this provider's",
                    ));
            }
            None => id,
        };
        check_name(name).map(|()| name)
    }
}

fn is_full(id: &str) -> bool {
    id.strip_prefix(SCHEME).is_some_and(|rest| rest.starts_with(':'))
        && id.contains('#')
        && !id.chars().any(char::is_control)
}

/// Transit's own rule: letters, digits, `_`, `-` and `.`, of which the last two neither begin nor end a name.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let [first, last] = [name.bytes().next(), name.bytes().next_back()];
    let ends = first.is_some_and(word) && last.is_some_and(word);
    if ends && name.len() <= MAX_NAME_LEN && name.bytes().all(|b| word(b) || b"-.".contains(&b)) {
        return Ok(());
    }
    Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(
        "a Transit key's name has 1 to 256 letters, digits or _-. and begins and ends with a letter, digit or _",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        let mount = |path| VaultMount::new(path).unwrap();
        Place::new("prod", Some(&mount("team-a")), &mount("kms/transit"))
    }

    #[test]
    fn a_bare_name_and_the_full_id_are_the_same_key() {
        let place = place();
        let full = place.key_id("orders");
        assert_eq!(full.as_str(), "hcvault:prod/team-a/kms/transit#orders");
        for id in [&full, &KeyId::new("orders")] {
            assert_eq!(place.name_in(id).unwrap(), "orders");
        }
    }

    #[test]
    fn the_key_of_another_place_is_not_found() {
        for id in [
            "hcvault:test/team-a/kms/transit#orders",
            "hcvault:prod/kms/transit#orders",
            "hcvault:#",
        ] {
            let error = place().name_in(&KeyId::new(id)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyNotFound, "{id}");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "k".repeat(10_000);
        let names = [
            "", ".", "..", "../x", "a/../b", "a b", "a\nb", "a?b", "a#b", "a%2fb", "-a", "a-",
            ".a", "ä",
        ];
        for name in names.into_iter().chain([long.as_str()]) {
            for id in [KeyId::new(name), place().key_id(name)] {
                let error = place().name_in(&id).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name:.20}");
            }
        }
    }
}
