//! CryptoEngine: every function round-trips, draws its own nonce, and fails in one way.

use std::sync::Arc;

use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::engine::CryptoEngine;
use vault_crypto_core::kdf::{Argon2Params, KdfParams};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, RandomSource, Result};

const KEY: [u8; 32] = [7; 32];

fn engines() -> impl Iterator<Item = CryptoEngine> {
    AeadBackend::available().iter().map(|backend| CryptoEngine::new().with_backend(*backend))
}

#[test]
fn aes_256_gcm_opens_what_it_sealed_and_nothing_else() {
    for engine in engines() {
        let (ct, nonce, tag) = engine.aes_256_gcm_encrypt(&KEY, b"data", Some(b"aad")).unwrap();
        let open = |key: &[u8], aad| engine.aes_256_gcm_decrypt(key, &ct, &nonce, &tag, aad);
        assert_eq!(open(&KEY, Some(b"aad")).unwrap().as_slice(), b"data");
        assert_not_authentic(open(&KEY, None));
        assert_not_authentic(open(&[8; 32], Some(b"aad")));
        assert_eq!(open(&[7; 16], Some(b"aad")).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn chacha20_poly1305_opens_what_it_sealed_and_nothing_else() {
    for engine in engines() {
        let (ct, nonce, tag) = engine.chacha20_poly1305_encrypt(&KEY, b"data", None).unwrap();
        let open = |key: &[u8], aad| engine.chacha20_poly1305_decrypt(key, &ct, &nonce, &tag, aad);
        assert_eq!(open(&KEY, None).unwrap().as_slice(), b"data");
        assert_eq!(open(&KEY, Some(b"")).unwrap().as_slice(), b"data");
        assert_not_authentic(open(&KEY, Some(b"aad")));
    }
}

#[test]
fn xaes_opens_what_it_sealed_and_nothing_else() {
    for engine in engines() {
        let sealed = engine.xaes_256_gcm_encrypt(&KEY, b"data", Some(b"aad")).unwrap();
        assert_eq!(sealed.len(), 72 + 4);
        let open = |sealed: &[u8]| engine.xaes_256_gcm_decrypt(&KEY, sealed, Some(b"aad"));
        assert_eq!(open(&sealed).unwrap().as_slice(), b"data");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert_not_authentic(open(&bad));
            let kind = open(&sealed[..at]).unwrap_err().kind();
            let expected =
                if at < 72 { ErrorKind::Malformed } else { ErrorKind::AuthenticationFailed };
            assert_eq!(kind, expected, "cut at {at}");
        }
    }
}

#[test]
fn a256cbc_hs512_opens_what_it_sealed_and_nothing_else() {
    let engine = CryptoEngine::new();
    let key = [7; 64];
    let (ct, iv, tag) = engine.a256cbc_hs512_encrypt(&key, b"data", Some(b"aad")).unwrap();
    let open = |key: &[u8], aad| engine.a256cbc_hs512_decrypt(key, &ct, &iv, &tag, aad);
    assert_eq!(open(&key, Some(b"aad")).unwrap().as_slice(), b"data");
    assert_not_authentic(open(&key, None));
    assert_eq!(open(&KEY, None).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn sealing_twice_gives_different_messages() {
    let engine = CryptoEngine::new();
    let gcm = || engine.aes_256_gcm_encrypt(&KEY, b"data", None).unwrap();
    let xaes = || engine.xaes_256_gcm_encrypt(&KEY, b"data", None).unwrap();
    let cbc = || engine.a256cbc_hs512_encrypt(&[7; 64], b"data", None).unwrap();
    assert_ne!(gcm(), gcm());
    assert_ne!(xaes(), xaes());
    assert_ne!(cbc(), cbc());
    assert_ne!(engine.generate_nonce().unwrap(), engine.generate_nonce().unwrap());
    assert_ne!(engine.generate_key().unwrap(), engine.generate_key().unwrap().as_slice());
}

#[derive(Debug)]
struct BrokenRandom;

impl RandomSource for BrokenRandom {
    fn fill(&self, _: &mut [u8]) -> Result<()> {
        Err(CryptoError::new(ErrorKind::Internal, Operation::Primitive))
    }
}

#[test]
fn nothing_is_sealed_or_made_without_randomness() {
    let engine = CryptoEngine::with_random(Arc::new(BrokenRandom));
    assert!(engine.aes_256_gcm_encrypt(&KEY, b"data", None).is_err());
    assert!(engine.chacha20_poly1305_encrypt(&KEY, b"data", None).is_err());
    assert!(engine.xaes_256_gcm_encrypt(&KEY, b"data", None).is_err());
    assert!(engine.a256cbc_hs512_encrypt(&[7; 64], b"data", None).is_err());
    assert!(engine.generate_key().is_err());
    assert!(engine.generate_nonce().is_err());
    assert!(engine.generate_salt().is_err());
    assert!(engine.random_bytes(1).is_err());
}

#[test]
fn derivations_are_deterministic_and_separated_by_info() {
    let engine = CryptoEngine::new();
    let one = engine.hkdf_derive(&KEY, Some(b"salt"), b"one", 42).unwrap();
    assert_eq!(one, engine.hkdf_derive(&KEY, Some(b"salt"), b"one", 42).unwrap());
    assert_ne!(one, engine.hkdf_derive(&KEY, Some(b"salt"), b"two", 42).unwrap());
    assert_eq!(one.len(), 42);
    assert!(engine.hkdf_derive(&KEY, None, b"", 255 * 32).is_ok());
    for length in [255 * 32 + 1, usize::MAX] {
        let error = engine.hkdf_derive(&KEY, None, b"", length).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let params = KdfParams::Argon2id(Argon2Params::new(64, 1, 1));
    let derive = |salt| engine.derive_from_password(&params, b"password", salt).unwrap();
    assert_eq!(derive(&[1; 16]), derive(&[1; 16]));
    assert_ne!(derive(&[1; 16]), derive(&[2; 16]));
}

#[test]
fn equal_bytes_compare_equal_and_lengths_count() {
    assert!(CryptoEngine::constant_time_eq(b"abc", b"abc"));
    assert!(!CryptoEngine::constant_time_eq(b"abc", b"abd"));
    assert!(!CryptoEngine::constant_time_eq(b"abc", b"ab"));
    assert!(CryptoEngine::constant_time_eq(b"", b""));
}

fn assert_not_authentic<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::AuthenticationFailed, None));
}
