//! KMS URIs, as users of Tink and go-cloud know them: `local:PATH#KEY`, `aws-kms://ARN`,
//! `hcvault://HOST/MOUNT/KEY`, `azurekeyvault://HOST/keys/KEY`, `gcp-kms://projects/...`. Parsing only;
//! nothing is opened here.

#[cfg(feature = "config")]
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
#[cfg(feature = "config")]
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use vault_crypto_core::{KeyId, Result};

use super::options::Options;
use super::{Service, invalid};

/// Which service, and which of its keys.
///
/// ```
/// use vaultkit::kms::{KmsUri, Service};
/// let KmsUri::Local { folder, key } = "local:/srv/keys#orders".parse()? else { unreachable!() };
/// assert_eq!(folder, std::path::Path::new("/srv/keys"));
/// assert_eq!(key.unwrap().as_str(), "orders");
///
/// let KmsUri::Remote(uri) = "hcvault://vault.example.com/transit/app?name=prod".parse()? else { unreachable!() };
/// assert_eq!(uri.service(), Service::HashiCorp);
/// assert_eq!(uri.key().unwrap().as_str(), "app");
/// # Ok::<(), vaultkit::core::CryptoError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KmsUri {
    /// `local:PATH#KEY`: the embedded KMS in a folder. What follows the last `#` is the key.
    Local {
        /// The store's folder.
        folder: PathBuf,
        /// The key, where the URI names one.
        key: Option<KeyId>,
    },
    /// A service across the network.
    Remote(RemoteUri),
}

/// `SCHEME://PLACE?OPTION=VALUE&...` of a service across the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteUri {
    pub(super) service: Service,
    /// Host, host and mount, or key ring; empty for AWS, where the key says it all.
    pub(super) place: String,
    key: Option<KeyId>,
    pub(super) options: Options,
}

impl RemoteUri {
    /// The service.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }

    /// The key, where the URI names one.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// Adds what a configuration file says beside the URI.
    ///
    /// # Errors
    /// `InvalidInput` for an option that this service does not have or that the URI has, too.
    #[cfg(feature = "config")]
    pub(crate) fn with_options(mut self, more: BTreeMap<String, String>) -> Result<Self> {
        for (name, value) in more {
            self.options.add(self.service, name, value)?;
        }
        Ok(self)
    }

    /// The same, with paths as `place` means them.
    ///
    /// # Errors
    /// Those of `place`, and `InvalidInput` for a path that is not Unicode then.
    #[cfg(feature = "config")]
    pub(crate) fn with_paths(mut self, place: impl Fn(&Path) -> Result<PathBuf>) -> Result<Self> {
        self.options.place_paths(place)?;
        Ok(self)
    }
}

impl KmsUri {
    /// Parses a URI whose path need not be UTF-8.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](vault_crypto_core::ErrorKind::InvalidInput) for what is no such URI.
    pub fn parse(uri: &OsStr) -> Result<Self> {
        let bytes = uri.as_encoded_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let Some((scheme, rest)) = colon.and_then(|at| bytes.split_at_checked(at)) else {
            return Err(invalid("a KMS URI has a scheme, such as local:PATH#KEY"));
        };
        let rest = rest.get(1..).unwrap_or_default();
        if scheme == b"local" {
            return parse_local(rest);
        }
        let scheme = std::str::from_utf8(scheme).unwrap_or_default();
        let Some(service) = Service::ALL.iter().find(|service| service.scheme() == scheme) else {
            return Err(invalid(
                "an unknown KMS scheme; there are local, aws-kms, hcvault, azurekeyvault and gcp-kms",
            ));
        };
        let rest = std::str::from_utf8(rest).ok().and_then(|rest| rest.strip_prefix("//"));
        let rest = rest.ok_or_else(|| invalid(service.form()))?;
        parse_remote(*service, rest).map(Self::Remote)
    }
}

impl FromStr for KmsUri {
    type Err = vault_crypto_core::CryptoError;

