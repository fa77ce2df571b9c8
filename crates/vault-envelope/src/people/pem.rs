//! PEM (RFC 7468) for the two labels that are read and written here. Base64 in constant time, because
//! private keys pass through; headers inside the frame (encrypted keys of old) are refused.

use base64ct::{Base64, Encoding as _};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};
use zeroize::Zeroizing;

const LINE: usize = 64;

/// The bytes under `label`, `None` where `text` does not start as this label does.
pub(super) fn decode(label: &str, text: &str) -> Option<Result<SecureBytes>> {
    let rest = text.trim_ascii().strip_prefix("-----BEGIN ")?.strip_prefix(label)?;
    Some(body(label, rest.strip_prefix("-----")?).ok_or_else(|| {
        CryptoError::new(ErrorKind::InvalidInput, Operation::Configure)
            .with_detail("not one whole PEM block with nothing before or behind it")
    }))
}

fn body(label: &str, rest: &str) -> Option<SecureBytes> {
    let rest = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    let base64: Zeroizing<Vec<u8>> =
        Zeroizing::new(rest.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    let mut out = SecureBytes::zeroed(base64.len() / 4 * 3);
    let len = Base64::decode(base64.as_slice(), out.as_mut_slice()).ok()?.len();
    out.truncate(len);
    (len > 0).then_some(out)
}

/// `der` under `label`, lines of 64 characters, no newline at the end.
pub(super) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut base64 = Zeroizing::new(vec![0; Base64::encoded_len(der)]);
    let encoded = Base64::encode(der, &mut base64).unwrap_or_default();
    let lines = encoded.len().div_ceil(LINE);
    // Sized once, so that nothing is left behind where the text was before it grew.
    let mut text =
        Zeroizing::new(String::with_capacity(encoded.len() + lines + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = encoded;
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back_and_the_text_never_grew() {
        for len in 1..200_u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(41)).collect();
            let text = encode("PUBLIC KEY", &bytes);
            assert_eq!(decode("PUBLIC KEY", &text).unwrap().unwrap(), bytes);
            assert!(text.lines().all(|line| line.len() <= LINE));
        }
    }

    #[test]
    fn another_label_is_another_sort_and_a_cut_block_is_refused() {
        let text = encode("PUBLIC KEY", &[7; 100]);
        assert!(decode("PRIVATE KEY", &text).is_none());
        let windows = text.replace('\n', "\r\n") + "\r\n";
        assert_eq!(decode("PUBLIC KEY", &windows).unwrap().unwrap(), [7; 100]);
        for cut in [text.len() - 1, 60, 40] {
            assert!(decode("PUBLIC KEY", &text[..cut]).unwrap().is_err(), "{cut}");
        }
        let other_end = text.replace("END PUBLIC", "END PRIVATE");
        assert!(decode("PUBLIC KEY", &other_end).unwrap().is_err());
        let header = text.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1);
        assert!(decode("PUBLIC KEY", &header).unwrap().is_err());
    }
}
