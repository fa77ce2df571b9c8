//! Names of key rings, keys and key versions. Nothing that is not a name goes into a request.
//!
//! <https://cloud.google.com/kms/docs/resource-hierarchy>: ring and key match `[a-zA-Z0-9_-]{1,63}`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tonic::metadata::{Ascii, MetadataValue};
use vault_crypto_core::{KeyId, KeyVersion, Result};

use crate::error::invalid;

/// Scheme of key URIs; a key id is taken with and without it.
const SCHEME: &str = "gcp-kms://";
/// Most names that are kept: nobody uses more keys at a time, and who tries names fills no memory.
const MAX_KNOWN: usize = 256;

/// `projects/P/locations/L/keyRings/R`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RingName {
    name: String,
    location_len: usize,
}

impl RingName {
    /// Takes a full name, with or without the scheme.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let name = name.strip_prefix(SCHEME).unwrap_or(name);
        let segments: Vec<&str> = name.splitn(7, '/').collect();
        match segments.as_slice() {
            ["projects", project, "locations", location, "keyRings", ring]
                if is_project(project) && is_id(location) && is_id(ring) =>
            {
                let location_len = "projects//locations/".len() + project.len() + location.len();
                Ok(Self { name: name.to_owned(), location_len })
            }
            _ => Err(invalid("a key ring is named projects/P/locations/L/keyRings/R")),
        }
    }

    /// The ring of these parts.
    #[cfg(feature = "admin")]
    pub(crate) fn new(project: &str, location: &str, ring: &str) -> Result<Self> {
        Self::parse(&format!("projects/{project}/locations/{location}/keyRings/{ring}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.name
    }

    /// `projects/P/locations/L`.
    pub(crate) fn location(&self) -> &str {
        self.name.get(..self.location_len).unwrap_or_default()
    }

    /// The last part alone.
    #[cfg(feature = "admin")]
    pub(crate) fn id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// A key of this ring.
    pub(crate) fn key(&self, id: &str) -> Result<KeyName> {
        if !is_id(id) {
            return Err(invalid(
                "a key is named by 1 to 63 letters, digits, - and _, or in full: projects/P/locations/L/keyRings/R/cryptoKeys/K",
            ));
        }
        let name = [&self.name, "/cryptoKeys/", id].concat();
        let routing = routing("name", &name);
        Ok(KeyName(Arc::new(Parts {
            name,
            routing,
            #[cfg(any(test, feature = "admin"))]
            ring_len: self.name.len(),
        })))
    }
}

impl fmt::Display for RingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// `projects/P/locations/L/keyRings/R/cryptoKeys/K`, the canonical key id.
#[derive(Debug, Clone)]
pub(crate) struct KeyName(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    name: String,
    routing: Option<MetadataValue<Ascii>>,
    #[cfg(any(test, feature = "admin"))]
    ring_len: usize,
}

impl KeyName {
    /// Takes a full name, with or without the scheme, or a bare name in `ring`; never a version.
    pub(crate) fn parse(key_id: &KeyId, ring: &RingName) -> Result<Self> {
        key_id.check()?;
        let name = key_id.as_str();
        let full = name.strip_prefix(SCHEME).unwrap_or(name);
        if !full.contains('/') && full.len() == name.len() {
            return ring.key(full);
        }
        match full.split_once("/cryptoKeys/") {
            Some((own, key)) if own == ring.as_str() && is_id(key) => ring.key(key),
            Some((ring, key))
                if key.contains("/cryptoKeyVersions/") && RingName::parse(ring).is_ok() =>
            {
                Err(invalid("name the key, not one of its versions: the service finds the version"))
            }
            Some((ring, key)) => RingName::parse(ring)?.key(key),
            None => Err(invalid("a key is named projects/P/locations/L/keyRings/R/cryptoKeys/K")),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0.name
    }

    /// The header that brings a request with it in the field `name` to the right region.
    pub(crate) fn routing(&self) -> Option<MetadataValue<Ascii>> {
        self.0.routing.clone()
    }

    /// The name of the ring that it is in.
    #[cfg(feature = "admin")]
    pub(crate) fn ring(&self) -> &str {
        self.0.name.get(..self.0.ring_len).unwrap_or_default()
    }

    #[cfg(any(test, feature = "admin"))]
    pub(crate) fn id(&self) -> &str {
        self.0.name.get(self.0.ring_len + "/cryptoKeys/".len()..).unwrap_or_default()
    }

    pub(crate) fn key_id(&self) -> KeyId {
        KeyId::new(self.0.name.clone())
    }

    #[cfg(feature = "admin")]
    pub(crate) fn version(&self, number: u64) -> String {
        format!("{}/cryptoKeyVersions/{number}", self.0.name)
    }

    /// Whether `answered` is this key's name, or one of its versions', but for the project, which is a number in
    /// one of them and an id in the other.
    pub(crate) fn is_by_another_project_name(&self, answered: &str) -> bool {
        let parts = |name: &'_ str| {
            let (project, rest) = name.strip_prefix("projects/")?.split_once('/')?;
            Some((project.bytes().all(|b| b.is_ascii_digit()), rest.to_owned()))
        };
        let (Some((by_number, own)), Some((other, rest))) = (parts(&self.0.name), parts(answered))
        else {
            return false;
        };
        let version = rest.strip_prefix(own.as_str());
        by_number != other
            && version.is_some_and(|v| v.is_empty() || v.starts_with("/cryptoKeyVersions/"))
    }

    /// The number in the name of one of this key's versions; `None` for any other name.
    pub(crate) fn number_in(&self, version_name: &str) -> Option<u64> {
        let rest = version_name.strip_prefix(self.0.name.as_str())?;
        let digits = rest.strip_prefix("/cryptoKeyVersions/")?;
        let canonical = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        digits.parse().ok().filter(|_| canonical)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

/// The keys that were used, so that each name is looked at once. A name is not secret.
#[derive(Default)]
pub(crate) struct KnownKeys(RwLock<HashMap<KeyId, KeyName>>);

impl KnownKeys {
    /// As [`KeyName::parse`], for the same ring always.
    pub(crate) fn parse(&self, key_id: &KeyId, ring: &RingName) -> Result<KeyName> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(key_id) {
            return Ok(name.clone());
        }
        let room = known.len() < MAX_KNOWN;
        drop(known);
        let name = KeyName::parse(key_id, ring)?;
        if room {
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(key_id.clone(), name.clone());
        }
        Ok(name)
    }
}

/// `field=resource`, percent-encoded (<https://google.aip.dev/client-libraries/4222>): all but letters, digits
/// and `-_.~` (RFC 3986, section 2.3).
pub(crate) fn routing(field: &str, resource: &str) -> Option<MetadataValue<Ascii>> {
    let mut header = Vec::with_capacity(field.len() + resource.len() + 32);
    header.extend_from_slice(field.as_bytes());
    header.push(b'=');
    for byte in resource.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                header.push(byte);
            }
            _ => header.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    MetadataValue::try_from(header).ok()
}

fn hex(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'A' - 10 }
}

