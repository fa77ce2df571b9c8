//! Using keys: what is bound, and what an altered or misdirected input answers.

use pollster::block_on;
use vault_crypto_core::{
    ErrorKind, KeyId, KeyVersion, KmsAdmin, KmsProvider, RotateOptions, WrapContext, WrapKind,
    WrappedKey,
};

use super::support::{Store, acme, key, kind, scope, secret};

#[test]
fn answers_name_the_canonical_id_and_version_whichever_way_the_key_is_named() {
    let (_store, kms) = Store::new();
    let canonical = kms.key_id("default");
    assert_eq!(canonical.as_str(), format!("local:{}#default", kms.store_id()));
    assert_eq!(kms.store_id().len(), 16);
    for name in [key("default"), canonical.clone()] {
        let data_key = block_on(kms.generate_data_key(&name, &acme())).unwrap();
        assert_eq!(data_key.wrapped().key_id, canonical);
        assert_eq!(data_key.wrapped().version.as_str(), "1");
        assert_eq!(block_on(kms.describe_key(&name)).unwrap().key_id, canonical);
    }
}

#[test]
fn every_altered_bit_of_a_wrapped_key_is_authentication_failed() {
    let (_store, kms) = Store::new();
    let wrapped =
        block_on(kms.wrap_data_key(&key("default"), &secret(b"payload"), &acme())).unwrap();
    for bit in 0..wrapped.bytes.len() * 8 {
        let mut altered = wrapped.clone();
        altered.bytes[bit / 8] ^= 1 << (bit % 8);
        let opened = block_on(kms.decrypt_data_key(&altered, &acme()));
        assert_eq!(kind(opened), ErrorKind::AuthenticationFailed, "bit {bit}");
    }
    for len in 0..wrapped.bytes.len() {
        let mut cut = wrapped.clone();
        cut.bytes.truncate(len);
        let opened = block_on(kms.decrypt_data_key(&cut, &acme()));
        assert_eq!(kind(opened), ErrorKind::AuthenticationFailed, "length {len}");
    }
}

