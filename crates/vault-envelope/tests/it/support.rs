//! What the tests share: an envelope over an in-memory KMS.

use std::sync::Arc;

use vault_crypto_core::{CryptoError, EncryptionContext, ErrorKind, KeyId};
use vault_envelope::{EnvelopeBuilder, EnvelopeEncryption};
use vault_testkit::MemoryKms;

pub(crate) use pollster::block_on;

pub(crate) fn kms() -> (Arc<MemoryKms>, KeyId) {
    let kms = MemoryKms::new();
    let key = kms.add_key("app").unwrap();
    (Arc::new(kms), key)
}

pub(crate) fn builder() -> EnvelopeBuilder {
    let (kms, key) = kms();
    EnvelopeEncryption::builder(kms, key)
}

pub(crate) fn envelope() -> EnvelopeEncryption {
    builder().scope([("table", "cards")]).build().unwrap()
}

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::from([("row", "42")])
}

pub(crate) fn kind_of<T>(result: Result<T, CryptoError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it opened"),
        Err(error) => error.kind(),
    }
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + (index >> 8) * 17) as u8).collect()
}
