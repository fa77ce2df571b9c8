//! Which vault, and how its keys are named: hostile names end here, before any request.
//!
//! Left to others: whether a key of that name exists.

use azure_core::http::Url;
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result};

/// Longest name of a key in bytes (Key Vault: `^[0-9a-zA-Z-]{1,127}$`).
const MAX_NAME_LEN: usize = 127;
/// Longest version that is put into a request. Key Vault's have 32 hexadecimal digits.
const MAX_VERSION_LEN: usize = 64;
/// Longest address of a vault in bytes.
const MAX_VAULT_LEN: usize = 512;

/// The vault that this provider speaks to, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vault {
    /// `https://host` or `https://host:port`, in lower case.
    origin: String,
    host: String,
}

/// A key's name inside the vault, in lower case: Key Vault does not tell case apart, key ids do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyName(String);

impl Vault {
    /// Reads `https://name.vault.azure.net`.
    pub(crate) fn parse(address: &str) -> Result<Self> {
        let url = Some(address)
            .filter(|address| address.len() <= MAX_VAULT_LEN)
            .and_then(|address| Url::parse(address).ok())
            .ok_or_else(not_a_vault)?;
        let bare = url.username().is_empty() && url.password().is_none();
        let nothing_more = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty());
        match host {
            Some(host) if bare && nothing_more && url.scheme() == "https" => {
                let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                Ok(Self { origin: format!("https://{host}{port}"), host: host.to_owned() })
            }
            _ => Err(not_a_vault()),
        }
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The resource that tokens are for: the host without the vault's own name.
    pub(crate) fn audience(&self) -> String {
        let rest = self.host.split_once('.').map_or(self.host.as_str(), |(_, rest)| rest);
        format!("https://{rest}")
    }

    /// Whether it is a Managed HSM, which answers some things that a vault does not.
    pub(crate) fn is_managed_hsm(&self) -> bool {
        self.host.split('.').nth(1) == Some("managedhsm")
    }

    /// The canonical id of the key `name`.
    pub(crate) fn key_id(&self, name: &KeyName) -> KeyId {
        KeyId::new(format!("{}/keys/{}", self.origin, name.0))
    }

    /// The name that a bare name or a full id stands for.
    pub(crate) fn name_in(&self, key_id: &KeyId) -> Result<KeyName> {
        let id = key_id.as_str();
        if !id.contains("://") {
            return KeyName::parse(id).map_err(|error| named(error, key_id));
        }
        let (origin, path) = id.split_at_checked(self.origin.len()).unwrap_or((id, ""));
        match path.strip_prefix("/keys/") {
            Some(name) if origin.eq_ignore_ascii_case(&self.origin) => {
                KeyName::parse(name).map_err(|error| named(error, key_id))
            }
            _ => Err(named(
                CryptoError::new(ErrorKind::KeyNotFound, Operation::Configure).with_detail(
                    "it is not a key of the vault that is configured; configure the vault that it names",
                ),
                key_id,
            )),
        }
    }

    /// The version that the service names in `kid`, if `kid` is of this vault and of `name`.
    pub(crate) fn version_in(&self, kid: &str, name: &KeyName) -> Option<KeyVersion> {
        let (told, version) = self.parts_of(kid)?;
        if told != *name {
            return None;
        }
        KeyVersion::new(version?).ok().filter(KeyVersion::is_known)
    }

    /// The name in `kid`, if it is of this vault.
    #[cfg(feature = "admin")]
    pub(crate) fn name_of(&self, kid: &str) -> Option<KeyName> {
        self.parts_of(kid).map(|(name, _)| name)
    }

    /// The port is not compared: behind a gateway the service still answers its own address.
    fn parts_of(&self, kid: &str) -> Option<(KeyName, Option<String>)> {
        self.plain_parts_of(kid).or_else(|| self.parsed_parts_of(kid))
    }

