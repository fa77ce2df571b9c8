//! The bytes of docs/LOCAL-STORE.md, read by hand: what the page says is what the store writes.

use std::fs;
use std::sync::Arc;

use pollster::block_on;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::kdf::KdfParams;
use vault_crypto_core::mac::hmac_sha512;
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{Clock as _, KeyConfig, KmsAdmin, KmsProvider, RandomSource, Result};
use vault_kms_local::{LocalKms, RestoreOptions};

use super::support::{DAY, Store, acme, cheap, key, passphrase, scope, secret};

/// Keys of one byte, ids, salts and nonces of another.
#[derive(Debug)]
struct Fixed;

impl RandomSource for Fixed {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        out.fill(if out.len() == 32 { KEY_BYTE } else { ID_BYTE });
        Ok(())
    }
}

const KEY_BYTE: u8 = 0xa7;
const ID_BYTE: u8 = 0x11;

/// Opens `nonce || commitment || ciphertext || tag`.
fn unseal(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Vec<u8> {
    let (nonce, rest) = sealed.split_first_chunk::<24>().unwrap();
    let (commitment, rest) = rest.split_first_chunk::<32>().unwrap();
    let (body, tag) = rest.split_last_chunk::<16>().unwrap();
    let mut body = body.to_vec();
    XaesKey::new(key, AeadBackend::RustCrypto)
        .open_in_place(nonce, commitment, aad, &mut body, tag)
        .unwrap();
    body
}

/// `E(root, Lbl(label) || store id)`.
fn derive(root: &[u8], label: &str) -> [u8; 32] {
    let info = [b"vaultkit.v1/", label.as_bytes(), b"\0", &[ID_BYTE; 8], b"\x01"].concat();
    *hmac_sha512(root, &info).first_chunk().unwrap()
}

/// Opens a key file or backup and gives its body.
fn body(bytes: &[u8], root: &[u8]) -> Vec<u8> {
    let (content, checksum) = bytes.split_last_chunk::<32>().unwrap();
    assert_eq!(<sha2::Sha256 as sha2::Digest>::digest(content).as_slice(), checksum);
    let (clear, sealed) = content.split_at(56);
    let len = u32::from_be_bytes(*clear.last_chunk().unwrap());
    assert_eq!(sealed.len(), 24 + 32 + usize::try_from(len).unwrap() + 16);
    unseal(&derive(root, "local-file-key"), &[b"vaultkit.v1/local-file\0", clear].concat(), sealed)
}

fn store() -> (Store, LocalKms) {
    let store = Store::absent();
    let config = store.config().with_random(Arc::new(Fixed));
    let (kms, _) = LocalKms::open_or_create(config).unwrap();
    let config = KeyConfig::new("cards").with_description("card numbers").with_tag("team", "pay");
    block_on(kms.create_key(config)).unwrap();
    block_on(kms.schedule_key_deletion(&key("cards"), 7)).unwrap();
    (store, kms)
}

fn expected_body(store: &Store) -> Vec<u8> {
    let since = store.clock.now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let now = u64::try_from(since.as_millis()).unwrap().to_be_bytes();
    let week = u64::try_from((since + 7 * DAY).as_millis()).unwrap().to_be_bytes();
    let never = u64::MAX.to_be_bytes();
    let one_version = [b"\0\x01\0\0\0\x01", &now[..], &[KEY_BYTE; 32]].concat();
    [
        b"\0\x02",
        &b"\0\x05cards\x03\0"[..],
        &now,
        &never,
        &week,
        b"\0\0\0\x01\0\0\0\0",
        b"\0\x0ccard numbers\0\x01\0\x04team\0\x03pay",
        &one_version,
        b"\0\x07default\x01\0",
        &now,
        &never,
        &never,
        b"\0\0\0\x01\0\0\0\0\0\0\0\0",
        &one_version,
    ]
    .concat()
}

#[test]
fn the_key_file_is_the_one_of_the_specification() {
    let (store, _kms) = store();
    let bytes = fs::read(store.file("keys.vks")).unwrap();
    let header = [
        b"\xf8vks\x01\x01\0\0",
        &[ID_BYTE; 8][..],
        &3u64.to_be_bytes(),
        &[0; 12 + 16],
        &u32::try_from(expected_body(&store).len()).unwrap().to_be_bytes(),
    ];
    assert_eq!(bytes[..56], header.concat());
    assert_eq!(body(&bytes, &[KEY_BYTE; 32]), expected_body(&store));
}

#[test]
fn the_generation_file_is_the_one_of_the_specification() {
    let (store, _kms) = store();
    let content = [b"\xf8vkg\x01\0\0\0", &[ID_BYTE; 8][..], &3u64.to_be_bytes()].concat();
    let mac = hmac_sha512(&derive(&[KEY_BYTE; 32], "local-generation-key"), &content);
    assert_eq!(fs::read(store.file("generation")).unwrap(), [&content[..], &mac[..32]].concat());
}

#[test]
fn a_backup_is_the_same_body_under_its_passphrase() {
    let (store, kms) = store();
    let file = store.beside("backup");
    kms.backup(&file, &passphrase("correct horse battery")).unwrap();
    let bytes = fs::read(&file).unwrap();
    let mut root = [0; 32];
    let salt = [ID_BYTE; 16];
    KdfParams::Argon2id(cheap()).derive(b"correct horse battery", &salt, &mut root).unwrap();
    let header = [
        b"\xf8vkb\x01\x02\0\0",
        &[ID_BYTE; 8][..],
        &3u64.to_be_bytes(),
        &19_456u32.to_be_bytes(),
        &2u32.to_be_bytes(),
        &1u32.to_be_bytes(),
        &salt,
    ];
    assert_eq!(bytes[..52], header.concat());
    assert_eq!(body(&bytes, &root), expected_body(&store));
    let fresh = Store::absent();
    let words = passphrase("correct horse battery");
    LocalKms::restore(fresh.config(), &file, &words, RestoreOptions::new()).unwrap();
}

#[test]
fn wrapped_keys_and_payloads_are_those_of_the_specification() {
    let (_store, kms) = store();
    let default = key("default");
    let wrapped = block_on(kms.wrap_data_key(&default, &secret(b"payload"), &acme())).unwrap();
    let pairs = b"\0\x01\0\x06tenant\0\x04acme";
    let aad = [b"vaultkit.v1/kms\0\x01", &pairs[..], b"\0\0\0\x01"].concat();
    assert_eq!(unseal(&[KEY_BYTE; 32], &aad, &wrapped.bytes), b"payload");
    let sealed = block_on(kms.encrypt(&default, b"payload", &scope("acme"))).unwrap();
    let aad = [b"vaultkit.v1/kms-payload\0", &pairs[..], b"\0\0\0\x01"].concat();
    let (version, sealed) = sealed.split_at(4);
    assert_eq!(version, [0, 0, 0, 1]);
    assert_eq!(unseal(&[KEY_BYTE; 32], &aad, sealed), b"payload");
}
