//! The header codec: what is written is read back the same, and each rule of docs/FORMAT.md sections
//! 4 to 6 refuses what breaks it, for that reason and no other.

use std::error::Error as _;

use proptest::prelude::*;
use vault_crypto_core::header::{
    ALIGN_FROM, BODY_ALIGNMENT, Binding, Extension, Header, MAX_EXTENSIONS, MAX_HEADER_LEN,
    MAX_SLOTS, Shape, Slot, SlotKind, Suite, parse, parse_prefix,
};
use vault_crypto_core::{
    CryptoError, EncryptionContext, ErrorKind, KeyId, KeyVersion, MAX_KEY_ID_LEN, Scope,
};

const MAC: [u8; 32] = [0xAB; 32];
/// Where the covered part begins.
const COVERED: usize = 12;

fn slot(key_id: &str) -> Slot {
    let version = KeyVersion::from(1);
    Slot::kms(SlotKind::LOCAL, Binding::Kms, &KeyId::new(key_id), version, vec![7; 40])
}

/// An EXCLUSIVE record of one slot.
fn record() -> Header {
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::Record);
    header.exclusive = true;
    header.message_id = [9; 24];
    header.slots.push(slot("local:1#a"));
    header
}

/// Two of three shares.
fn split() -> Header {
    let mut header = record();
    header.threshold = 2;
    header.share_set = [3; 16];
    header.slots = vec![slot("a"), slot("b"), slot("c")];
    for (slot, index) in header.slots.iter_mut().zip(1..) {
        slot.share_index = index;
        slot.share_check = Some([index; 16]);
    }
    header
}

fn bytes() -> Vec<u8> {
    record().encode(&MAC, None).unwrap()
}

/// Why the parser refuses these bytes.
fn refusal(bytes: &[u8]) -> (ErrorKind, String) {
    reason(&parse(bytes).unwrap_err())
}

/// Why the parser refuses what this header would be written as.
fn unwritable(change: impl FnOnce(&mut Header)) -> (ErrorKind, String) {
    refused(record(), change)
}

