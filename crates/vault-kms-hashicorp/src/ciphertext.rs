//! Transit's ciphertexts: `vault:v3:` and base64, read strictly, so that no two texts stand for the same
//! bytes and nothing but a ciphertext reaches a request.

use base64ct::{Base64, Encoding};

/// A number of a version has at most ten digits.
const MAX_VERSION_DIGITS: usize = 10;
/// Nonce and tag of AES-GCM and of ChaCha20-Poly1305.
const OVERHEAD: usize = 12 + 16;
/// Room for the longest payload, twice over.
const MAX_LEN: usize = 32 * 1_024;

/// A checked ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ciphertext<'a> {
    pub(crate) text: &'a str,
    pub(crate) version: u32,
}

impl<'a> Ciphertext<'a> {
    /// `None` for anything that Transit does not write.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes.get(..MAX_LEN.min(bytes.len()))?).ok()?;
        let (version, encoded) = text.strip_prefix("vault:v")?.split_once(':')?;
        let digits = (1..=MAX_VERSION_DIGITS).contains(&version.len())
            && !version.starts_with('0')
            && version.bytes().all(|byte| byte.is_ascii_digit());
        // The server's own decoder overlooks bits at the end.
        let decoded = Base64::decode_vec(encoded).ok()?;
        let whole = bytes.len() <= MAX_LEN && decoded.len() >= OVERHEAD;
        let version = version.parse().ok().filter(|_| digits && whole)?;
        Some(Self { text, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "vault:v1:Bj1aXSRdA1mXATn6bjfv7f2jO2/PgkwfxVKW6BYyyQ==";

    #[test]
    fn what_transit_writes_is_read() {
        let parsed = Ciphertext::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((parsed.text, parsed.version), (GOOD, 1));
        let later = GOOD.replace("v1:", "v4294967295:");
        assert_eq!(Ciphertext::parse(later.as_bytes()).unwrap().version, u32::MAX);
    }

    #[test]
    fn anything_else_is_not() {
        let bad = [
            "",
            "vault",
            "vault:v1:",
            "vault:v1:AAAA",
            "Vault:v1:",
            "vault:1:",
            // Another text for the same bytes: a bit that a lax decoder overlooks.
            "vault:v1:Bj1aXSRdA1mXATn6bjfv7f2jO2/PgkwfxVKW6BYyyR==",
        ];
        let edited = [
            GOOD.replace("v1:", "v01:"),
            GOOD.replace("v1:", "v0:"),
            GOOD.replace("v1:", "v+1:"),
            GOOD.replace("v1:", "v-1:"),
            GOOD.replace("v1:", "v4294967296:"),
            GOOD.replace("v1:", "v1:v1:"),
            GOOD.replace("==", ""),
            format!("{GOOD}\n"),
            GOOD.replace('/', "_"),
            format!(" {GOOD}"),
            format!("vault:v1:{}", "A".repeat(MAX_LEN)),
        ];
        for text in bad.iter().map(|text| (*text).to_owned()).chain(edited) {
            assert_eq!(Ciphertext::parse(text.as_bytes()), None, "{text:.60}");
        }
        assert_eq!(Ciphertext::parse(&[0xff; 40]), None);
    }
}
