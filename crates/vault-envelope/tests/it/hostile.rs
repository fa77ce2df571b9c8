//! Hostile headers: truncation, bit flips, lies about lengths and counts.

use vault_crypto_core::header::{MAX_HEADER_LEN, parse, parse_prefix};
use vault_crypto_core::{ErrorKind, MAX_KEY_ID_LEN};

use super::support::{block_on, context, envelope, kind_of};

fn message() -> (vault_envelope::EnvelopeEncryption, Vec<u8>) {
    let envelope = envelope();
    let sealed = block_on(envelope.encrypt(b"value", &context())).unwrap();
    (envelope, sealed.into_bytes())
}

#[test]
fn a_message_cut_at_any_byte_is_refused_and_inside_its_header_malformed() {
    let (envelope, sealed) = message();
    let header_len = parse(&sealed).unwrap().len();
    for len in 0..sealed.len() {
        let kind = kind_of(block_on(envelope.decrypt(&sealed[..len], &context())));
        let expected =
            if len < header_len { ErrorKind::Malformed } else { ErrorKind::AuthenticationFailed };
        assert_eq!(kind, expected, "cut to {len} of {}", sealed.len());
    }
}

#[test]
fn every_flipped_bit_is_refused_with_a_kind_of_the_specification() {
    let (envelope, sealed) = message();
    let allowed = [
        ErrorKind::Malformed,
        ErrorKind::Unsupported,
        ErrorKind::InvalidInput,
        ErrorKind::KeyNotAllowed,
        ErrorKind::KeyNotFound,
        ErrorKind::AuthenticationFailed,
    ];
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let kind = kind_of(block_on(envelope.decrypt(&bad, &context())));
        assert!(allowed.contains(&kind), "bit {bit}: {kind:?}");
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let (envelope, mut sealed) = message();
    sealed.push(0);
    let kind = kind_of(block_on(envelope.decrypt(&sealed, &context())));
    assert_eq!(kind, ErrorKind::AuthenticationFailed);
}

#[test]
fn lengths_and_counts_that_lie_are_malformed() {
    let (_, sealed) = message();
    let lie = |at: usize, bytes: &[u8]| {
        let mut bad = sealed.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        parse(&bad).map(|_| ()).map_err(|error| error.kind())
    };
    let malformed = Err(ErrorKind::Malformed);
    assert_eq!(lie(4, &u32::MAX.to_be_bytes()), malformed);
    assert_eq!(lie(4, &(MAX_HEADER_LEN as u32 + 1).to_be_bytes()), malformed);
    assert_eq!(lie(4, &0_u32.to_be_bytes()), malformed);
    assert_eq!(lie(8, &u32::MAX.to_be_bytes()), malformed);
    assert_eq!(lie(8, &0_u32.to_be_bytes()), malformed);
    assert_eq!(lie(12 + 5, &[17]), malformed, "17 slots");
    assert_eq!(lie(12 + 5, &[0]), malformed, "no slot");
    assert_eq!(lie(12 + 4, &[2]), malformed, "threshold above slots");
    assert_eq!(lie(12 + 6, &[1]), malformed, "reserved byte");
    assert_eq!(lie(12 + 3, &[2]), malformed, "reserved header flag");
    assert_eq!(lie(12 + 68, &u16::MAX.to_be_bytes()), malformed, "extensions");
    assert_eq!(lie(12, &[4]), Err(ErrorKind::Unsupported), "reserved suite");
    assert_eq!(lie(3, &[2]), Err(ErrorKind::Unsupported), "later format version");
}

#[test]
fn a_prefix_promises_at_most_64_kib() {
    let mut prefix = [0xF6, b'v', b'k', 1, 0, 1, 0, 0, 0, 0, 0, 81];
    assert_eq!(parse_prefix(&prefix).unwrap().header_len, MAX_HEADER_LEN);
    prefix[7] = 1;
    assert_eq!(kind_of(parse_prefix(&prefix)), ErrorKind::Malformed);
}

#[test]
fn what_is_not_ours_is_called_that() {
    for bytes in [&b""[..], b"age-encryption.org/v1", b"\0", &[0xF6, b'v', b'x', 1, 0, 0]] {
        assert_eq!(kind_of(parse(bytes)), ErrorKind::Malformed);
    }
}

#[test]
fn a_header_that_no_reader_would_take_is_not_written() {
    use vault_crypto_core::header::{Binding, Header, Shape, Slot, SlotKind, Suite};
    use vault_crypto_core::{KeyId, KeyVersion};
    let slot = |id: &str| {
        let version = KeyVersion::from(1);
        Slot::kms(SlotKind::LOCAL, Binding::Kms, &KeyId::new(id), version, vec![1])
    };
    let mut header = Header::new(Suite::Cobblestone256, Shape::KeyEntry);
    assert!(header.encode(&[0; 32], None).is_err(), "no slot");
    header.slots = vec![slot("a"), slot("a")];
    assert!(header.encode(&[0; 32], None).is_err(), "repeated key");
    header.slots = vec![slot(&"a".repeat(MAX_KEY_ID_LEN + 1))];
    assert!(header.encode(&[0; 32], None).is_err(), "long key id");
    header.slots = vec![slot("a"), slot("b")];
    let bytes = header.encode(&[7; 32], None).unwrap();
    assert_eq!(parse(&bytes).unwrap().header, header);
    header.slots[0].wrapped = vec![0; 60_000];
    header.slots[1].wrapped = vec![0; 60_000];
    assert_eq!(kind_of(header.encode(&[0; 32], None)), ErrorKind::LimitExceeded);
}

#[test]
fn a_suite_that_is_not_allowed_is_said_before_the_body_is_looked_at() {
    use super::support::builder;
    use vault_crypto_core::header::Suite;
    let envelope = builder().suites([Suite::ChunkedChaCha20Poly1305]).build().unwrap();
    let mut stream = Vec::new();
    let writer = block_on(envelope.writer(&mut stream, &context())).unwrap();
    writer.finish().unwrap();
    let record = block_on(envelope.encrypt(b"value", &context())).unwrap().into_bytes();
    let header_len = |message: &[u8]| parse(message).unwrap().len();
    let cut = &stream[..header_len(&stream)];
    assert_eq!(kind_of(block_on(envelope.reader(cut, &context()))), ErrorKind::Unsupported);
    let cut = &record[..header_len(&record)];
    assert_eq!(kind_of(block_on(envelope.decrypt(cut, &context()))), ErrorKind::Unsupported);
}