fn refused(mut header: Header, change: impl FnOnce(&mut Header)) -> (ErrorKind, String) {
    change(&mut header);
    let error = header.encode(&MAC, Some(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    reason(error.source().unwrap().downcast_ref::<CryptoError>().unwrap())
}

fn reason(error: &CryptoError) -> (ErrorKind, String) {
    (error.kind(), error.detail().unwrap_or_default().to_owned())
}

fn malformed(detail: &str) -> (ErrorKind, String) {
    (ErrorKind::Malformed, detail.to_owned())
}

fn patched(at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

fn arbitrary_slot(index: usize, shares: bool) -> impl Strategy<Value = Slot> {
    let kind = prop_oneof![1..=6_u8, 10..=255_u8];
    let fields = (kind, any::<bool>(), "[ -~\u{a1}-\u{2ff}]{0,60}", "[A-Za-z0-9._:/+=-]{0,128}");
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    (fields, bytes.clone(), bytes, any::<[u8; 16]>()).prop_map(
        move |((kind, kms, id, version), parameters, mut wrapped, check)| {
            // The first slot, and every one with shares, has to be filled.
            if shares || index == 0 {
                wrapped.push(1);
            }
            let version = if wrapped.is_empty() { String::new() } else { version };
            let binding = if kms { Binding::Kms } else { Binding::Mac };
            // The number in front keeps key ids apart.
            let key_id = KeyId::new(format!("{index}:{id}"));
            let version = KeyVersion::new(version).unwrap();
            let kind = SlotKind::from_code(kind).unwrap();
            let mut slot = Slot::kms(kind, binding, &key_id, version, wrapped);
            slot.parameters = parameters;
            slot.share_index = if shares { index as u8 + 1 } else { 0 };
            slot.share_check = shares.then_some(check);
            slot
        },
    )
}

fn arbitrary_slots() -> impl Strategy<Value = (u8, Vec<Slot>)> {
    (1..=MAX_SLOTS, any::<bool>()).prop_flat_map(|(count, shares)| {
        let threshold = if shares && count > 1 { 2..=count as u8 } else { 1..=1 };
        threshold.prop_flat_map(move |threshold| {
            let slots: Vec<_> = (0..count).map(|n| arbitrary_slot(n, threshold > 1)).collect();
            (Just(threshold), slots)
        })
    })
}

fn arbitrary_extensions() -> impl Strategy<Value = Vec<Extension>> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..50);
    let unknown = prop::collection::btree_map(4..0x8000_u16, bytes(), 0..20);
    let scope = prop::option::of("[a-z][a-z0-9_.-]{0,20}");
    let context = prop::option::of("[^=\\p{Cc}]{1,20}");
    (scope, context, prop::option::of(any::<[u8; 20]>()), unknown).prop_map(
        |(scope, context, branch, unknown)| {
            let scope = scope.map(|name| Scope::new([(name, "v")]).unwrap());
            let context = context.map(|name| EncryptionContext::try_new([(name, "")]).unwrap());
            let known = [
                scope.map(|scope| (Extension::SCOPE, scope.canonical_pairs().to_vec())),
                context.map(|c| (Extension::CONTEXT, c.canonical_pairs().unwrap().to_vec())),
                branch.map(|branch| (Extension::BRANCH, branch.to_vec())),
            ];
            let all = known.into_iter().flatten().chain(unknown);
            all.map(|(kind, bytes)| Extension::new(kind, bytes)).collect()
        },
    )
}

fn arbitrary_header() -> impl Strategy<Value = Header> {
    let forms = prop::sample::select(vec![
        (Suite::Cobblestone256, Shape::Record),
        (Suite::Cobblestone256, Shape::Stream),
        (Suite::ChunkedChaCha20Poly1305, Shape::Stream),
        (Suite::KcXaes256Gcm, Shape::Record),
        (Suite::KcXaes256Gcm, Shape::KeyEntry),
    ]);
    let flags = (any::<bool>(), any::<bool>(), any::<u32>(), any::<[u8; 16]>(), any::<[u8; 24]>());
    (forms, flags, arbitrary_slots(), arbitrary_extensions()).prop_map(
        |(
            (suite, shape),
            (padded, exclusive, epoch, key_id, id),
            (threshold, slots),
            extensions,
        )| {
            let mut header = Header::new(suite, shape);
            header.padded = padded && shape != Shape::KeyEntry;
            header.exclusive = exclusive || threshold > 1;
            header.epoch = epoch;
            header.data_key_id = key_id;
            header.threshold = threshold;
            header.share_set = if threshold > 1 { [0x5E; 16] } else { [0; 16] };
            header.slots = slots;
            header.extensions = extensions;
            if header.names_message() {
                header.message_id = id;
                header.message_id[0] |= 1;
            }
            header
        },
    )
}

proptest! {
    #[test]
    fn a_header_that_is_written_is_read_back_the_same(
        header in arbitrary_header(),
        mac: [u8; 32],
        len in prop::option::of(0..2 * ALIGN_FROM),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let bytes = header.encode(&mac, len).unwrap();
        let aligned = header.shape == Shape::Stream && len.is_none_or(|len| len >= ALIGN_FROM);
        prop_assert!(!aligned || bytes.len() % BODY_ALIGNMENT == 0);
        let message = [bytes.clone(), behind].concat();
        let parsed = parse(&message).unwrap();
        prop_assert_eq!(&parsed.header, &header);
        prop_assert_eq!(parsed.bytes, &bytes[..]);
        prop_assert_eq!(parsed.mac, &mac);
        prop_assert_eq!(parsed.covered, &header.covered().unwrap()[..]);
        let prefix = parse_prefix(&bytes).unwrap();
        prop_assert_eq!(prefix.header_len, bytes.len());
        prop_assert_eq!(prefix.covered_len, parsed.covered.len());
    }

    #[test]
    fn a_header_cut_anywhere_is_malformed(header in arbitrary_header(), cut: prop::sample::Index) {
        let bytes = header.encode(&MAC, Some(0)).unwrap();
        let error = parse(&bytes[..cut.index(bytes.len())]).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Malformed);
    }

    #[test]
    fn no_two_headers_share_their_bytes(header in arbitrary_header(), bit: prop::sample::Index) {
        let bytes = header.encode(&MAC, Some(0)).unwrap();
        let bit = bit.index(8 * bytes.len());
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(parsed) = parse(&other) {
            prop_assert!(parsed.header != header || parsed.mac != &MAC);
        }
    }
}

