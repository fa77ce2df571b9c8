//! The canonical, injective encoding of name-value pairs (docs/FORMAT.md section 2):
//! `u16 n || n x (u16+name || u16+value)`, ascending by name bytes, no normalisation.

use crate::{CryptoError, ErrorKind, Operation, Result};

/// Encodes `pairs` canonically. The caller has checked names and values.
///
/// A repeated name is an error, because two readers could disagree on which value counts.
pub(crate) fn encode(mut pairs: Vec<(String, String)>) -> Result<Vec<u8>> {
    pairs.sort();
    let repeated = pairs.windows(2).any(|w| matches!(w, [(a, _), (b, _)] if a == b));
    if repeated {
        return Err(invalid("a name is given twice"));
    }
    let count = u16::try_from(pairs.len()).map_err(|_| invalid("too many pairs"))?;
    let size: usize = pairs.iter().map(|(n, v)| 4 + n.len() + v.len()).sum();
    let mut out = Vec::with_capacity(2 + size);
    out.extend_from_slice(&count.to_be_bytes());
    for (name, value) in &pairs {
        push_field(&mut out, name.as_bytes())?;
        push_field(&mut out, value.as_bytes())?;
    }
    Ok(out)
}

/// Decodes and checks that the bytes are the canonical encoding and nothing else.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let (count, mut rest) = take_u16(bytes)?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for _ in 0..count {
        let (name, after) = take_text(rest)?;
        let (value, after) = take_text(after)?;
        if pairs.last().is_some_and(|(last, _)| last.as_str() >= name.as_str()) {
            return None;
        }
        pairs.push((name, value));
        rest = after;
    }
    rest.is_empty().then_some(pairs)
}

fn push_field(out: &mut Vec<u8>, field: &[u8]) -> Result<()> {
    let len = u16::try_from(field.len()).map_err(|_| invalid("a name or value is too long"))?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(field);
    Ok(())
}

fn take_u16(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_be_bytes(*len)), rest))
}

fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (len, rest) = take_u16(bytes)?;
    let (text, rest) = rest.split_at_checked(len)?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

pub(crate) fn invalid(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(why)
}
