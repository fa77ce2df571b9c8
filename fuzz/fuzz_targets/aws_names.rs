//! Names of AWS keys: what is accepted is plain, its canonical id stays itself, and an answer is taken for
//! the key that was asked only if it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::{KeyId, Operation};
use vaultkit_fuzz::assert_plain;

#[path = "../../crates/vault-kms-aws/src/names.rs"]
#[expect(dead_code, reason = "the crate uses more of it")]
mod names;

/// The crate's own has the SDK's errors, too.
mod error {
    use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation};

    pub(crate) fn invalid(operation: Operation, detail: &'static str) -> CryptoError {
        CryptoError::new(ErrorKind::InvalidInput, operation).with_detail(detail)
    }

    pub(crate) fn broken_answer(
        operation: Operation,
        key_id: &KeyId,
        detail: &'static str,
    ) -> CryptoError {
        CryptoError::new(ErrorKind::Unavailable, operation).with_key_id(key_id).with_detail(detail)
    }
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (asked, told) = text.split_once('\n').unwrap_or((&text, ""));
    let asked_id = KeyId::new(asked);
    let canonical = names::canonical(&asked_id);
    let accepted = names::parse(&asked_id);
    if accepted.is_some() {
        assert_plain(asked);
        asked_id.check().expect("it can stand in a header");
    }
    if let Some(canonical) = &canonical {
        assert!(accepted.is_some() && *canonical == asked_id);
        assert_eq!(names::canonical(canonical).as_ref(), Some(canonical));
    }
    let operation = Operation::DescribeKey;
    let opened = names::opened(operation, &asked_id, Some(told)).is_ok();
    if let Ok(answer) = names::answered(operation, &asked_id, Some(told)) {
        assert!(opened && accepted.is_some() && answer.as_str() == told);
        assert_eq!(names::canonical(&answer), Some(answer.clone()));
        assert!(canonical.is_none_or(|canonical| canonical == answer));
    }
    if let Ok(alias) = names::alias(asked) {
        assert_plain(&alias);
        assert_eq!(names::parse(&KeyId::new(alias)), Some(names::Name::Alias));
    }
});
