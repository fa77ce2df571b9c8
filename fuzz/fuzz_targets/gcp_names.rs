//! Names of Google's keys: what is accepted is plain, its canonical id stays itself, and a version's number
//! comes back from its name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::KeyId;
use vaultkit_fuzz::assert_plain;

#[path = "../../crates/vault-kms-gcp/src/names.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod names;
use names::{KeyName, RingName};

/// The crate's own has the SDK's errors, too.
mod error {
    use vault_crypto_core::{CryptoError, ErrorKind, Operation};

    pub(crate) fn invalid(detail: &'static str) -> CryptoError {
        CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail)
    }
}

const RING: &str = "projects/p/locations/l/keyRings/r";

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (asked, told) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(ring) = RingName::parse(asked) {
        assert_plain(ring.as_str());
        assert_eq!(RingName::parse(ring.as_str()).expect("accepted before"), ring);
        assert!(asked.ends_with(ring.as_str()) && ring.as_str().starts_with(ring.location()));
    }
    let ring = RingName::parse(RING).expect("a constant");
    let Ok(key) = KeyName::parse(&KeyId::new(asked), &ring) else { return };
    let id = key.key_id();
    assert_plain(id.as_str());
    id.check().expect("it can stand in a header");
    assert_eq!(KeyName::parse(&id, &ring).expect("canonical").as_str(), key.as_str());
    let own = RingName::parse(key.ring()).expect("a key is in a ring");
    assert_eq!(own.key(key.id()).expect("its name").as_str(), key.as_str());
    if let Some(number) = key.number_in(told) {
        assert_eq!(key.version(number), told);
        assert_eq!(names::version(number).as_str(), number.to_string());
    }
    assert!(!key.is_by_another_project_name(key.as_str()));
    let _ = key.is_by_another_project_name(told);
});
