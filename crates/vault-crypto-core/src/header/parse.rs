//! Bytes to header, strictly: one encoding for one meaning, every limit checked before anything is
//! allocated for it, and nothing believed (the MAC comes later).

use super::{
    Binding, DATA_KEY_ID_LEN, Extension, Header, MAC_LEN, MAGIC, MAX_EXTENSIONS, MAX_HEADER_LEN,
    MAX_SLOTS, MESSAGE_ID_LEN, PREFIX_LEN, Shape, Slot, SlotKind, Suite,
};
use crate::{
    CryptoError, ErrorKind, KeyVersion, MAX_KEY_ID_LEN, MAX_KEY_VERSION_LEN, Operation, Result,
    Scope,
};

/// Shortest covered part: the fixed fields, no extension, one slot with a one-byte key id.
const MIN_COVERED_LEN: usize = 68 + 2 + 2 + 9;

/// The lengths that the first 12 bytes promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prefix {
    /// Length of the whole header in bytes: where an inline body starts.
    pub header_len: usize,
    /// Length of the covered part in bytes.
    pub covered_len: usize,
}

/// A header and the bytes it was read from. Unverified.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParsedHeader<'a> {
    /// What it says.
    pub header: Header,
    /// All bytes of the header, padding included.
    pub bytes: &'a [u8],
    /// The bytes under the MAC.
    pub covered: &'a [u8],
    /// The MAC.
    pub mac: &'a [u8; MAC_LEN],
}

impl ParsedHeader<'_> {
    /// Length of the header in bytes: where an inline body starts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never true; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Reads the first 12 bytes: how many more to read, at most 64 KiB in all.
///
/// # Errors
/// [`ErrorKind::Malformed`] for bytes that are not ours, are cut off, or lie about their length;
/// [`ErrorKind::Unsupported`] for another format version.
pub fn parse_prefix(bytes: &[u8]) -> Result<Prefix> {
    if bytes.is_empty() {
        return Err(malformed("the input is empty"));
    }
    let shown = bytes.get(..MAGIC.len().min(bytes.len())).unwrap_or_default();
    if !MAGIC.starts_with(shown) {
        let same_family = shown.len() == 4 && shown.get(..3) == MAGIC.get(..3);
        return Err(if same_family {
            unsupported("a message of another format version; use a newer program to open it")
        } else {
            malformed("not a message of this format")
        });
    }
    let mut reader = Reader(bytes.get(MAGIC.len()..).unwrap_or_default());
    let header_len = reader.u32().ok_or_else(cut_off)?;
    let covered_len = reader.u32().ok_or_else(cut_off)?;
    let header_len = usize::try_from(header_len).unwrap_or(usize::MAX);
    let covered_len = usize::try_from(covered_len).unwrap_or(usize::MAX);
    if header_len > MAX_HEADER_LEN {
        return Err(malformed("the header says it is longer than 65536 bytes"));
    }
    let least = PREFIX_LEN + MAC_LEN + 4;
    if covered_len < MIN_COVERED_LEN || header_len < least || covered_len > header_len - least {
        return Err(malformed("the header's lengths contradict each other"));
    }
    Ok(Prefix { header_len, covered_len })
}

/// Reads a whole header from the start of `bytes`; what follows it is not looked at.
///
/// # Errors
/// [`ErrorKind::Malformed`] for any byte that is not as docs/FORMAT.md says;
/// [`ErrorKind::Unsupported`] for a version, suite, shape or critical extension of a later day.
pub fn parse(bytes: &[u8]) -> Result<ParsedHeader<'_>> {
    let prefix = parse_prefix(bytes)?;
    let bytes = bytes.get(..prefix.header_len).ok_or_else(cut_off)?;
    let rest = bytes.get(PREFIX_LEN..).ok_or_else(cut_off)?;
    let (covered, rest) = rest.split_at_checked(prefix.covered_len).ok_or_else(cut_off)?;
    let (mac, rest) = rest.split_first_chunk::<MAC_LEN>().ok_or_else(cut_off)?;
    let mut header = parse_covered(covered)?;
    let mut reader = Reader(rest);
    for slot in &mut header.slots {
        parse_wrapped(&mut reader, slot)?;
    }
    if reader.0.iter().any(|byte| *byte != 0) {
        return Err(malformed("the header's padding is not zero"));
    }
    check_whole(&header)?;
    Ok(ParsedHeader { header, bytes, covered, mac })
}

