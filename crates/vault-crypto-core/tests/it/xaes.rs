//! KC-XAES-256-GCM: published vectors, the accumulated randomized tests, and the commitment.

use shake::Shake128;
use shake::digest::{ExtendableOutput as _, Update as _, XofReader};
use vault_crypto_core::ErrorKind;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::xaes::XaesKey;

#[derive(Default)]
struct Vector {
    key: Vec<u8>,
    nonce: Vec<u8>,
    plaintext: Vec<u8>,
    aad: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../data/xaes-256-gcm-kc.txt");
    let mut vectors = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let value = hex::decode(value.trim()).unwrap();
        if name == "KEY" {
            vectors.push(Vector::default());
        }
        let vector = vectors.last_mut().unwrap();
        match name {
            "KEY" => vector.key = value,
            "NONCE" => vector.nonce = value,
            "IN" => vector.plaintext = value,
            "AD" => vector.aad = value,
            "CT" => vector.ciphertext = value,
            "TAG" => vector.tag = value,
            other => panic!("{other}"),
        }
    }
    vectors
}

#[test]
fn every_backend_passes_the_published_vectors_with_commitment() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 3);
    for backend in AeadBackend::available() {
        for vector in &vectors {
            let key = XaesKey::new(vector.key[..].try_into().unwrap(), *backend);
            let nonce = vector.nonce[..].try_into().unwrap();
            let mut data = vector.plaintext.clone();
            let (commitment, tag) = key.seal_in_place(nonce, &vector.aad, &mut data).unwrap();
            assert_eq!(data, vector.ciphertext);
            assert_eq!([&tag[..], &commitment].concat(), vector.tag);
            key.open_in_place(nonce, &commitment, &vector.aad, &mut data, &tag).unwrap();
            assert_eq!(data, vector.plaintext);
        }
    }
}

/// c2sp.org/XAES-256-GCM, "Accumulated randomized tests".
fn accumulate(backend: AeadBackend, iterations: u32) -> String {
    let mut source = Shake128::default().finalize_xof();
    let mut sink = Shake128::default();
    let mut buffer = [0; 255];
    for _ in 0..iterations {
        let (mut key, mut nonce) = ([0; 32], [0; 24]);
        source.read(&mut key);
        source.read(&mut nonce);
        let mut plaintext = take(&mut source, &mut buffer).to_vec();
        let aad = take(&mut source, &mut buffer);
        let key = XaesKey::new(&key, backend);
        let expected = plaintext.clone();
        let (commitment, tag) = key.seal_in_place(&nonce, aad, &mut plaintext).unwrap();
        sink.update(&plaintext);
        sink.update(&tag);
        key.open_in_place(&nonce, &commitment, aad, &mut plaintext, &tag).unwrap();
        assert_eq!(plaintext, expected);
    }
    let mut digest = [0; 32];
    sink.finalize_xof().read(&mut digest);
    hex::encode(digest)
}

/// One length byte, then that many bytes.
fn take<'a>(source: &mut impl XofReader, buffer: &'a mut [u8; 255]) -> &'a [u8] {
    let mut len = [0];
    source.read(&mut len);
    let taken = &mut buffer[..usize::from(len[0])];
    source.read(taken);
    taken
}

/// 10,000 iterations always, 1,000,000 where `VAULTKIT_LONG_TESTS=1` is set.
#[test]
fn every_backend_passes_the_accumulated_randomized_tests() {
    let short = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
    let long = "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15";
    let is_long = std::env::var("VAULTKIT_LONG_TESTS").as_deref() == Ok("1");
    std::thread::scope(|scope| {
        for backend in AeadBackend::available() {
            scope.spawn(move || {
                assert_eq!(accumulate(*backend, 10_000), short, "{backend:?}");
                if is_long {
                    assert_eq!(accumulate(*backend, 1_000_000), long, "{backend:?}");
                }
            });
        }
    });
}

#[test]
fn a_wrong_commitment_fails_although_the_tag_is_right() {
    for backend in AeadBackend::available() {
        let key = XaesKey::new(&[7; 32], *backend);
        let mut sealed = *b"4111 1111 1111 1111";
        let (commitment, tag) = key.seal_in_place(&[9; 24], b"", &mut sealed).unwrap();
        for bit in 0..256 {
            let (mut data, mut bad) = (sealed, commitment);
            bad[bit / 8] ^= 1 << (bit % 8);
            let error = key.open_in_place(&[9; 24], &bad, b"", &mut data, &tag).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
            assert_eq!(data, [0; 19]);
        }
    }
}

#[test]
fn every_part_of_the_nonce_changes_key_or_ciphertext() {
    let key = XaesKey::new(&[7; 32], AeadBackend::RustCrypto);
    let (message_key, commitment) = key.derive(&[0; 24]);
    for at in 0..24 {
        let mut nonce = [0; 24];
        nonce[at] = 1;
        let (other_key, other_commitment) = key.derive(&nonce);
        assert_eq!(*other_key == *message_key, at >= 12, "byte {at}");
        assert_ne!(other_commitment, commitment, "byte {at}");
    }
}

#[test]
fn debug_shows_no_key() {
    let key = XaesKey::new(&[0xAB; 32], AeadBackend::RustCrypto);
    assert_eq!(format!("{key:?}"), "XaesKey([REDACTED])");
}
