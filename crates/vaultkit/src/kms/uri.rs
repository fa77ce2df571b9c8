//! KMS URIs, as users of Tink and go-cloud know them: `local:PATH#KEY`, and the schemes of services to
//! come. Parsing only; nothing is opened here.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation, Result};

/// Schemes that are spoken for, and the crates that will bring them.
const LATER: [(&str, &str); 4] = [
    ("aws-kms", "vault-kms-aws"),
    ("gcp-kms", "vault-kms-gcp"),
    ("hcvault", "vault-kms-hashicorp"),
    ("azurekeyvault", "vault-kms-azure"),
];

/// Which service, and which of its keys.
///
/// ```
/// use vaultkit::kms::KmsUri;
/// let KmsUri::Local { folder, key } = "local:/srv/keys#orders".parse()? else { unreachable!() };
/// assert_eq!(folder, std::path::Path::new("/srv/keys"));
/// assert_eq!(key.unwrap().as_str(), "orders");
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
}

impl KmsUri {
    /// Parses a URI whose path need not be UTF-8.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is no such URI; [`ErrorKind::Unsupported`] for a scheme whose
    /// crate is still to come, naming the crate.
    pub fn parse(uri: &OsStr) -> Result<Self> {
        let bytes = uri.as_encoded_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let Some((scheme, rest)) = colon.and_then(|at| bytes.split_at_checked(at)) else {
            return Err(invalid("a KMS URI has a scheme, such as local:PATH#KEY"));
        };
        let scheme = std::str::from_utf8(scheme).unwrap_or_default();
        if let Some((_, its_crate)) = LATER.iter().find(|(later, _)| *later == scheme) {
            return Err(super::not_built(format!(
                "{scheme} is not in this build; the crate {its_crate} will bring it"
            )));
        }
        if scheme != "local" {
            return Err(invalid("an unknown KMS scheme; write local:PATH#KEY"));
        }
        parse_local(rest.get(1..).unwrap_or_default())
    }
}

impl FromStr for KmsUri {
    type Err = CryptoError;

    fn from_str(uri: &str) -> Result<Self> {
        Self::parse(OsStr::new(uri))
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

fn invalid(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(uri: &str) -> (PathBuf, Option<KeyId>) {
        let KmsUri::Local { folder, key } = uri.parse().unwrap();
        (folder, key)
    }

    #[test]
    fn the_key_is_what_follows_the_last_hash() {
        assert_eq!(local("local:keys"), ("keys".into(), None));
        assert_eq!(local("local:/a b/c#orders"), ("/a b/c".into(), Some("orders".into())));
        assert_eq!(local("local:a#b#c"), ("a#b".into(), Some("c".into())));
        assert_eq!(local("local:///srv/keys").0, PathBuf::from("/srv/keys"));
    }

    #[test]
    fn what_names_no_store_is_refused() {
        for uri in ["", "keys", "local:", "local:#k", "local:a#", "local://a/b", "s3:x", "/a:b"] {
            assert_eq!(uri.parse::<KmsUri>().unwrap_err().kind(), ErrorKind::InvalidInput, "{uri}");
        }
    }

    #[test]
    fn a_service_to_come_is_unsupported_and_its_crate_named() {
        for (uri, name) in [
            ("aws-kms://arn:aws:kms:eu-central-1:1:alias/app", "vault-kms-aws"),
            ("gcp-kms://projects/p", "vault-kms-gcp"),
            ("hcvault://vault/app", "vault-kms-hashicorp"),
            ("azurekeyvault://v/keys/k", "vault-kms-azure"),
        ] {
            let error = uri.parse::<KmsUri>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(name));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_need_not_be_utf8() {
        use std::os::unix::ffi::OsStrExt as _;
        let KmsUri::Local { folder, key } =
            KmsUri::parse(OsStr::from_bytes(b"local:/k\xff#a")).unwrap();
        assert_eq!(folder.as_os_str().as_bytes(), b"/k\xff");
        assert_eq!(key, Some("a".into()));
    }
}