#[test]
fn another_format_version_is_unsupported_and_other_bytes_are_malformed() {
    for version in [0, 2, 255] {
        assert_eq!(refusal(&patched(3, &[version])).0, ErrorKind::Unsupported);
    }
    for at in 0..3 {
        let not_ours = malformed("not a message of this format");
        assert_eq!(refusal(&patched(at, &[0])), not_ours);
    }
    assert_eq!(refusal(b""), malformed("the input is empty"));
    assert_eq!(refusal(&bytes()[..3]), malformed("cut off inside the header"));
}

#[test]
fn h_is_at_most_64_kib_whatever_follows() {
    let too_long = malformed("the header says it is longer than 65536 bytes");
    for len in [MAX_HEADER_LEN as u32 + 1, u32::MAX] {
        assert_eq!(refusal(&patched(4, &len.to_be_bytes())), too_long);
    }
    let longest = patched(4, &(MAX_HEADER_LEN as u32).to_be_bytes());
    assert_eq!(refusal(&longest), malformed("cut off inside the header"));
    let mut whole = longest;
    whole.resize(MAX_HEADER_LEN, 0);
    assert_eq!(parse(&whole).unwrap().len(), MAX_HEADER_LEN);
}

#[test]
fn c_lies_between_81_and_h_less_48() {
    let contradiction = malformed("the header's lengths contradict each other");
    let h = bytes().len() as u32;
    for c in [0, 80, h - 47, h, u32::MAX] {
        assert_eq!(refusal(&patched(8, &c.to_be_bytes())), contradiction, "{c}");
    }
    for c in [81, h - 48] {
        assert_ne!(refusal(&patched(8, &c.to_be_bytes())), contradiction, "{c}");
    }
    for h in [0, 47, 48, 128] {
        assert_eq!(refusal(&patched(4, &u32::to_be_bytes(h))), contradiction, "{h}");
    }
}

#[test]
fn the_padding_is_zero() {
    let header = record().encode(&MAC, None).unwrap();
    let mut bytes = patched(4, &(header.len() as u32 + 3).to_be_bytes());
    bytes.extend([0; 3]);
    assert!(parse(&bytes).is_ok());
    *bytes.last_mut().unwrap() = 0x80;
    assert_eq!(refusal(&bytes), malformed("the header's padding is not zero"));
}

#[test]
fn suites_and_shapes_are_known_ones() {
    for suite in [0, 4, 7, 0xF0, 0xFF] {
        let (kind, detail) = refusal(&patched(COVERED, &[suite]));
        assert_eq!((kind, detail.as_str()), (ErrorKind::Unsupported, "an unknown suite"));
    }
    for shape in [0, 4, 0xFF] {
        let (kind, detail) = refusal(&patched(COVERED + 1, &[shape]));
        assert_eq!((kind, detail.as_str()), (ErrorKind::Unsupported, "an unknown shape"));
    }
}

#[test]
fn reserved_bits_are_zero() {
    let reserved = malformed("a reserved bit is set");
    for bit in 1..8 {
        assert_eq!(refusal(&patched(COVERED + 2, &[1 << bit])), reserved, "body flag {bit}");
        assert_eq!(refusal(&patched(COVERED + 3, &[1 | 1 << bit])), reserved, "flag {bit}");
    }
    for at in [COVERED + 6, COVERED + 7] {
        assert_eq!(refusal(&patched(at, &[1])), reserved, "byte {at}");
    }
}

#[test]
fn there_are_1_to_16_slots() {
    let slots = malformed("a header has 1 to 16 key slots");
    for count in [0, 17, 255] {
        assert_eq!(refusal(&patched(COVERED + 5, &[count])), slots);
    }
    let many = |count: usize| {
        let mut header = record();
        header.slots = (0..count).map(|index| slot(&format!("key {index}"))).collect();
        header.encode(&MAC, None)
    };
    assert!(many(16).is_ok() && many(17).is_err());
}

