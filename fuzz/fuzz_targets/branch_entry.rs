//! What lies in a branch key's place of the storage: nothing there panics or opens a record unless it is
//! the entry of that branch and version; records under a branch open, and altered ones do not. No key of
//! the storage is taken for a branch's that is not one.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::derive::{BranchKey, body_context, branch_name};
use vault_crypto_core::header::{Extension, Shape, SlotKind, Suite, parse};
use vault_crypto_core::storage::Expected;
use vault_crypto_core::{MemoryStorage, StorageBackend as _};
use vault_envelope::hazmat::Body;
use vault_envelope::{BranchKeys, EnvelopeEncryption};
use vaultkit_fuzz::{DATA_KEY, Input, block_on, builder, context, scope, secret};

const VERSION: u32 = 7;

fuzz_target!(|data: &[u8]| {
    let (_, envelope) = with_entry(data);
    assert!(block_on(envelope.decrypt(&record(), &context())).is_err(), "nobody knows the key");
    assert!(block_on(envelope.decrypt(data, &context())).is_err(), "nor here");
    listing(data);
    made_right(data);
    round_trip(data);
});

fn place() -> String {
    let name: String = branch_name(&scope()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("branch/{name}/{VERSION:010}")
}

fn with_entry(entry: &[u8]) -> (Arc<MemoryStorage>, EnvelopeEncryption) {
    let storage = Arc::new(MemoryStorage::new());
    let value = &entry[..entry.len().min(65_536)];
    block_on(storage.put(&place(), value, Expected::Absent)).expect("memory");
    let envelope = builder().branch_keys(BranchKeys::new(storage.clone())).build();
    (storage, envelope.expect("constants"))
}

/// A compact record under the branch key that the fake KMS hands out.
fn record() -> Vec<u8> {
    let id = [0x1D; 16];
    let data_key = BranchKey::new(&DATA_KEY).data_key(VERSION, &id, &scope());
    let bound = body_context(Suite::KcXaes256Gcm, Shape::Record, 0, &scope(), &context());
    let body = Body::of_suite(&data_key, Suite::KcXaes256Gcm, None);
    let body = body.seal(&[0x17; 24], &bound.expect("a constant"), b"4111").expect("short");
    [&[0xF7, 1, 3, 0][..], &VERSION.to_be_bytes(), &id, &body].concat()
}

/// Any header that parses, with its MAC made right for this branch or for another.
fn made_right(data: &[u8]) {
    let Ok(parsed) = parse(data) else { return };
    let mut header = parsed.header;
    let last = parsed.bytes.last().copied().unwrap_or_default();
    let other_version = last & 1 == 1 && header.extensions.len() & 1 == 1;
    let version = VERSION + u32::from(other_version);
    header.extensions.retain(|extension| extension.kind < Extension::BRANCH);
    let branch = [branch_name(&scope()).as_slice(), &version.to_be_bytes()].concat();
    header.extensions.push(Extension::new(Extension::BRANCH, branch));
    if header.shape == Shape::KeyEntry {
        header.message_id = [0; 24];
    }
    let usable = header.slots.iter().any(|slot| {
        slot.kind == SlotKind::LOCAL
            && !slot.is_missing()
            && slot.parameters.is_empty()
            && slot.binding == vault_crypto_core::header::Binding::Kms
    });
    let is_entry = header.shape == Shape::KeyEntry && header.threshold == 1 && !other_version;
    let Ok(entry) = secret().seal_header(&mut header, &scope(), None) else { return };
    let (_, envelope) = with_entry(&entry);
    match block_on(envelope.decrypt(&record(), &context())) {
        Ok(plaintext) => assert!(plaintext == b"4111" && usable && is_entry),
        Err(error) => assert!(!usable || !is_entry, "{error}"),
    }
}

/// Keys of the storage that are hardly those of branches.
fn listing(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let storage = Arc::new(MemoryStorage::new());
    let mut branches = 0;
    for line in text.split('\n').take(8) {
        for key in [format!("branch/{line}"), place().replace('7', line)] {
            if block_on(storage.put(&key, b"no entry", Expected::Absent)).is_ok() {
                branches += usize::from(is_place(&key));
            }
        }
    }
    let envelope = builder().branch_keys(BranchKeys::new(storage)).build().expect("constants");
    let page = block_on(envelope.branches(None, 1_000)).expect("memory");
    assert_eq!(page.branches.len(), branches);
}

/// A second parser of places.
fn is_place(key: &str) -> bool {
    let lower = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = key.split('/').collect();
    let ["branch", name, version] = parts[..] else { return false };
    let number = version.parse::<u64>().unwrap_or(0);
    name.len() == 32
        && lower(name)
        && version.len() == 10
        && version.bytes().all(|b| b.is_ascii_digit())
        && (1..=u64::from(u32::MAX)).contains(&number)
}

fn round_trip(data: &[u8]) {
    let mut input = Input(data);
    let at = usize::from(input.u16());
    let storage = Arc::new(MemoryStorage::new());
    let envelope = builder().branch_keys(BranchKeys::new(storage)).build().expect("constants");
    let plaintext = input.rest();
    let mut sealed = block_on(envelope.encrypt(plaintext, &context())).expect("short").into_bytes();
    assert_eq!(sealed[..2], [0xF7, 1]);
    assert!(block_on(envelope.decrypt(&sealed, &context())).expect("ours") == plaintext);
    let bit = at % (8 * sealed.len());
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert!(block_on(envelope.decrypt(&sealed, &context())).is_err());
}
