//! Addresses, mounts and paths: everything that becomes part of a URL is checked here first.
//!
//! Left to others: what the paths mean.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

const MAX_SEGMENT_LEN: usize = 512;
const MAX_PATH_LEN: usize = 2_048;

/// Where the server is, without a path at its end.
#[derive(Clone)]
pub(crate) struct Address {
    /// Scheme, host, port and the prefix that a proxy in front wants; no slash at the end.
    base: String,
    url: Url,
}

impl Address {
    /// Takes `https://`; `http://` only to loopback, or where `plain` says so.
    pub(crate) fn parse(text: &str, plain: bool) -> Result<Self> {
        let url = Url::parse(text).map_err(|_| {
            invalid("the server's address is no URL; write https://vault.example.com:8200")
        })?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare || !url.has_host() {
            return Err(invalid(
                "the server's address is scheme, host, port and path; a login does not belong into it",
            ));
        }
        match url.scheme() {
            "https" => {}
            "http" if plain || is_loopback(&url) => {}
            "http" => {
                return Err(invalid(
                    "plain http would show the token to the network; write https, or allow it by name \
                     (`danger_allow_plain_http`)",
                ));
            }
            _ => return Err(invalid("the server's address begins with https://")),
        }
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), url })
    }

    /// The host, which is the server's name unless it is given another.
    pub(crate) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_ascii_lowercase()
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Whether `other` is the same scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        self.url.scheme() == other.scheme()
            && self.url.host() == other.host()
            && self.url.port_or_known_default() == other.port_or_known_default()
    }

    /// The URL of `path`, which is encoded already.
    pub(crate) fn url(&self, path: &str, query: Option<&str>) -> Option<Url> {
        let question = if query.is_some() { "?" } else { "" };
        let query = query.unwrap_or_default();
        Url::parse(&format!("{}/v1/{path}{question}{query}", self.base)).ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Where an engine or a login method is mounted: `transit`, `team-a/transit`.
///
/// ```
/// use vault_connection::VaultMount;
///
/// assert_eq!(VaultMount::new("/team-a/transit/")?.as_str(), "team-a/transit");
/// assert!(VaultMount::new("../sys").is_err());
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultMount(pub(crate) String);

impl VaultMount {
    /// Checks the path; slashes around it are taken off.
    ///
    /// # Errors
    /// `InvalidInput` unless each part has 1 to 512 letters, digits or `._-`, and is not `.` or `..`.
    pub fn new(path: &str) -> Result<Self> {
        let trimmed = path.trim_matches('/');
        if trimmed.len() > MAX_PATH_LEN || !trimmed.split('/').all(is_plain_segment) {
            return Err(invalid(
                "a mount or namespace is made of letters, digits or ._- with slashes between the parts",
            ));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The path, without slashes around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn system() -> Self {
        Self("sys".to_owned())
    }

    pub(crate) fn auth(&self) -> Self {
        Self(format!("auth/{}", self.0))
    }

    /// The path of `segments` under this mount, percent-encoded.
    ///
    /// # Errors
    /// `InvalidInput` for a segment that is empty, `.` or `..`, too long, or has a slash or a control
    /// character: nothing that a caller passes on can reach another path.
    pub(crate) fn path(&self, segments: &[&str]) -> Result<String> {
        let mut path = self.0.clone();
        for segment in segments {
            check_segment(segment)?;
            path.push('/');
            segment.bytes().for_each(|byte| push_encoded(&mut path, byte));
        }
        if path.len() > MAX_PATH_LEN {
            return Err(invalid("the path has more than 2048 bytes"));
        }
        Ok(path)
    }
}

impl fmt::Display for VaultMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain_segment(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    check_segment(segment).is_ok() && segment.bytes().all(allowed)
}

fn check_segment(segment: &str) -> Result<()> {
    let hostile = segment.is_empty()
        || segment.len() > MAX_SEGMENT_LEN
        || matches!(segment, "." | "..")
        || segment.contains(['/', '\\'])
        || segment.chars().any(char::is_control);
    if hostile {
        return Err(invalid(
            "a part of a path has 1 to 512 bytes, no slash and no control character, and is not . or ..",
        ));
    }
    Ok(())
}

/// RFC 3986, section 2.3: unreserved characters stand for themselves.
fn push_encoded(path: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        path.push(char::from(byte));
        return;
    }
    let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
    path.push('%');
    path.push(char::from(digit(byte >> 4)));
    path.push(char::from(digit(byte)));
}

pub(crate) fn invalid(detail: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_loopback_alone() {
        for good in [
            "https://vault.example.com",
            "http://127.0.0.1:8200",
            "http://[::1]:1",
            "http://localhost/x/",
        ] {
            assert!(Address::parse(good, false).is_ok(), "{good}");
        }
        assert!(Address::parse("http://vault.example.com", false).is_err());
        assert!(Address::parse("http://localhost.example.com", false).is_err());
        assert!(Address::parse("http://vault.example.com", true).is_ok());
    }

    #[test]
    fn an_address_is_nothing_but_an_address() {
        for bad in [
            "",
            "vault:8200",
            "ftp://x",
            "https://u@x",
            "https://u:p@x",
            "https://x/?a",
            "https://x/#a",
            "file:///x",
        ] {
            let error = Address::parse(bad, true).err();
            assert_eq!(error.map(|e| e.kind()), Some(ErrorKind::InvalidInput), "{bad}");
        }
    }

    #[test]
    fn a_prefix_stays_before_the_version() {
        let address = Address::parse("https://gate.example.com/vault/", false).unwrap();
        let url = address.url("sys/health", Some("standbyok=true")).unwrap();
        assert_eq!(url.as_str(), "https://gate.example.com/vault/v1/sys/health?standbyok=true");
    }

    #[test]
    fn no_segment_leaves_its_mount() {
        let mount = VaultMount::new("team/transit").unwrap();
        let long = "k".repeat(10_000);
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0", long.as_str()] {
            assert!(mount.path(&["keys", bad]).is_err(), "{bad:.20}");
        }
        assert_eq!(
            mount.path(&["keys", "a?b#c%2f d"]).unwrap(),
            "team/transit/keys/a%3Fb%23c%252f%20d"
        );
        for bad in ["", "/", "a//b", "a/../b", "a b", "a?b", "a%2fb"] {
            assert!(VaultMount::new(bad).is_err(), "{bad}");
        }
    }
}