#[test]
fn the_threshold_is_between_1_and_the_number_of_slots() {
    let bad = malformed("the threshold is not between 1 and the number of slots");
    for threshold in [0, 2, 255] {
        assert_eq!(refusal(&patched(COVERED + 4, &[threshold])), bad);
    }
}

#[test]
fn a_field_fits_into_what_holds_it() {
    let long = malformed("a field is longer than what holds it");
    let extensions_len = COVERED + 68;
    assert_eq!(refusal(&patched(extensions_len, &u16::MAX.to_be_bytes())), long);
    let descriptor_len = extensions_len + 2;
    assert_eq!(refusal(&patched(descriptor_len, &u16::MAX.to_be_bytes())), long);
    assert_eq!(refusal(&patched(descriptor_len, &[0, 3])), long);
    let version_len = bytes().len() - 40 - 2 - 1 - 2;
    assert_eq!(refusal(&patched(version_len, &u16::MAX.to_be_bytes())), long);
    assert_eq!(refusal(&patched(version_len + 3, &[0, 41])), long);
    assert_eq!(refusal(&patched(COVERED + 5, &[2])), long, "a slot that is not there");
}

#[test]
fn nothing_stands_behind_the_last_field() {
    let mut longer = bytes();
    let c = u32::from_be_bytes(longer[8..12].try_into().unwrap());
    longer.insert(COVERED + c as usize, 0);
    longer[8..12].copy_from_slice(&(c + 1).to_be_bytes());
    let h = longer.len() as u32;
    longer[4..8].copy_from_slice(&h.to_be_bytes());
    assert_eq!(refusal(&longer), malformed("the covered part is longer than its content"));

    let behind_parameters = |header: &mut Header| header.slots[0].share_check = Some([0; 16]);
    let descriptor = malformed("a slot descriptor is longer than its content");
    assert_eq!(unwritable(behind_parameters), descriptor);
}

#[test]
fn extensions_ascend_from_1_and_are_at_most_32() {
    let bad = malformed("extensions are not ascending");
    let with = |kinds: &[u16]| {
        let extensions = kinds.iter().map(|kind| Extension::new(*kind, Vec::new())).collect();
        unwritable(|header| header.extensions = extensions)
    };
    assert_eq!(with(&[0]), bad);
    assert_eq!(with(&[5, 5]), bad);
    assert_eq!(with(&[6, 5]), bad);
    let most: Vec<u16> = (10..).take(MAX_EXTENSIONS + 1).collect();
    assert_eq!(with(&most), bad);
    let mut header = record();
    header.extensions = most[1..].iter().map(|kind| Extension::new(*kind, Vec::new())).collect();
    assert!(header.encode(&MAC, None).is_ok());
}

#[test]
fn an_unknown_critical_extension_is_unsupported_and_another_is_kept() {
    for kind in [0x8000, 0xFFFF] {
        let extension = Extension::new(kind, vec![1]);
        let (found, _) = unwritable(|header| header.extensions.push(extension));
        assert_eq!(found, ErrorKind::Unsupported);
    }
    let mut header = record();
    header.extensions.push(Extension::new(0x7FFF, vec![1]));
    assert_eq!(parse(&header.encode(&MAC, None).unwrap()).unwrap().header, header);
}

#[test]
fn stored_pairs_are_canonical_and_a_branch_has_20_bytes() {
    let bad = malformed("an extension is not in its canonical form");
    let with = |kind: u16, bytes: &[u8]| {
        unwritable(|header| header.extensions.push(Extension::new(kind, bytes.to_vec())))
    };
    for kind in [Extension::SCOPE, Extension::CONTEXT] {
        assert_eq!(with(kind, b""), bad);
        assert_eq!(with(kind, b"\0\0\0"), bad, "a byte behind");
        assert_eq!(with(kind, b"\0\x01"), bad, "a pair too few");
        assert_eq!(with(kind, b"\0\x02\0\x01b\0\x01v\0\x01a\0\x01v"), bad, "descending");
        assert_eq!(with(kind, b"\0\x02\0\x01a\0\x01v\0\x01a\0\x01w"), bad, "repeated");
        assert_eq!(with(kind, b"\0\x01\0\0\0\x01v"), bad, "no name");
        assert_eq!(with(kind, b"\0\x01\0\x01a\0\x01\xFF"), bad, "not UTF-8");
    }
    assert_eq!(with(Extension::SCOPE, b"\0\x01\0\x01A\0\x01v"), bad);
    assert_eq!(with(Extension::SCOPE, b"\0\x01\0\x01a\0\0"), bad);
    assert_eq!(with(Extension::CONTEXT, b"\0\x01\0\x01=\0\0"), bad);
    assert_eq!(with(Extension::BRANCH, &[1; 19]), bad);
    assert_eq!(with(Extension::BRANCH, &[1; 21]), bad);
}