#[test]
fn another_scope_another_role_and_another_key_do_not_open() {
    let (_store, kms) = Store::new();
    block_on(kms.create_key(vault_crypto_core::KeyConfig::new("other"))).unwrap();
    let wrapped =
        block_on(kms.wrap_data_key(&key("default"), &secret(b"payload"), &acme())).unwrap();
    let moved = WrapContext::data_key(scope("evil"));
    let share = WrapContext::new(WrapKind::Share, scope("acme"));
    for context in [moved, share] {
        let opened = block_on(kms.decrypt_data_key(&wrapped, &context));
        assert_eq!(kind(opened), ErrorKind::AuthenticationFailed);
    }
    let misdirected = WrappedKey::new(wrapped.bytes, kms.key_id("other"), wrapped.version);
    let opened = block_on(kms.decrypt_data_key(&misdirected, &acme()));
    assert_eq!(kind(opened), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_stored_version_is_compared_and_its_absence_is_bridged() {
    let (_store, kms) = Store::new();
    let default = key("default");
    let old = block_on(kms.wrap_data_key(&default, &secret(b"payload"), &acme())).unwrap();
    block_on(kms.rotate_key(&default, RotateOptions::now())).unwrap();
    let with = |version: &str| {
        let version = KeyVersion::new(version).unwrap();
        let wrapped = WrappedKey::new(old.bytes.clone(), old.key_id.clone(), version);
        block_on(kms.decrypt_data_key(&wrapped, &acme()))
    };
    assert_eq!(with("1").unwrap().as_slice(), b"payload");
    assert_eq!(with("").unwrap().as_slice(), b"payload");
    for wrong in ["2", "3", "01", "abc"] {
        assert_eq!(kind(with(wrong)), ErrorKind::AuthenticationFailed, "{wrong}");
    }
}

#[test]
fn a_version_that_the_store_never_had_is_key_not_found() {
    let (store, kms) = Store::new();
    let before = std::fs::read(store.file("keys.vks")).unwrap();
    let generation = std::fs::read(store.file("generation")).unwrap();
    block_on(kms.rotate_key(&key("default"), RotateOptions::now())).unwrap();
    let new = block_on(kms.wrap_data_key(&key("default"), &secret(b"payload"), &acme())).unwrap();
    drop(kms);
    // The whole folder put back, as from a copy: it cannot be noticed, but it can be explained.
    std::fs::write(store.file("keys.vks"), before).unwrap();
    std::fs::write(store.file("generation"), generation).unwrap();
    let opened = block_on(store.open().unwrap().decrypt_data_key(&new, &acme()));
    assert_eq!(kind(opened), ErrorKind::KeyNotFound);
}

#[test]
fn keys_of_other_stores_and_unknown_names_are_key_not_found() {
    let (_store, kms) = Store::new();
    let (_other_store, other) = Store::new();
    let theirs = block_on(other.generate_data_key(&key("default"), &acme())).unwrap();
    for unknown in [
        other.key_id("default"),
        key("missing"),
        key("no name at all"),
        key("local:"),
        key("arn:aws:kms:eu-central-1:1:key/1"),
        KeyId::new(format!("{}x", kms.key_id("default"))),
    ] {
        let answer = block_on(kms.generate_data_key(&unknown, &acme()));
        assert_eq!(kind(answer), ErrorKind::KeyNotFound, "{unknown}");
    }
    let opened = block_on(kms.decrypt_data_key(theirs.wrapped(), &acme()));
    assert_eq!(kind(opened), ErrorKind::KeyNotFound);
}

#[test]
fn one_to_4096_bytes_are_wrapped_and_nothing_else() {
    let (_store, kms) = Store::new();
    let wrap = |len: usize| {
        let plaintext = secret(&vec![7; len]);
        block_on(kms.wrap_data_key(&key("default"), &plaintext, &acme()))
    };
    for len in [0, 4_097] {
        assert_eq!(kind(wrap(len)), ErrorKind::InvalidInput);
    }
    for len in [1, 4_096] {
        let opened = block_on(kms.decrypt_data_key(&wrap(len).unwrap(), &acme())).unwrap();
        assert_eq!(opened.as_slice(), vec![7; len]);
    }
}

#[test]
fn rewrapping_after_a_rotation_gives_the_same_bytes_under_the_new_version() {
    let (_store, kms) = Store::new();
    let default = key("default");
    let data_key = block_on(kms.generate_data_key(&default, &acme())).unwrap();
    block_on(kms.rotate_key(&default, RotateOptions::now())).unwrap();
    let moved = block_on(kms.rewrap_data_key(data_key.wrapped(), &default, &acme())).unwrap();
    assert_eq!(moved.version.as_str(), "2");
    assert_eq!(&block_on(kms.decrypt_data_key(&moved, &acme())).unwrap(), data_key.plaintext());
    // And the old form still opens.
    let old = block_on(kms.decrypt_data_key(data_key.wrapped(), &acme())).unwrap();
    assert_eq!(&old, data_key.plaintext());
}

#[test]
fn payloads_are_bound_to_key_and_scope_and_never_open_as_wrapped_keys() {
    let (_store, kms) = Store::new();
    let default = key("default");
    let sealed = block_on(kms.encrypt(&default, b"payload", &scope("acme"))).unwrap();
    let open = |bytes: &[u8], tenant: &str| block_on(kms.decrypt(&default, bytes, &scope(tenant)));
    assert_eq!(open(&sealed, "acme").unwrap().as_slice(), b"payload");
    assert_eq!(kind(open(&sealed, "evil")), ErrorKind::AuthenticationFailed);
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(kind(open(&altered, "acme")), ErrorKind::AuthenticationFailed, "bit {bit}");
    }
    for bytes in [&b""[..], &sealed[..75], &vec![0; 4_096 + 77]] {
        assert_eq!(kind(open(bytes, "acme")), ErrorKind::Malformed);
    }

    let as_key = WrappedKey::new(sealed[4..].to_vec(), kms.key_id("default"), 1.into());
    let opened = block_on(kms.decrypt_data_key(&as_key, &acme()));
    assert_eq!(kind(opened), ErrorKind::AuthenticationFailed);
    let wrapped = block_on(kms.wrap_data_key(&default, &secret(b"payload"), &acme())).unwrap();
    let as_payload = [&1u32.to_be_bytes()[..], &wrapped.bytes].concat();
    assert_eq!(kind(open(&as_payload, "acme")), ErrorKind::AuthenticationFailed);
}
