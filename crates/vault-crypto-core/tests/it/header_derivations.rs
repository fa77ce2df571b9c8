//! The derivations of docs/FORMAT.md section 3: known answers that were computed by another program
//! (Python's `hmac` and `hashlib`) from the document, and its worked values.

use vault_crypto_core::derive::{BranchKey, DataKeySecret, body_context, branch_name, share_check};
use vault_crypto_core::header::{Binding, Header, Shape, Slot, SlotKind, Suite, parse};
use vault_crypto_core::{
    EncryptionContext, ErrorKind, KeyId, KeyVersion, Scope, SecureBytes, WrapContext, WrapKind,
};

const SUITES: [Suite; 3] =
    [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305, Suite::KcXaes256Gcm];

fn secret(first: u8) -> DataKeySecret {
    let key: Vec<u8> = (first..first + 32).collect();
    DataKeySecret::new(&SecureBytes::new(key)).unwrap()
}

fn scope() -> Scope {
    Scope::new([("tenant", "acme"), ("table", "cards")]).unwrap()
}

#[test]
fn keys_and_ids_are_the_ones_of_another_program() {
    let secret = secret(0x80);
    let keys = SUITES.map(|suite| hex::encode(secret.body_key(suite)));
    let expected = [
        "f01fa350dbc5cf412abeb26ec1157d6a3af56aa8cdd143994ffc209589c5c58c",
        "4468f97a60894b06e75d760c6a484ba494d26a73480de9a7b95f765e75dda8a0",
        "a04c4dd77287ce32d4c3650208ff971556633195ea8e32851b795d626f199d2a",
    ];
    assert_eq!(keys, expected);
    assert_eq!(hex::encode(secret.id()), "ad6e58d35ebccfcf9ec480c3f195d8cf");
    assert_eq!(hex::encode(branch_name(&scope())), "17b5bbcf1ed1a91d816f4da921e04905");
    let share = std::array::from_fn(|index| index as u8);
    assert_eq!(hex::encode(share_check(&share)), "f788af0a1962d93fdd561d882a3d9f70");
}

#[test]
fn the_header_mac_is_the_one_of_another_program() {
    let covered: Vec<u8> = (0..200).collect();
    let mac = |scope: &Scope| hex::encode(secret(0x80).header_mac(&covered, scope));
    let expected = "d1f0b8cd3ae9d633e91a0b57796e18bfbee99ebe1d51f74695aab001c6fd0976";
    assert_eq!(mac(&scope()), expected);
    let expected = "86a204d81652e40ce51d289b470297bc9fb0e170a5af792f172aca4d7ef407a4";
    assert_eq!(mac(&Scope::empty()), expected);
}

#[test]
fn bound_bytes_are_the_ones_of_another_program() {
    let context = EncryptionContext::from([("row", "42"), ("straße", "")]);
    let suite = Suite::ChunkedChaCha20Poly1305;
    let bound = body_context(suite, Shape::Stream, 1, &scope(), &context).unwrap();
    let expected = "7661756c746b69742e76312f626f64792d636f6e7465787400020201000200057461626c\
                    6500056361726473000674656e616e74000461636d6500020003726f7700023432000773\
                    747261c39f650000";
    assert_eq!(hex::encode(bound), expected);
    let wrap = WrapContext::new(WrapKind::BranchKey, scope()).binding();
    let expected = "7661756c746b69742e76312f6b6d730003000200057461626c6500056361726473000674\
                    656e616e74000461636d65";
    assert_eq!(hex::encode(wrap), expected);
}

/// The first word behind `name` among the worked values of the specification.
fn value_of(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/FORMAT.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, worked) = text.split_once("### 14.2 Worked values").unwrap();
    let line = worked.lines().find(|line| line.starts_with(name)).unwrap();
    line[name.len()..].split_whitespace().next().unwrap().to_owned()
}