    fn from_str(uri: &str) -> Result<Self> {
        Self::parse(OsStr::new(uri))
    }
}

fn parse_remote(service: Service, rest: &str) -> Result<RemoteUri> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '%' | '#' | '@');
    if path.contains(strange) || path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(invalid(service.form()));
    }
    let (place, key) = split(service, path).ok_or_else(|| invalid(service.form()))?;
    let mut options = Options::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            invalid("behind the ? of a KMS URI stand options: NAME=VALUE&NAME=VALUE")
        })?;
        options.add(service, name.to_owned(), value.to_owned())?;
    }
    let key = key.map(KeyId::from);
    if let Some(key) = &key {
        key.check()?;
    }
    Ok(RemoteUri { service, place: place.to_owned(), key, options })
}

/// Where the service is, and the key.
fn split(service: Service, path: &str) -> Option<(&str, Option<&str>)> {
    let whole = |text: &str| !text.is_empty() && !text.split('/').any(str::is_empty);
    match service {
        Service::Aws => {
            let key = path.strip_prefix('/').unwrap_or(path);
            Some(("", (!key.is_empty()).then_some(key)))
        }
        // A single name behind the host is the mount; the last of several is the key.
        Service::HashiCorp => {
            let (host, rest) = path.split_once('/')?;
            let Some((mount, key)) = rest.rsplit_once('/') else {
                return (whole(host) && whole(rest)).then_some((path, None));
            };
            let place = path.get(..host.len() + 1 + mount.len())?;
            let place = place.strip_suffix("/keys").unwrap_or(place);
            (whole(place) && place.contains('/') && whole(key)).then_some((place, Some(key)))
        }
        Service::Azure => match path.split_once("/keys/") {
            Some((host, key)) if !key.contains('/') => {
                (whole(host) && !host.contains('/') && whole(key)).then_some((host, Some(key)))
            }
            Some(_) => None,
            None => (whole(path) && !path.contains('/')).then_some((path, None)),
        },
        Service::Gcp => {
            let parts: Vec<&str> = path.split('/').collect();
            match parts.as_slice() {
                ["projects", _, "locations", _, "keyRings", _] if whole(path) => Some((path, None)),
                ["projects", _, "locations", _, "keyRings", _, "cryptoKeys", _] if whole(path) => {
                    let (ring, _) = path.split_once("/cryptoKeys/")?;
                    Some((ring, Some(path)))
                }
                _ => None,
            }
        }
    }
}

