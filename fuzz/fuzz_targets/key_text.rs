//! Keys as text, PEM and DER: no text makes a parser panic, what is accepted is written and read again
//! as the same key, and a line that was mistyped in one place is no key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::{SecureBytes, SecureString};
use vault_envelope::{PrivateKey, PublicKey};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = text.parse::<PublicKey>() {
        // Of a line of letters there is one form; PEM may be broken and indented in any way.
        assert!(text.starts_with("vkpub1") == (key.to_string() == text) || is_pem(&text));
        public(&key);
    }
    if let Ok(key) = PrivateKey::from_text(&SecureString::new(text.clone().into_owned())) {
        assert!(key.to_text().as_str() == text || is_pem(&text));
        private(&key);
    }
    if let Ok(key) = PublicKey::rsa_der(data) {
        public(&key);
    }
    if let Ok(key) = PrivateKey::rsa_der(SecureBytes::new(data.to_vec())) {
        private(&key);
    }
    x25519(data);
});

fn is_pem(text: &str) -> bool {
    text.trim_ascii().starts_with("-----BEGIN ")
}

fn public(key: &PublicKey) {
    let text = key.to_string();
    let again: PublicKey = text.parse().expect("written by us");
    assert_eq!(again.key_id(), key.key_id());
    assert_eq!(again.to_string(), text, "a key has two texts");
}

fn private(key: &PrivateKey) {
    let text = key.to_text();
    let again = PrivateKey::from_text(&text).expect("written by us");
    assert!(again.to_text().as_str() == text.as_str(), "a key has two texts");
    assert_eq!(again.public_key(), key.public_key());
    public(&key.public_key());
    assert!(text.as_str().parse::<PublicKey>().is_err(), "a private key taken for a public one");
}

/// The input as the bytes of a key, and as what was typed wrong in its text.
fn x25519(data: &[u8]) {
    let Some((bytes, typed)) = data.split_first_chunk::<32>() else { return };
    let key = PrivateKey::x25519(&SecureBytes::new(bytes.to_vec())).expect("any 32 bytes are one");
    private(&key);
    if let Ok(key) = PublicKey::x25519(*bytes) {
        public(&key);
        mistyped(&key.to_string(), typed, |text| text.parse::<PublicKey>().is_ok());
    }
    let read = |text: &str| PrivateKey::from_text(&SecureString::new(text.to_owned())).is_ok();
    mistyped(key.to_text().as_str(), typed, read);
}

fn mistyped(text: &str, typed: &[u8], is_key: impl Fn(&str) -> bool) {
    let [place, letter, sort, ..] = *typed else { return };
    let mut altered = text.as_bytes().to_vec();
    let place = usize::from(place) % altered.len();
    match sort % 3 {
        0 => altered[place] = letter & 0x7F,
        1 => altered.insert(place, letter & 0x7F),
        _ => drop(altered.remove(place)),
    }
    let altered = String::from_utf8(altered).expect("ASCII");
    assert!(altered == text || !is_key(&altered), "{altered}");
}
