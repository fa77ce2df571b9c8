//! A master secret as text: hex or base64 (RFC 4648, sections 8 and 4), strictly, so that a truncated or
//! padded value is an error instead of another secret.

use vault_crypto_core::SecureBytes;
use zeroize::Zeroizing;

use super::SECRET_LEN;

const BASE64_LEN: usize = 44;
const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The secret's file: 64 hex digits and a newline.
pub(super) fn encode(secret: &SecureBytes) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(2 * SECRET_LEN + 1));
    for byte in secret.as_slice() {
        for digit in [byte >> 4, byte & 15] {
            out.extend(HEX.get(usize::from(digit)));
        }
    }
    out.push(b'\n');
    out
}

/// 32 bytes that are not all zero; `None` for anything else.
pub(super) fn parse(text: &[u8]) -> Option<SecureBytes> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let secret = match text.len() {
        BASE64_LEN => base64(text)?,
        _ => hex(text)?,
    };
    let is_zero = secret.as_slice().iter().fold(0, |all, byte| all | byte) == 0;
    (secret.len() == SECRET_LEN && !is_zero).then_some(secret)
}

fn hex(text: &[u8]) -> Option<SecureBytes> {
    let mut secret = SecureBytes::zeroed(SECRET_LEN);
    if text.len() != 2 * SECRET_LEN {
        return None;
    }
    for (out, pair) in secret.as_mut_slice().iter_mut().zip(text.chunks_exact(2)) {
        for digit in pair {
            let value = position(HEX, digit.to_ascii_lowercase())?;
            *out = (*out << 4) | value;
        }
    }
    Some(secret)
}

/// 43 symbols and one `=`; the two bits that encode nothing must be zero.
fn base64(text: &[u8]) -> Option<SecureBytes> {
    let symbols = text.strip_suffix(b"=")?;
    let mut secret = SecureBytes::zeroed(SECRET_LEN);
    let mut out = secret.as_mut_slice().iter_mut();
    let (mut bits, mut held) = (0u32, 0u32);
    for symbol in symbols {
        bits = (bits << 6) | u32::from(position(BASE64, *symbol)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., byte] = (bits >> held).to_be_bytes();
            *out.next()? = byte;
            bits &= (1 << held) - 1;
        }
    }
    (bits == 0 && out.next().is_none()).then_some(secret)
}

/// Looks at every symbol, so that timing does not tell which one it was.
fn position(alphabet: &[u8], symbol: u8) -> Option<u8> {
    let mut found = None;
    for (value, candidate) in (0u8..).zip(alphabet) {
        if *candidate == symbol {
            found = Some(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base64_of_the_same_secret_are_equal_and_everything_else_is_refused() {
        let hex = b"000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
        let base64 = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let secret = parse(hex).unwrap();
        assert_eq!(secret.as_slice(), (0..32).collect::<Vec<u8>>());
        assert_eq!(parse(base64).unwrap(), secret);
        assert_eq!(parse(&encode(&secret)).unwrap(), secret);
        for bad in [
            &b""[..],
            b"00",
            &hex[1..],
            &[&hex[..], b"\n\n"].concat(),
            &[b" ", &hex[..]].concat(),
            &base64[..43],
            b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",
            b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-=",
            &[b'0'; 64],
        ] {
            assert!(parse(bad).is_none(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
