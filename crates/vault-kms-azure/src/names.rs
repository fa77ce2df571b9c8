//! Which vault, and how its keys are named: hostile names end here, before any request.
//!
//! Left to others: whether a key of that name exists.

use azure_core::http::Url;
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result};

/// Longest name of a key in bytes (Key Vault: `^[0-9a-zA-Z-]{1,127}$`).
const MAX_NAME_LEN: usize = 127;
/// Longest version that is put into a request. Key Vault's have 32 hexadecimal digits.
const MAX_VERSION_LEN: usize = 64;
/// Longest address of a vault in bytes, as it is given and as it is written out.
const MAX_VAULT_LEN: usize = 512;
const HTTPS: u16 = 443;

/// The vault that this provider speaks to, and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vault {
    /// `https://host` or `https://host:port`, in lower case.
    origin: String,
    host: String,
    port: u16,
}

/// A key's name inside the vault, in lower case: Key Vault does not tell case apart, key ids do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyName(String);

impl Vault {
    /// Reads `https://name.vault.azure.net`.
    pub(crate) fn parse(address: &str) -> Result<Self> {
        // The parser of URLs takes much that nobody means: `https:host`, `https:\\host`, tabs within.
        let url = Some(address)
            .filter(|address| address.len() <= MAX_VAULT_LEN)
            .filter(|address| strip_scheme(address).is_some_and(is_plain))
            .and_then(|address| Url::parse(address).ok())
            .ok_or_else(not_a_vault)?;
        let nothing_more = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && nothing_more);
        let host = host.ok_or_else(not_a_vault)?.to_owned();
        let shown = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("https://{host}{shown}");
        // An international name grows when it is written out.
        if origin.len() > MAX_VAULT_LEN {
            return Err(not_a_vault());
        }
        Ok(Self { origin, host, port: url.port().unwrap_or(HTTPS) })
    }

    /// Whether `url` leads here.
    pub(crate) fn is_at(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.scheme() == "https" && url.host_str() == Some(&self.host) && port == Some(self.port)
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

/// What follows `https://`.
fn strip_scheme(address: &str) -> Option<&str> {
    let (scheme, rest) = address.split_at_checked("https://".len())?;
    scheme.eq_ignore_ascii_case("https://").then_some(rest)
}

/// A host, perhaps with a port and one `/` at its end.
fn is_plain(rest: &str) -> bool {
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let strange = |c: char| c.is_control() || c.is_whitespace() || ['/', '\\', '@'].contains(&c);
    !host.contains(strange)
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
            "https:unit.vault.azure.net",
            "https:/unit.vault.azure.net",
            "https:///unit.vault.azure.net",
            "https:\\\\unit.vault.azure.net",
            "https://@unit.vault.azure.net",
            "https://unit.vault.azure.net\\",
            "https://unit.vault.azure.net//",
            " https://unit.vault.azure.net",
            "https://unit.va\tult.azure.net",
            "https://unit.vault.azure.net?",
            "https://unit.vault.azure.net#",
        ] {
            assert_eq!(
                Vault::parse(address).unwrap_err().kind(),
                ErrorKind::InvalidInput,
                "{address}"
            );
        }
    }

    #[test]
    fn what_is_taken_as_an_address_is_taken_again_as_it_is_written_out() {
        for address in [
            "https://Unit.Vault.Azure.net",
            "HTTPS://unit.vault.azure.net/",
            "https://unit.vault.azure.net:443",
            "https://unit.vault.azure.net:8443/",
            "https://b\u{fc}cher.example",
            "https://127.0.0.1:8443",
            "https://[::1]",
        ] {
            let vault = Vault::parse(address).unwrap();
            assert_eq!(Vault::parse(vault.origin()).unwrap(), vault, "{address}");
            assert!(vault.is_at(&Url::parse(vault.origin()).unwrap()), "{address}");
        }
        // Each of these letters is written out with several.
        let mut refused = 0;
        for labels in 1..60 {
            let address = format!("https://{}example", "\u{10400}\u{4e00}.".repeat(labels));
            match Vault::parse(&address) {
                Ok(vault) => assert_eq!(Vault::parse(vault.origin()).unwrap(), vault, "{labels}"),
                Err(_) => refused += usize::from(address.len() <= MAX_VAULT_LEN),
            }
        }
        assert!(refused > 0, "none of them grew over the limit");
    }

    #[test]
    fn another_port_of_the_vaults_host_is_not_the_vault() {
        let url = |url: &str| Url::parse(url).unwrap();
        assert!(vault().is_at(&url("https://unit.vault.azure.net:443/keys?x=y")));
        for other in [
            "https://unit.vault.azure.net:8443/keys",
            "http://unit.vault.azure.net:443/keys",
            "https://other.vault.azure.net/keys",
        ] {
            assert!(!vault().is_at(&url(other)), "{other}");
        }
        let elsewhere = Vault::parse("https://unit.vault.azure.net:8443").unwrap();
        assert!(!elsewhere.is_at(&url("https://unit.vault.azure.net/keys")));
        assert!(elsewhere.is_at(&url("https://unit.vault.azure.net:8443/keys")));
    }
}