#[test]
fn the_worked_values_of_the_specification_hold() {
    let secret = secret(0);
    let scope = Scope::new([("tenant", "acme")]).unwrap();
    let context = EncryptionContext::from([("row", "42"), ("table", "cards")]);
    for suite in SUITES {
        let name = format!("K_body[{}]", suite.code());
        assert_eq!(value_of(&name), hex::encode(secret.body_key(suite)), "{name}");
    }
    assert_eq!(value_of("key id"), hex::encode(secret.id()));
    assert_eq!(value_of("pairs(scope)"), hex::encode(scope.canonical_pairs()));
    assert_eq!(value_of("pairs(context)"), hex::encode(context.canonical_pairs().unwrap()));
    assert_eq!(value_of("branch name"), hex::encode(branch_name(&scope)));
    let wrap = WrapContext::data_key(scope).binding();
    assert_eq!(value_of("S, role 1"), hex::encode(wrap));
}

#[test]
fn a_branch_gives_the_worked_keys_to_its_own_version_id_and_scope() {
    let branch: [u8; 32] = std::array::from_fn(|index| index as u8);
    let id: [u8; 16] = std::array::from_fn(|index| index as u8);
    let scope = Scope::new([("tenant", "acme")]).unwrap();
    let key = BranchKey::new(&branch);
    let data_key = |version, id: &[u8; 16], scope: &Scope| {
        hex::encode(*key.data_key(version, id, scope).into_branch_key())
    };
    let derived = data_key(1, &id, &scope);
    assert_eq!(value_of("branch DK"), derived);
    assert_eq!(value_of("K_wrap"), hex::encode(key.wrap_key()));

    let mut other_id = id;
    other_id[15] ^= 1;
    for other in [
        data_key(2, &id, &scope),
        data_key(1, &other_id, &scope),
        data_key(1, &id, &Scope::empty()),
        hex::encode(key.wrap_key()),
    ] {
        assert_ne!(derived, other);
    }
    assert_eq!(format!("{key:?}"), "BranchKey([REDACTED])");
}

#[test]
fn every_label_gives_another_key() {
    let secret = secret(0x80);
    let mut all: Vec<Vec<u8>> =
        SUITES.iter().map(|suite| secret.body_key(*suite).to_vec()).collect();
    all.push(secret.header_mac(&[], &Scope::empty()).to_vec());
    for (index, key) in all.iter().enumerate() {
        assert!(all.iter().skip(index + 1).all(|other| other != key));
        assert!(!key.starts_with(&secret.id()));
    }
}

#[test]
fn a_header_verifies_under_its_key_and_scope_alone() {
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    let (key_id, version) = (KeyId::from("k"), KeyVersion::from(1));
    header.slots.push(Slot::kms(SlotKind::LOCAL, Binding::Kms, &key_id, version, vec![1]));
    let bytes = secret(0x80).seal_header(&mut header, &scope(), None).unwrap();
    let parsed = parse(&bytes).unwrap();
    assert!(secret(0x80).verify_header(&parsed, &scope()).is_ok());
    let kind = |secret: DataKeySecret, scope: &Scope| {
        secret.verify_header(&parsed, scope).unwrap_err().kind()
    };
    assert_eq!(kind(secret(0x81), &scope()), ErrorKind::AuthenticationFailed);
    assert_eq!(kind(secret(0x80), &Scope::empty()), ErrorKind::AuthenticationFailed);
}

#[test]
fn every_covered_bit_is_under_the_mac_and_versions_and_wrapped_bytes_are_not() {
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    let (key_id, version) = (KeyId::from("k"), KeyVersion::from(1));
    header.slots.push(Slot::kms(SlotKind::LOCAL, Binding::Kms, &key_id, version, vec![1; 9]));
    let bytes = secret(0x80).seal_header(&mut header, &scope(), None).unwrap();
    let end_of_mac = 12 + parse(&bytes).unwrap().covered.len() + 32;
    for bit in 12 * 8..bytes.len() * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let Ok(parsed) = parse(&other) else { continue };
        let verified = secret(0x80).verify_header(&parsed, &scope()).is_ok();
        assert_eq!(verified, bit / 8 >= end_of_mac, "bit {bit}");
    }
}

#[test]
fn a_data_key_has_32_bytes() {
    for len in [0, 16, 31, 33, 64] {
        let error = DataKeySecret::new(&SecureBytes::zeroed(len)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