/// A version's number as the slot says it: decimal (docs/FORMAT.md section 6.2).
pub(crate) fn version(number: u64) -> KeyVersion {
    KeyVersion::new(number.to_string()).unwrap_or_default()
}

fn is_id(id: &str) -> bool {
    (1..=63).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// A project's id or number; old ones have a domain in front (`example.com:project`).
fn is_project(project: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    (1..=128).contains(&project.len())
        && project.bytes().all(allowed)
        && project.bytes().any(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RING: &str = "projects/p-1/locations/europe-west3/keyRings/prod";

    fn ring() -> RingName {
        RingName::parse(RING).unwrap()
    }

    #[test]
    fn a_key_has_one_name_however_it_is_written() {
        let full = format!("{RING}/cryptoKeys/cards");
        for written in ["cards".to_owned(), full.clone(), format!("gcp-kms://{full}")] {
            let key = KeyName::parse(&KeyId::new(written), &ring()).unwrap();
            assert_eq!((key.as_str(), key.id()), (full.as_str(), "cards"));
        }
        assert_eq!(ring().location(), "projects/p-1/locations/europe-west3");
        let other = "projects/example.com:old/locations/global/keyRings/r/cryptoKeys/k";
        assert_eq!(KeyName::parse(&KeyId::new(other), &ring()).unwrap().as_str(), other);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let hostile = [
            String::new(),
            "../cards".into(),
            "cards key".into(),
            "cards\n".into(),
            "cards?x=1".into(),
            "cards#1".into(),
            "cards%2f..".into(),
            "schlüssel".into(),
            "k".repeat(64),
            "k".repeat(10_240),
            format!("{RING}/cryptoKeys/"),
            format!("{RING}/cryptoKeys/cards/"),
            format!("{RING}/cryptoKeys/../cards"),
            format!("{RING}/cryptoKeys/cards/cryptoKeyVersions/1"),
            format!("{RING}/importJobs/cards"),
            format!("/{RING}/cryptoKeys/cards"),
            format!("https://cloudkms.googleapis.com/v1/{RING}/cryptoKeys/cards"),
            "projects/../locations/global/keyRings/r/cryptoKeys/k".into(),
            "projects/p&x=y/locations/global/keyRings/r/cryptoKeys/k".into(),
            "gcp-kms://cards".into(),
        ];
        for name in hostile {
            let refused = KeyName::parse(&KeyId::new(name.clone()), &ring());
            assert!(refused.is_err(), "{name:?} was taken");
        }
        for name in ["", "projects/p/locations/l", "projects/p/locations/l/keyRings/r/x"] {
            assert!(RingName::parse(name).is_err(), "{name:?} was taken");
        }
    }

    #[test]
    fn resources_are_encoded_for_the_routing_header() {
        let header = routing("name", "projects/example.com:p/x_y-z~\u{e4}").unwrap();
        assert_eq!(header, "name=projects%2Fexample.com%3Ap%2Fx_y-z~%C3%A4");
    }

    #[test]
    fn names_are_kept_but_not_without_end_and_refusals_never() {
        let known = KnownKeys::default();
        for number in 0..1_000 {
            let id = KeyId::new(format!("key-{number}"));
            for _ in 0..2 {
                let name = known.parse(&id, &ring()).unwrap();
                assert_eq!(name.as_str(), format!("{RING}/cryptoKeys/key-{number}"));
            }
            assert!(known.parse(&KeyId::new(format!("../{number}")), &ring()).is_err());
        }
        assert_eq!(known.0.read().unwrap().len(), 256);
    }

    #[test]
    fn only_versions_of_the_key_itself_have_a_number() {
        let key = ring().key("cards").unwrap();
        let number = |name: &str| key.number_in(name);
        assert_eq!(number(&format!("{key}/cryptoKeyVersions/17")), Some(17));
        for other in ["0", "017", "+1", "", "1/x", "99999999999999999999"] {
            assert_eq!(number(&format!("{key}/cryptoKeyVersions/{other}")), None, "{other}");
        }
        assert_eq!(number(&format!("{key}2/cryptoKeyVersions/1")), None);
        let numbered = |name: String| name.replacen("/p-1/", "/123456/", 1);
        for same in [key.to_string(), format!("{key}/cryptoKeyVersions/1")] {
            assert!(key.is_by_another_project_name(&numbered(same.clone())), "{same}");
            assert!(!key.is_by_another_project_name(&same), "{same}");
        }
        for other in [format!("{key}2"), format!("{key}/x"), RING.to_owned(), String::new()] {
            assert!(!key.is_by_another_project_name(&numbered(other.clone())), "{other}");
        }
        assert_eq!(number(key.as_str()), None);
    }
}
