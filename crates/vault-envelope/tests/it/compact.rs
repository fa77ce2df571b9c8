//! Compact records and key entries.

use vault_crypto_core::{EncryptionContext, ErrorKind};
use vault_envelope::{COMPACT_OVERHEAD, Padding};

use super::support::{block_on, builder, context, envelope, kind_of};

#[test]
fn a_compact_record_adds_96_bytes_and_opens_through_its_entry() {
    let envelope = envelope();
    let key = block_on(envelope.create_stored_key()).unwrap();
    let sealed = key.seal(b"value", &context()).unwrap();
    assert_eq!(sealed.len(), b"value".len() + COMPACT_OVERHEAD);
    assert_eq!(COMPACT_OVERHEAD, 96);
    let entry = key.entry().to_vec();
    let again = block_on(envelope.open_stored_key(&entry)).unwrap();
    assert_eq!(again.open(&sealed, &context()).unwrap(), b"value");
}

#[test]
fn any_altered_byte_of_a_compact_record_is_refused() {
    let key = block_on(envelope().create_stored_key()).unwrap();
    let sealed = key.seal(b"value", &context()).unwrap().into_bytes();
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(key.open(&bad, &context()).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(key.open(&sealed[..len], &context()).is_err(), "cut to {len}");
    }
}

#[test]
fn a_padded_compact_record_opens_whatever_the_reader_writes() {
    let padded = builder().padding(Padding::Padme).build().unwrap();
    let key = block_on(padded.create_stored_key()).unwrap();
    let sealed = key.seal(b"value", &context()).unwrap();
    assert_eq!(key.open(&sealed, &context()).unwrap(), b"value");
}

#[test]
fn a_record_of_another_stored_key_or_context_is_refused() {
    let envelope = envelope();
    let one = block_on(envelope.create_stored_key()).unwrap();
    let two = block_on(envelope.create_stored_key()).unwrap();
    let sealed = one.seal(b"value", &context()).unwrap();
    assert_eq!(kind_of(two.open(&sealed, &context())), ErrorKind::KeyNotAllowed);
    let other = EncryptionContext::from([("row", "43")]);
    assert_eq!(kind_of(one.open(&sealed, &other)), ErrorKind::AuthenticationFailed);
}

#[test]
fn an_entry_with_trailing_bytes_or_of_another_scope_is_refused() {
    let envelope = envelope();
    let mut entry = block_on(envelope.create_stored_key()).unwrap().entry().to_vec();
    let narrower = envelope.scoped([("tenant", "acme")]).unwrap();
    assert_eq!(
        kind_of(block_on(narrower.open_stored_key(&entry))),
        ErrorKind::AuthenticationFailed
    );
    entry.push(0);
    assert_eq!(kind_of(block_on(envelope.open_stored_key(&entry))), ErrorKind::Malformed);
}