#[test]
fn slot_kind_0_and_unknown_bindings_are_refused() {
    let descriptor = COVERED + 72;
    assert_eq!(refusal(&patched(descriptor, &[0])), malformed("slot kind 0"));
    for binding in [0, 3, 255] {
        let unknown = malformed("an unknown binding");
        assert_eq!(refusal(&patched(descriptor + 1, &[binding])), unknown);
    }
}

#[test]
fn a_share_index_is_there_with_shares_only_and_the_byte_behind_is_zero() {
    let bad = malformed("a slot's share index or reserved byte is wrong");
    let descriptor = COVERED + 72;
    assert_eq!(refusal(&patched(descriptor + 2, &[1])), bad);
    assert_eq!(refusal(&patched(descriptor + 3, &[1])), bad);
    assert_eq!(refused(split(), |header| header.slots[1].share_index = 0), bad);
}

#[test]
fn a_key_id_is_as_its_kind_says() {
    let bad = malformed("a slot's key id is not valid for its kind");
    let with = |kind: SlotKind, key_id: &[u8]| {
        unwritable(|header| {
            header.slots[0].kind = kind;
            header.slots[0].key_id = key_id.to_vec();
            // Long enough without a key id.
            header.slots[0].parameters = vec![0; 8];
        })
    };
    let unknown = SlotKind::from_code(77).unwrap();
    for kind in [SlotKind::LOCAL, SlotKind::BRANCH, unknown, SlotKind::OTHER_KMS] {
        assert_eq!(with(kind, b""), bad);
        assert_eq!(with(kind, b"a\n"), bad);
        assert_eq!(with(kind, "a\u{85}".as_bytes()), bad);
        assert_eq!(with(kind, b"a\xFF"), bad);
        assert_eq!(with(kind, &[b'a'; MAX_KEY_ID_LEN + 1]), bad);
    }
    assert_eq!(with(SlotKind::PASSPHRASE, b"a"), bad);
    for kind in [SlotKind::HPKE, SlotKind::RSA_OAEP_256] {
        assert_eq!(with(kind, &[1; 31]), bad);
        assert_eq!(with(kind, &[1; 33]), bad);
    }
}

#[test]
fn a_version_has_128_plain_bytes_at_most() {
    let bad = malformed("a slot's key version has a byte or length that is not allowed");
    let version = bytes().len() - 40 - 2 - 1;
    for byte in [b' ', b'\n', b'%', b'#', 0, 0x7F, 0x80, 0xFF] {
        assert_eq!(refusal(&patched(version, &[byte])), bad, "{byte}");
    }
    let mut long = bytes();
    long.splice(version - 2..=version, [&129_u16.to_be_bytes()[..], &[b'1'; 129]].concat());
    let h = long.len() as u32;
    long[4..8].copy_from_slice(&h.to_be_bytes());
    assert_eq!(refusal(&long), bad);
}

#[test]
fn a_missing_slot_has_no_version() {
    let bad = malformed("a missing slot names a key version");
    let missing = |header: &mut Header| {
        header.slots.push(slot("b"));
        header.slots[1].wrapped.clear();
    };
    assert_eq!(unwritable(missing), bad);
}

#[test]
fn a_share_set_id_is_there_with_shares_only() {
    let bad = malformed("the share set id does not fit the threshold");
    assert_eq!(unwritable(|header| header.share_set[15] = 1), bad);
    assert_eq!(refused(split(), |header| header.share_set = [0; 16]), bad);
}

