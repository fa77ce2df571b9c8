//! The published vectors of branch keys, through the library's own path: entry, storage, KMS, record.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use vault_crypto_core::derive::{DataKeySecret, branch_name};
use vault_crypto_core::header::{Binding, Extension, Header, Shape, Slot, SlotKind, Suite};
use vault_crypto_core::{
    EncryptionContext, KeyId, KeyVersion, MemoryStorage, Scope, SecureBytes, StorageBackend as _,
    storage::Expected,
};
use vault_envelope::{AllowedKeys, BranchKeys, EnvelopeEncryption};

use super::support::place;
use crate::it::catalogue::{FixedKms, KEY_ID};
use crate::it::support::block_on;

fn vectors(file: &str) -> Vec<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors");
    serde_json::from_str(&std::fs::read_to_string(folder.join(file)).unwrap()).unwrap()
}

fn bytes(vector: &Value, name: &str) -> Option<Vec<u8>> {
    vector.get(name).map(|value| hex::decode(value.as_str().unwrap()).unwrap())
}

fn pairs(vector: &Value, name: &str) -> Vec<(String, String)> {
    let object = vector[name].as_object().unwrap().iter();
    object.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn reader(key: &[u8], scope: &Scope, storage: Arc<MemoryStorage>) -> EnvelopeEncryption {
    let kms = Arc::new(FixedKms::new(key.try_into().unwrap()));
    EnvelopeEncryption::builder(kms.clone(), KEY_ID)
        .scope(scope.pairs())
        .allow_only(AllowedKeys::none().any_key_matching(kms, |_| true))
        .branch_keys(BranchKeys::new(storage))
        .build()
        .unwrap()
}

/// An entry of `key` in the place of the scope and version.
fn plant(storage: &MemoryStorage, key: &[u8], scope: &Scope, version: u32) {
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    let branch = [branch_name(scope).as_slice(), &version.to_be_bytes()].concat();
    header.extensions.push(Extension::new(Extension::BRANCH, branch));
    let key_id = KeyId::new(KEY_ID);
    let number = KeyVersion::from(1);
    header.slots.push(Slot::kms(SlotKind::LOCAL, Binding::Kms, &key_id, number, vec![1]));
    let secret = DataKeySecret::new(&SecureBytes::new(key.to_vec())).unwrap();
    let entry = secret.seal_header(&mut header, scope, None).unwrap();
    block_on(storage.put(&place(scope, version), &entry, Expected::Absent)).unwrap();
}

#[test]
fn every_record_under_a_branch_key_is_answered_as_the_vectors_say() {
    let (mut opened, mut refused) = (0, 0);
    for vector in vectors("compact.json") {
        let Some(key) = bytes(&vector, "branch_key") else { continue };
        let name = vector["name"].as_str().unwrap();
        let scope = Scope::new(pairs(&vector, "scope")).unwrap();
        let context = EncryptionContext::try_new(pairs(&vector, "context")).unwrap();
        let message = bytes(&vector, "message").unwrap();
        let version = u32::from_be_bytes(message[4..8].try_into().unwrap());
        let storage = Arc::new(MemoryStorage::new());
        // The reader has the one branch key that it was given.
        plant(&storage, &key, &scope, version.max(1));
        let answer = block_on(reader(&key, &scope, storage).decrypt(&message, &context));
        match vector["result"].as_str().unwrap() {
            "ok" => {
                assert_eq!(answer.unwrap(), bytes(&vector, "plaintext").unwrap(), "{name}");
                opened += 1;
            }
            result => {
                assert_eq!(answer.unwrap_err().kind().as_str(), result, "{name}");
                refused += 1;
            }
        }
    }
    assert!(opened >= 3 && refused >= 4, "{opened} opened, {refused} refused");
}

#[test]
fn the_published_entry_of_a_branch_key_opens_in_its_place() {
    let all = vectors("keys.json");
    let vector = all.iter().find(|vector| vector["name"] == "a branch key").unwrap();
    let scope = Scope::new(pairs(vector, "scope")).unwrap();
    let key = bytes(vector, "data_key").unwrap();
    let entry = bytes(vector, "message").unwrap();
    let storage = Arc::new(MemoryStorage::new());
    block_on(storage.put(&place(&scope, 7), &entry, Expected::Absent)).unwrap();
    let envelope = reader(&key, &scope, storage);
    let context = EncryptionContext::new();
    let sealed = block_on(envelope.encrypt(b"value", &context)).unwrap();
    assert_eq!(sealed.as_bytes()[4..8], 7_u32.to_be_bytes());
    assert_eq!(block_on(envelope.decrypt(&sealed, &context)).unwrap(), b"value");
}