fn parse_local(rest: &[u8]) -> Result<KmsUri> {
    let hash = rest.iter().rposition(|byte| *byte == b'#');
    let (path, key) = match hash.and_then(|at| rest.split_at_checked(at)) {
        Some((path, key)) => (path, Some(key.get(1..).unwrap_or_default())),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err(invalid("local: names no folder; write local:PATH#KEY"));
    }
    // `local://keys` would quietly be the folder /keys.
    if path.starts_with(b"//") && !path.starts_with(b"///") {
        return Err(invalid("a local KMS has no host; write local:PATH or local:///PATH"));
    }
    let key = key.map(|key| match std::str::from_utf8(key) {
        Ok(key) if !key.is_empty() => Ok(KeyId::from(key)),
        _ => Err(invalid("the key after # is empty or not UTF-8")),
    });
    Ok(KmsUri::Local { folder: to_path(path)?, key: key.transpose()? })
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn to_path(bytes: &[u8]) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> Result<PathBuf> {
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("the folder is not Unicode"))?;
    Ok(OsString::from(text).into())
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::ErrorKind;

    use super::*;

    fn local(uri: &str) -> (PathBuf, Option<KeyId>) {
        let KmsUri::Local { folder, key } = uri.parse().unwrap() else { panic!("{uri}") };
        (folder, key)
    }

    fn remote(uri: &str) -> (Service, String, Option<String>) {
        let KmsUri::Remote(uri) = uri.parse().unwrap() else { panic!("{uri}") };
        (uri.service, uri.place, uri.key.map(|key| key.to_string()))
    }

    #[test]
    fn the_key_is_what_follows_the_last_hash() {
        assert_eq!(local("local:keys"), ("keys".into(), None));
        assert_eq!(local("local:/a b/c#orders"), ("/a b/c".into(), Some("orders".into())));
        assert_eq!(local("local:a#b#c"), ("a#b".into(), Some("c".into())));
        assert_eq!(local("local:///srv/keys").0, PathBuf::from("/srv/keys"));
    }

    #[test]
    fn a_remote_uri_says_where_and_which_key() {
        let arn = "arn:aws:kms:eu-central-1:111122223333:alias/app";
        let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
        for (uri, service, place, named) in [
            (&*format!("aws-kms://{arn}"), Service::Aws, "", Some(arn)),
            ("aws-kms://alias/app?region=eu-west-1", Service::Aws, "", Some("alias/app")),
            ("aws-kms:///alias/app", Service::Aws, "", Some("alias/app")),
            ("aws-kms://?region=eu-west-1", Service::Aws, "", None),
            (
                "hcvault://v.example:8200/transit/app",
                Service::HashiCorp,
                "v.example:8200/transit",
                Some("app"),
            ),
            ("hcvault://v/transit/keys/app", Service::HashiCorp, "v/transit", Some("app")),
            ("hcvault://v/team/transit/app", Service::HashiCorp, "v/team/transit", Some("app")),
            ("hcvault://v/transit", Service::HashiCorp, "v/transit", None),
            (
                "azurekeyvault://b.vault.azure.net/keys/app",
                Service::Azure,
                "b.vault.azure.net",
                Some("app"),
            ),
            ("azurekeyvault://b.vault.azure.net", Service::Azure, "b.vault.azure.net", None),
            (
                &format!("gcp-kms://{key}"),
                Service::Gcp,
                "projects/p/locations/l/keyRings/r",
                Some(key),
            ),
            (
                "gcp-kms://projects/p/locations/l/keyRings/r",
                Service::Gcp,
                "projects/p/locations/l/keyRings/r",
                None,
            ),
        ] {
            assert_eq!(remote(uri), (service, place.into(), named.map(str::to_owned)), "{uri}");
        }
    }

    #[test]
    fn what_names_no_store_is_refused() {
        for uri in ["", "keys", "local:", "local:#k", "local:a#", "local://a/b", "s3:x", "/a:b"] {
            assert_eq!(uri.parse::<KmsUri>().unwrap_err().kind(), ErrorKind::InvalidInput, "{uri}");
        }
    }

    #[test]
    fn what_is_no_uri_of_its_service_is_refused() {
        for uri in [
            "aws-kms:alias/app",
            "aws-kms://alias/app?region",
            "aws-kms://alias/app?region=a&region=b",
            "aws-kms://alias/app?namespace=x",
            "aws-kms://alias/a b",
            "hcvault://",
            "hcvault://vault",
            "hcvault://vault/",
            "hcvault:///transit/app",
            "hcvault://vault/transit/",
            "hcvault://vault/keys/app",
            "hcvault://vault//app",
            "hcvault://token@vault/transit/app",
            "hcvault://vault/../sys/app",
            "hcvault://vault/transit/a%2fb",
            "azurekeyvault://",
            "azurekeyvault://v/secrets/app",
            "azurekeyvault://v/keys/app/0123",
            "azurekeyvault://v/keys/",
            "gcp-kms://projects/p",
            "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/",
            "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
        ] {
            assert_eq!(uri.parse::<KmsUri>().unwrap_err().kind(), ErrorKind::InvalidInput, "{uri}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt as _;
        let parsed = KmsUri::parse(OsStr::from_bytes(b"local:/k\xff#a")).unwrap();
        let KmsUri::Local { folder, key } = parsed else { panic!("{parsed:?}") };
        assert_eq!(folder.as_os_str().as_bytes(), b"/k\xff");
        assert_eq!(key, Some("a".into()));
    }
}
