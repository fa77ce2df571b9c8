//! Names of resources: taken apart, or refused as `INVALID_ARGUMENT` before anything is looked up.
//!
//! Syntax: <https://cloud.google.com/kms/docs/object-hierarchy> and the regular expressions of
//! `key_ring_id` and `crypto_key_id` in the reference. Left to others: whether the resource exists.

use tonic::Status;

use super::status;

/// Whether it matches `[a-zA-Z0-9_-]{1,63}`.
fn is_id(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A project or a location: what a name can hold of them.
fn is_place(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

fn malformed(what: &str) -> Status {
    status::invalid(&format!("The resource name is not in the format of a {what}."))
}

/// `id` as the last part of a new resource's name.
pub(super) fn new_id<'a>(id: &'a str, field: &str) -> Result<&'a str, Status> {
    if is_id(id) {
        Ok(id)
    } else {
        Err(status::invalid(&format!("The value of {field} must match [a-zA-Z0-9_-]{{1,63}}.")))
    }
}

/// Takes the pairs off `name` that `collections` name, and gives back whether that was all of it.
fn matches(name: &str, collections: &[&str]) -> bool {
    let mut parts = name.split('/');
    let all = collections.iter().all(|collection| {
        let id = if parts.next() == Some(*collection) { parts.next() } else { None };
        id.is_some_and(|id| match *collection {
            "projects" | "locations" => is_place(id),
            _ => is_id(id),
        })
    });
    all && parts.next().is_none()
}

pub(super) fn location(name: &str) -> Result<&str, Status> {
    if matches(name, &["projects", "locations"]) { Ok(name) } else { Err(malformed("location")) }
}

pub(super) fn key_ring(name: &str) -> Result<&str, Status> {
    if is_key_ring(name) { Ok(name) } else { Err(malformed("KeyRing")) }
}

pub(super) fn is_key_ring(name: &str) -> bool {
    matches(name, &["projects", "locations", "keyRings"])
}

pub(super) fn crypto_key(name: &str) -> Result<&str, Status> {
    let whole = ["projects", "locations", "keyRings", "cryptoKeys"];
    if matches(name, &whole) { Ok(name) } else { Err(malformed("CryptoKey")) }
}

/// The key's name and the version's number.
pub(super) fn version(name: &str) -> Result<(&str, u64), Status> {
    key_or_version(name).and_then(|(key, number)| {
        number.map(|number| (key, number)).ok_or_else(|| malformed("CryptoKeyVersion"))
    })
}

/// The key's name, and the version's number where there is one.
pub(super) fn key_or_version(name: &str) -> Result<(&str, Option<u64>), Status> {
    match name.split_once("/cryptoKeyVersions/") {
        None => crypto_key(name).map(|key| (key, None)),
        Some((key, number)) => {
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse().ok().filter(|_| digits && !number.starts_with('0'));
            let number = number.ok_or_else(|| malformed("CryptoKeyVersion"))?;
            crypto_key(key).map(|key| (key, Some(number)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";

    #[test]
    fn a_name_is_taken_whole_or_refused() {
        assert_eq!(crypto_key(KEY).unwrap(), KEY);
        assert_eq!(version(&format!("{KEY}/cryptoKeyVersions/12")).unwrap(), (KEY, 12));
        for wrong in [
            "",
            "k",
            "projects//locations/global/keyRings/r/cryptoKeys/k",
            "projects/p/locations/global/keyRings/r/cryptoKeys/",
            "projects/p/locations/global/keyRings/r/cryptoKeys/../k",
            "projects/p/locations/global/keyRings/r/cryptoKeys/a b",
            "projects/p/locations/global/keyRings/r/cryptoKeys/k/",
            "/projects/p/locations/global/keyRings/r/cryptoKeys/k",
        ] {
            assert!(crypto_key(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "0", "01", "-1", "+1", "1/x", "x"] {
            assert!(version(&format!("{KEY}/cryptoKeyVersions/{wrong}")).is_err(), "{wrong}");
        }
        assert!(crypto_key(&format!("{KEY}{}", "k".repeat(63))).is_err(), "64 characters");
    }
}