fn parse_covered(covered: &[u8]) -> Result<Header> {
    let mut reader = Reader(covered);
    let [suite, shape, body_flags, header_flags, threshold, slot_count, zero_a, zero_b] =
        reader.array::<8>().ok_or_else(short)?;
    let suite = Suite::from_code(suite).ok_or_else(|| unsupported("an unknown suite"))?;
    let shape = Shape::from_code(shape).ok_or_else(|| unsupported("an unknown shape"))?;
    if body_flags > 1 || header_flags > 1 || zero_a != 0 || zero_b != 0 {
        return Err(malformed("a reserved bit is set"));
    }
    let slots = usize::from(slot_count);
    if slots == 0 || slots > MAX_SLOTS {
        return Err(malformed("a header has 1 to 16 key slots"));
    }
    if threshold == 0 || threshold > slot_count {
        return Err(malformed("the threshold is not between 1 and the number of slots"));
    }
    let mut header = Header::new(suite, shape);
    header.padded = body_flags == 1;
    header.exclusive = header_flags == 1;
    header.threshold = threshold;
    header.epoch = reader.u32().ok_or_else(short)?;
    header.data_key_id = reader.array::<DATA_KEY_ID_LEN>().ok_or_else(short)?;
    header.message_id = reader.array::<MESSAGE_ID_LEN>().ok_or_else(short)?;
    header.share_set = reader.array::<16>().ok_or_else(short)?;
    header.extensions = parse_extensions(reader.field().ok_or_else(short)?)?;
    for _ in 0..slots {
        let descriptor = reader.field().ok_or_else(short)?;
        header.slots.push(parse_descriptor(descriptor, threshold > 1)?);
    }
    if !reader.0.is_empty() {
        return Err(malformed("the covered part is longer than its content"));
    }
    Ok(header)
}

fn parse_extensions(bytes: &[u8]) -> Result<Vec<Extension>> {
    let mut reader = Reader(bytes);
    let mut extensions: Vec<Extension> = Vec::new();
    while !reader.0.is_empty() {
        let kind = reader.u16().ok_or_else(short)?;
        let value = reader.field().ok_or_else(short)?;
        let ascending = extensions.last().is_none_or(|last| last.kind < kind);
        if kind == 0 || !ascending || extensions.len() == MAX_EXTENSIONS {
            return Err(malformed("extensions are not ascending"));
        }
        let known = matches!(kind, Extension::SCOPE | Extension::CONTEXT | Extension::BRANCH);
        if kind >= Extension::CRITICAL && !known {
            return Err(unsupported("a critical extension that this version does not know"));
        }
        let valid = match kind {
            Extension::SCOPE => Scope::from_canonical(value).is_some(),
            Extension::CONTEXT => crate::context::is_canonical(value),
            Extension::BRANCH => value.len() == 20,
            _ => true,
        };
        if !valid {
            return Err(malformed("an extension is not in its canonical form"));
        }
        extensions.push(Extension::new(kind, value.to_vec()));
    }
    Ok(extensions)
}

fn parse_descriptor(bytes: &[u8], shares: bool) -> Result<Slot> {
    let mut reader = Reader(bytes);
    let [kind, binding, share_index, zero] = reader.array::<4>().ok_or_else(short)?;
    let kind = SlotKind::from_code(kind).ok_or_else(|| malformed("slot kind 0"))?;
    let binding = Binding::from_code(binding).ok_or_else(|| malformed("an unknown binding"))?;
    if zero != 0 || shares != (share_index != 0) {
        return Err(malformed("a slot's share index or reserved byte is wrong"));
    }
    let key_id = reader.field().ok_or_else(short)?;
    check_key_id(kind, key_id)?;
    let parameters = reader.field().ok_or_else(short)?.to_vec();
    let share_check = if shares { Some(reader.array::<16>().ok_or_else(short)?) } else { None };
    if !reader.0.is_empty() {
        return Err(malformed("a slot descriptor is longer than its content"));
    }
    Ok(Slot {
        kind,
        binding,
        share_index,
        key_id: key_id.to_vec(),
        parameters,
        share_check,
        version: KeyVersion::unknown(),
        wrapped: Vec::new(),
    })
}