    /// What nearly every answer is, told without taking a whole URL apart.
    fn plain_parts_of(&self, kid: &str) -> Option<(KeyName, Option<String>)> {
        let path = kid.strip_prefix(&self.origin)?.strip_prefix("/keys/")?;
        let (name, version) = path.split_once('/')?;
        let plain = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric());
        Some((KeyName::parse(name).ok()?, Some(version.to_owned()))).filter(|_| plain)
    }

    fn parsed_parts_of(&self, kid: &str) -> Option<(KeyName, Option<String>)> {
        let url = Url::parse(kid).ok()?;
        let mut path = url.path_segments()?;
        let ours = url.host_str()?.eq_ignore_ascii_case(&self.host) && path.next()? == "keys";
        let name = KeyName::parse(path.next()?).ok()?;
        let version = path.next().map(str::to_owned);
        (ours && path.next().is_none()).then_some((name, version))
    }
}

impl KeyName {
    /// Checks the name of a key: 1 to 127 letters, digits and `-`.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let allowed = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if name.is_empty() || name.len() > MAX_NAME_LEN || !allowed {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(
                "a Key Vault key's name has 1 to 127 letters, digits or -; its id has no version",
            ));
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a stored version may stand in a request's path. It is a hint that anybody can have written.
pub(crate) fn can_be_asked(version: &KeyVersion) -> bool {
    let text = version.as_str();
    (1..=MAX_VERSION_LEN).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The key is named unless its id is too long or strange to be shown.
fn named(error: CryptoError, key_id: &KeyId) -> CryptoError {
    let shown = key_id.as_str().len() <= 256 && key_id.check().is_ok();
    if shown { error.with_key_id(key_id) } else { error }
}

fn not_a_vault() -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
        .with_detail("a vault's address is https://<name>.vault.azure.net, and nothing after it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Vault {
        Vault::parse("https://Unit.vault.azure.net/").unwrap()
    }

    #[test]
    fn a_key_has_one_id_however_it_is_named() {
        let vault = vault();
        for id in [
            "app",
            "APP",
            "https://unit.vault.azure.net/keys/app",
            "https://UNIT.vault.azure.net/keys/App",
        ] {
            let name = vault.name_in(&KeyId::from(id)).unwrap();
            assert_eq!(vault.key_id(&name).as_str(), "https://unit.vault.azure.net/keys/app");
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "k".repeat(10_000);
        let hostile = [
            "",
            " ",
            "../secrets/x",
            "a/b",
            "a b",
            "a\nb",
            "a?b",
            "a#b",
            "a%2fb",
            "k\u{e9}y",
            "a.b",
            &long,
            "https://unit.vault.azure.net/keys/",
            "https://unit.vault.azure.net/keys/a/0123",
            "https://unit.vault.azure.net/keys/../x",
            "https://unit.vault.azure.net/keys/a?x=y",
        ];
        for id in hostile {
            let error = vault().name_in(&KeyId::from(id)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{id:?}");
        }
        for id in [
            "https://other.vault.azure.net/keys/a",
            "https://unit.vault.azure.net.evil.example/keys/a",
            "http://unit.vault.azure.net/keys/a",
            "https://unit.vault.azure.net@evil.example/keys/a",
            "https://unit.vault.azure.net/secrets/a",
        ] {
            let error = vault().name_in(&KeyId::from(id)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyNotFound, "{id:?}");
        }
    }

    #[test]
    fn only_the_asked_key_of_this_vault_gives_a_version() {
        let (vault, name) = (vault(), KeyName::parse("app").unwrap());
        let version = vault.version_in("https://unit.vault.azure.net/keys/App/0f", &name);
        assert_eq!(version.unwrap().as_str(), "0f");
        for kid in [
            "https://other.vault.azure.net/keys/app/0f",
            "https://unit.vault.azure.net/keys/other/0f",
            "https://unit.vault.azure.net/secrets/app/0f",
            "https://unit.vault.azure.net/keys/app",
            "https://unit.vault.azure.net/keys/app/",
            "https://unit.vault.azure.net/keys/app/0f/x",
            "app/0f",
            "",
        ] {
            assert_eq!(vault.version_in(kid, &name), None, "{kid}");
        }
    }

    #[test]
    fn addresses_that_are_no_vaults_are_refused() {
        for address in [
            "",
            "unit",
            "http://unit.vault.azure.net",
            "https://",
            "https://user@unit.vault.azure.net",
            "https://unit.vault.azure.net/keys",
            "https://unit.vault.azure.net/?a=b",
            "ftp://x",
            "https://u#f",
        ] {
            assert_eq!(
                Vault::parse(address).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{address}"
            );
        }
    }
}
