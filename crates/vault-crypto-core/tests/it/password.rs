//! Password hashes: PHC strings strictly read, old hashes only verified.

use proptest::prelude::*;
use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::password::danger::verify_unsalted_sha256;
use vault_crypto_core::password::{hash_password, needs_rehash, verify_password};
use vault_crypto_core::{ErrorKind, SystemRandom};

/// From the tests of the reference implementation, phc-winner-argon2 (CC0-1.0 OR Apache-2.0).
const REFERENCE: &str =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

fn cheap() -> Argon2Params {
    Argon2Params::new(64, 1, 1)
}

#[test]
fn a_hash_of_the_reference_implementation_verifies() {
    assert!(verify_password("password", REFERENCE).unwrap());
    assert!(!verify_password("Password", REFERENCE).unwrap());
}

#[test]
fn a_password_verifies_against_its_own_hash_only() {
    let first = hash_password("correct horse", &cheap(), &SystemRandom::new()).unwrap();
    let second = hash_password("correct horse", &cheap(), &SystemRandom::new()).unwrap();
    assert_ne!(first, second);
    assert!(verify_password("correct horse", &first).unwrap());
    assert!(!verify_password("battery staple", &first).unwrap());
    assert!(!verify_password("", &first).unwrap());
}

#[test]
fn anything_weaker_than_wanted_needs_a_rehash() {
    let stored = hash_password("password", &Argon2Params::new(64, 2, 1), &SystemRandom::new());
    let stored = stored.unwrap();
    assert!(!needs_rehash(&stored, &Argon2Params::new(64, 2, 1)));
    assert!(!needs_rehash(&stored, &Argon2Params::new(32, 1, 1)));
    assert!(needs_rehash(&stored, &Argon2Params::new(65, 2, 1)));
    assert!(needs_rehash(&stored, &Argon2Params::new(64, 3, 1)));
    assert!(needs_rehash(&stored, &Argon2Params::new(64, 2, 2)));
    assert!(needs_rehash(REFERENCE, &Argon2Params::new(64, 1, 1)), "its salt has 8 bytes");
    assert!(needs_rehash("5e884898da28047151d0e56f8dc62927", &cheap()));
}

#[test]
fn a_stored_string_that_is_not_one_of_ours_is_malformed() {
    let good = hash_password("password", &cheap(), &SystemRandom::new()).unwrap();
    let bad = [
        String::new(),
        good.replace("argon2id", "argon2i"),
        good.replace("v=19", "v=16"),
        good.replace("m=64", "m=064"),
        good.replace("m=64,t=1", "t=1,m=64"),
        good.replace("t=1", "t=0"),
        format!("{good}="),
        format!("{good}$"),
        format!(" {good}"),
        good[..good.len() - 2].to_owned(),
        format!("{good}{good}"),
        "$scrypt$ln=17,r=8,p=1$c29tZXNhbHRzb21lc2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8".to_owned(),
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$".to_owned(),
        "$argon2id$v=19$m=64,t=1,p=1$$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8".to_owned(),
    ];
    for stored in bad {
        let error = verify_password("password", &stored).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{stored}");
    }
    let dear = good.replace("m=64", "m=4294967295");
    let error = verify_password("password", &dear).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn an_old_unsalted_sha256_hash_can_be_verified() {
    let hex = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
    assert!(verify_unsalted_sha256("password", hex));
    assert!(verify_unsalted_sha256("password", &hex.to_uppercase()));
    assert!(!verify_unsalted_sha256("Password", hex));
    assert!(!verify_unsalted_sha256("password", &hex[..62]));
    assert!(!verify_unsalted_sha256("password", ""));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}", tail in "[$=,a-zA-Z0-9+/]{0,80}") {
        let wanted = Argon2Params::new(u32::MAX, 1, 1);
        prop_assert!(needs_rehash(&text, &wanted));
        let text = format!("$argon2id$v=19$m=64,t=1,p=1${tail}");
        prop_assert!(needs_rehash(&text, &wanted));
    }
}
