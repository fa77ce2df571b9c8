//! Scope and context have one encoding: bytes that are accepted encode to themselves, and pairs that
//! are accepted decode to themselves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::{Binding, Extension, Header, Shape, Slot, SlotKind, Suite, parse};
use vault_crypto_core::{EncryptionContext, KeyId, KeyVersion, Scope};

fuzz_target!(|data: &[u8]| {
    scope_bytes(data);
    context_bytes(data);
    let text = String::from_utf8_lossy(data);
    let pairs: Vec<(&str, &str)> =
        text.split('\u{1F}').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let stored = encoded(&pairs);
    let ascending = pairs.windows(2).all(|two| two[0].0 < two[1].0);
    let scope = Scope::new(pairs.iter().copied());
    let context = EncryptionContext::try_new(pairs.iter().copied());
    // In the order given, accepted only if that is the canonical one.
    assert_eq!(Scope::from_canonical(&stored).is_some(), ascending && scope.is_ok());
    assert_eq!(is_stored_context(&stored), ascending && context.is_ok());
    if let Ok(scope) = scope {
        assert_eq!(Scope::from_canonical(scope.canonical_pairs()), Some(scope.clone()));
        assert_eq!(scope.pairs().count(), pairs.len());
    }
    if let Ok(context) = context {
        let canonical = context.canonical_pairs().expect("it was checked");
        assert!(is_stored_context(canonical), "a context that cannot be stored");
        assert_eq!(decoded(canonical).expect("ours").len(), pairs.len());
    }
});

/// A second encoder, without any rule.
fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let field = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let mut out = (pairs.len() as u16).to_be_bytes().to_vec();
    pairs.iter().for_each(|(name, value)| out.extend([field(name), field(value)].concat()));
    out
}

fn scope_bytes(data: &[u8]) {
    let Some(scope) = Scope::from_canonical(data) else { return };
    assert_eq!(scope.canonical_pairs(), data);
    let again = Scope::new(scope.pairs()).expect("it was accepted");
    assert_eq!(again.canonical_pairs(), data);
    assert_eq!(decoded(data).expect("accepted").len(), scope.pairs().count());
}

fn context_bytes(data: &[u8]) {
    if !is_stored_context(data) {
        return;
    }
    let context = EncryptionContext::try_new(decoded(data).expect("accepted")).expect("accepted");
    assert_eq!(context.canonical_pairs().expect("accepted"), data);
}

/// Whether the header parser takes the bytes as a stored context.
fn is_stored_context(bytes: &[u8]) -> bool {
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::KeyEntry);
    let (key_id, version) = (KeyId::from("k"), KeyVersion::unknown());
    header.slots.push(Slot::kms(SlotKind::LOCAL, Binding::Kms, &key_id, version, vec![1]));
    header.extensions.push(Extension::new(Extension::CONTEXT, bytes.to_vec()));
    let Ok(encoded) = header.encode(&[0; 32], None) else { return false };
    parse(&encoded).expect("written by us").header == header
}

/// A second decoder, without any rule but the lengths.
fn decoded(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let (count, mut rest) = bytes.split_first_chunk::<2>()?;
    let mut field = || {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (field, after) = after.split_at_checked(u16::from_be_bytes(*len).into())?;
        rest = after;
        String::from_utf8(field.to_vec()).ok()
    };
    (0..u16::from_be_bytes(*count)).map(|_| Some((field()?, field()?))).collect()
}
