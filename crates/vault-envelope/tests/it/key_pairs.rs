//! The text forms of public and private keys.

use vault_crypto_core::{ErrorKind, SecureBytes, SecureString};
use vault_envelope::{PrivateKey, PublicKey};
use vault_testkit::redaction::SecretScan;

use super::people::{rsa, x25519};
use super::support::kind_of;

/// The recipient's key of RFC 9180, appendix A.1.1.
const PRIVATE: &str = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8";
const PUBLIC: &str = "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d";
const PUBLIC_TEXT: &str = "vkpub1qqsrjjx0uzk3mkmft4uqukg8wx2a5mzk2p4syuef099tq272szq4cng4e84uh";
const PRIVATE_TEXT: &str =
    "VK-SECRET-KEY-1QQSYQYK92QNRLJ9DTQM4MUL4274V2VWJDPGFQ0J448ER7GWC2D8G5JQ3UJC0G";

/// A key that OpenSSL made, and `openssl pkey -pubin -outform DER | sha256sum` of it.
const OPENSSL: &str = "-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAss8ZMKJ5nvHen7dCnJ31\n\
RLeb9/e6m+3DOALzd5yXDU7Gc3YWy0EPi4FzGV9wC5Yd+hs6uJgLk2ZoOmqNAKGE\n\
lnS8+Wr9IVhb5rlj2BEiPaj0p5lkEfbkBxMZFNjD0c70a8aAbGLfiGeyHUtj9TOW\n\
yyCXSllsF/a19A0AK54A9lx58k4iHYMWq84RrJMlJcBcYs615o9cCNpCVl2/gZxW\n\
XrOvdxO2MHG8v2gOIxYMcC0qS9ZEZNoNuoAq7kfZPLnCR1BLTmvIgStziLf+24NT\n\
GK/+dubMSGOytL1afjLx7KgFqRCiTC9BTTwlwRfxRUZJV0hai0hSPx6PL/sslArV\n\
lwIDAQAB\n\
-----END PUBLIC KEY-----";
const OPENSSL_ID: &str = "37817be69f715a857bfc879974a27ff4b90cb9ad1e5eaf03ed05b0c638ac5607";

fn read(text: &str) -> Result<PrivateKey, vault_crypto_core::CryptoError> {
    PrivateKey::from_text(&SecureString::new(text))
}

/// Keys are written down and stored: their text never changes.
#[test]
fn a_known_key_has_its_known_text() {
    let bytes = SecureBytes::new(hex::decode(PRIVATE).unwrap());
    let private = PrivateKey::x25519(&bytes).unwrap();
    let public = PublicKey::x25519(hex::decode(PUBLIC).unwrap().try_into().unwrap()).unwrap();
    assert_eq!(private.public_key(), public);
    assert_eq!(public.to_string(), PUBLIC_TEXT);
    assert_eq!(private.to_text().as_str(), PRIVATE_TEXT);
    assert_eq!(read(PRIVATE_TEXT).unwrap().public_key(), public);
    assert_eq!(PUBLIC_TEXT.parse::<PublicKey>().unwrap(), public);
}

#[test]
fn an_rsa_key_of_openssl_keeps_its_name() {
    let key: PublicKey = OPENSSL.parse().unwrap();
    assert_eq!(hex::encode(key.key_id()), OPENSSL_ID);
    assert_eq!(key.to_string(), OPENSSL);
    let windows = OPENSSL.replace('\n', "\r\n");
    assert_eq!(windows.parse::<PublicKey>().unwrap(), key);
}

#[test]
fn keys_come_back_from_their_text() {
    for key in [x25519(), rsa()] {
        let again = PrivateKey::from_text(&key.to_text()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(key.public_key().to_string().parse::<PublicKey>().unwrap(), key.public_key());
        assert_eq!(again.to_text().as_str(), key.to_text().as_str());
    }
}

#[test]
fn a_public_key_is_not_taken_for_a_private_one_nor_the_other_way_round() {
    for key in [x25519(), rsa()] {
        assert_eq!(kind_of(read(&key.public_key().to_string())), ErrorKind::InvalidInput);
        let parsed = key.to_text().as_str().parse::<PublicKey>();
        assert_eq!(kind_of(parsed), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_mistyped_key_is_refused_and_not_shown() {
    for key in [x25519(), rsa()] {
        let text = key.to_text();
        let text = text.as_str();
        let line = text.lines().find(|line| !line.starts_with('-')).unwrap();
        let scan = SecretScan::new(line.trim_start_matches("VK-SECRET-KEY-1").as_bytes());
        let middle = text.len() / 2;
        let cut = text[..text.len() - 1].to_owned();
        let swapped = format!("{}!{}", &text[..middle], &text[middle + 1..]);
        let tail = format!("{text}Q");
        let lower = text.to_lowercase();
        for altered in [cut, swapped, tail, lower, String::new()] {
            let error = read(&altered).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            scan.assert_absent_from_error("a mistyped key", &error);
        }
    }
}

#[test]
fn a_key_of_a_later_sort_is_unsupported() {
    // The same letters with KEM 0x0030 in place of 0x0020.
    let later = "vkpub1qqcrjjx0uzk3mkmft4uqukg8wx2a5mzk2p4syuef099tq272szq4cngmn25z3";
    assert_eq!(kind_of(later.parse::<PublicKey>()), ErrorKind::Unsupported);
}

#[test]
fn keys_that_make_every_secret_the_same_are_refused() {
    for low in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        assert_eq!(kind_of(PublicKey::x25519(low)), ErrorKind::InvalidInput);
    }
    assert_eq!(kind_of(PublicKey::rsa_der(&[0x30, 0])), ErrorKind::InvalidInput);
    let short = SecureBytes::zeroed(31);
    assert_eq!(kind_of(PrivateKey::x25519(&short)), ErrorKind::InvalidInput);
    assert_eq!(kind_of(PrivateKey::rsa_der(short)), ErrorKind::InvalidInput);
}

#[test]
fn private_keys_and_passphrases_do_not_print() {
    for key in [x25519(), rsa()] {
        let text = key.to_text();
        for line in text.as_str().lines().filter(|line| !line.starts_with('-')) {
            let scan = SecretScan::new(line.trim_start_matches("VK-SECRET-KEY-1").as_bytes());
            scan.assert_absent_from_debug("PrivateKey", &key);
        }
    }
    let passphrase = super::people::passphrase("correct horse battery staple");
    let scan = SecretScan::new(b"correct horse battery staple");
    scan.assert_absent_from_debug("Passphrase", &passphrase);
    let recipient = vault_envelope::Recipient::passphrase(passphrase.clone());
    scan.assert_absent_from_debug("Recipient", &recipient);
    let allowed = vault_envelope::AllowedKeys::none().passphrase(passphrase);
    scan.assert_absent_from_debug("AllowedKeys", &allowed);
    let public = vault_envelope::Recipients::all([vault_envelope::Recipient::public_key(
        x25519().public_key(),
    )]);
    let scope = [("tenant", "correct horse battery staple")];
    let producer = vault_envelope::EnvelopeEncryption::to(public).scope(scope).build_producer();
    scan.assert_absent_from_debug("Producer", &producer.unwrap());
}