fn check_key_id(kind: SlotKind, key_id: &[u8]) -> Result<()> {
    let valid = match kind {
        SlotKind::PASSPHRASE => key_id.is_empty(),
        SlotKind::HPKE | SlotKind::RSA_OAEP_256 => key_id.len() == 32,
        _ => {
            let text = std::str::from_utf8(key_id).unwrap_or_default();
            !text.is_empty() && text.len() <= MAX_KEY_ID_LEN && !text.chars().any(char::is_control)
        }
    };
    if valid { Ok(()) } else { Err(malformed("a slot's key id is not valid for its kind")) }
}

fn parse_wrapped(reader: &mut Reader<'_>, slot: &mut Slot) -> Result<()> {
    let version = reader.field().ok_or_else(short)?;
    let wrapped = reader.field().ok_or_else(short)?;
    let text = std::str::from_utf8(version).ok().filter(|text| text.len() <= MAX_KEY_VERSION_LEN);
    slot.version = text.and_then(|text| KeyVersion::new(text).ok()).ok_or_else(|| {
        malformed("a slot's key version has a byte or length that is not allowed")
    })?;
    if wrapped.is_empty() && slot.version.is_known() {
        return Err(malformed("a missing slot names a key version"));
    }
    slot.wrapped = wrapped.to_vec();
    Ok(())
}

/// Rules that concern several fields at once.
fn check_whole(header: &Header) -> Result<()> {
    let shares = header.threshold > 1;
    if shares == (header.share_set == [0; 16]) {
        return Err(malformed("the share set id does not fit the threshold"));
    }
    if header.suite == Suite::KcXaes256Gcm && header.shape == Shape::Stream {
        return Err(malformed("suite 3 has no streams"));
    }
    if header.shape == Shape::KeyEntry && header.padded {
        return Err(malformed("a key entry has no body to pad"));
    }
    if header.names_message() == (header.message_id == [0; MESSAGE_ID_LEN]) {
        return Err(malformed("the message id does not fit shape and flags"));
    }
    let needs_exclusive = shares || header.slots.iter().any(|slot| slot.kind.requires_exclusive());
    if needs_exclusive && !header.exclusive {
        return Err(malformed("such a slot or threshold needs an exclusive data key"));
    }
    let filled = header.slots.iter().filter(|slot| !slot.is_missing()).count();
    if filled == 0 || (shares && filled < header.slots.len()) {
        return Err(malformed("a slot that must be there is missing"));
    }
    check_distinct(header)
}

fn check_distinct(header: &Header) -> Result<()> {
    for (index, slot) in header.slots.iter().enumerate() {
        let earlier = header.slots.iter().take(index);
        let repeated = earlier.clone().any(|other| {
            (other.kind == slot.kind && other.key_id == slot.key_id)
                || (header.threshold > 1 && other.share_index == slot.share_index)
        });
        if repeated {
            return Err(malformed("two slots name the same key or share"));
        }
        if header.threshold > 1 && usize::from(slot.share_index) > header.slots.len() {
            return Err(malformed("a share index is larger than the number of slots"));
        }
    }
    Ok(())
}

fn malformed(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Malformed, Operation::Inspect).with_detail(why)
}

fn unsupported(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, Operation::Inspect).with_detail(why)
}

fn cut_off() -> CryptoError {
    malformed("cut off inside the header")
}

fn short() -> CryptoError {
    malformed("a field is longer than what holds it")
}

/// Takes fields off the front; `None` when there is too little.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let len = usize::from(self.u16()?);
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
}