#[test]
fn suite_3_has_no_streams_and_a_key_entry_no_padding() {
    let stream = unwritable(|header| header.shape = Shape::Stream);
    assert_eq!(stream, malformed("suite 3 has no streams"));
    let entry = unwritable(|header| {
        (header.shape, header.message_id, header.padded) = (Shape::KeyEntry, [0; 24], true);
    });
    assert_eq!(entry, malformed("a key entry has no body to pad"));
}

#[test]
fn the_message_id_is_there_where_the_header_belongs_to_one_message() {
    let bad = malformed("the message id does not fit shape and flags");
    assert_eq!(unwritable(|header| header.message_id = [0; 24]), bad);
    assert_eq!(unwritable(|header| header.exclusive = false), bad);
    assert_eq!(unwritable(|header| header.shape = Shape::KeyEntry), bad);
    for exclusive in [false, true] {
        let stream = unwritable(|header| {
            (header.suite, header.shape) = (Suite::Cobblestone256, Shape::Stream);
            (header.exclusive, header.message_id) = (exclusive, [0; 24]);
        });
        assert_eq!(stream, bad);
    }
}

#[test]
fn shares_passphrases_and_public_keys_need_exclusive() {
    let bad = malformed("such a slot or threshold needs an exclusive data key");
    let share = |header: &mut Header| (header.exclusive, header.message_id) = (false, [0; 24]);
    assert_eq!(refused(split(), share), bad);
    let kinds = [(SlotKind::PASSPHRASE, 0), (SlotKind::HPKE, 32), (SlotKind::RSA_OAEP_256, 32)];
    for (kind, len) in kinds {
        let with = |header: &mut Header| {
            header.slots.push(slot("b"));
            header.slots[1].kind = kind;
            header.slots[1].key_id = vec![1; len];
        };
        assert_eq!(unwritable(|header| (with(header), share(header)).1), bad);
        let mut header = record();
        with(&mut header);
        assert!(header.encode(&MAC, None).is_ok(), "{kind:?} is fine on an exclusive data key");
    }
}

#[test]
fn one_slot_is_filled_and_with_shares_all_are() {
    let bad = malformed("a slot that must be there is missing");
    let empty = |slot: &mut Slot| {
        slot.wrapped.clear();
        slot.version = KeyVersion::unknown();
    };
    assert_eq!(unwritable(|header| empty(&mut header.slots[0])), bad);
    assert_eq!(refused(split(), |header| empty(&mut header.slots[2])), bad);
    let mut header = record();
    header.slots.push(slot("b"));
    empty(&mut header.slots[0]);
    assert!(header.encode(&MAC, None).is_ok());
}

#[test]
fn no_two_slots_name_one_key_or_one_share() {
    let bad = malformed("two slots name the same key or share");
    assert_eq!(unwritable(|header| header.slots.push(slot("local:1#a"))), bad);
    let other_binding = |header: &mut Header| {
        header.slots.push(slot("local:1#a"));
        header.slots[1].binding = Binding::Mac;
    };
    assert_eq!(unwritable(other_binding), bad);
    assert_eq!(refused(split(), |header| header.slots[2].share_index = 1), bad);
    let mut header = record();
    header.slots.push(slot("local:1#a"));
    header.slots[1].kind = SlotKind::OTHER_KMS;
    assert!(header.encode(&MAC, None).is_ok(), "the same id of another kind is another key");
}

#[test]
fn a_share_index_is_at_most_the_number_of_slots() {
    let bad = malformed("a share index is larger than the number of slots");
    assert_eq!(refused(split(), |header| header.slots[2].share_index = 4), bad);
}

#[test]
fn a_header_over_64_kib_is_not_written() {
    let mut header = record();
    header.slots.push(slot("b"));
    header.slots[0].wrapped = vec![1; 40_000];
    header.slots[1].wrapped = vec![1; 40_000];
    assert_eq!(header.encode(&MAC, None).unwrap_err().kind(), ErrorKind::LimitExceeded);
    header.slots[1].wrapped = vec![1; 70_000];
    assert_eq!(header.encode(&MAC, None).unwrap_err().kind(), ErrorKind::LimitExceeded);
}
