//! The few bytes of protobuf that no generated type of ours covers: details of statuses, and the form of
//! a ciphertext.
//!
//! Left to others: every message of the service itself, which the client library generates.

/// Appends the length-delimited field `number` (1 to 15).
pub(super) fn put(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the number field `number` (1 to 15), unless it is zero.
pub(super) fn put_number(out: &mut Vec<u8>, number: u8, value: u64) {
    if value != 0 {
        out.push(number << 3);
        put_varint(out, value);
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes the length-delimited field `number` off the front of `bytes`.
pub(super) fn take<'a>(bytes: &mut &'a [u8], number: u8) -> Option<&'a [u8]> {
    let (tag, rest) = bytes.split_first()?;
    let (len, rest) = take_varint(rest)?;
    let len = usize::try_from(len).ok()?;
    if *tag != number << 3 | 2 || len > rest.len() {
        return None;
    }
    let (field, rest) = rest.split_at(len);
    *bytes = rest;
    Some(field)
}

/// A number in its shortest form, and what follows it.
fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let shortest = at == 0 || *byte != 0;
            return shortest.then(|| (value, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken_and_nothing_else_is() {
        for len in [0, 1, 127, 128, 300, 70_000] {
            let mut bytes = Vec::new();
            put(&mut bytes, 1, &vec![7; len]);
            put(&mut bytes, 2, b"rest");
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest, 2), None, "the wrong field");
            assert_eq!(take(&mut rest, 1).unwrap(), vec![7; len]);
            assert_eq!(take(&mut rest, 2).unwrap(), b"rest");
            assert!(rest.is_empty());
            assert_eq!(take(&mut rest, 1), None);
        }
        assert_eq!(take(&mut [0x0a, 2, 1].as_slice(), 1), None, "cut off");
        assert_eq!(take(&mut [0x0a, 0x81, 0].as_slice(), 1), None, "not the shortest form");
    }
}
