//! Finds secrets in text: whatever a type prints must hold no key bytes and no plaintext.
//!
//! Looked for are the bytes themselves, hexadecimal (both cases, with and without separators),
//! base64 (both alphabets) and lists of numbers, and not only the whole secret: any
//! eight bytes in a row count. Left to others: collecting the text (logs, crash dumps, panics).

use std::error::Error;
use std::fmt::{Debug, Display};

/// How many bytes in a row count as a leak.
const WINDOW: usize = 8;

/// A secret to look for.
pub struct SecretScan {
    needles: Vec<Needle>,
}

struct Needle {
    form: &'static str,
    text: String,
}

impl SecretScan {
    /// Prepares to look for `secret` in every form.
    ///
    /// # Panics
    /// For a secret of fewer than 8 bytes: anything that short is found by chance.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        assert!(secret.len() >= WINDOW, "a secret of fewer than 8 bytes is found by chance");
        let windows = secret.windows(WINDOW);
        Self { needles: windows.flat_map(needles).collect() }
    }

    /// The form in which the secret, or a part of it, stands in `text`.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&'static str> {
        // Without blanks and line breaks, lists and dumps look alike however they are laid out.
        let dense: String = text.split_whitespace().collect();
        let found = |needle: &&Needle| text.contains(&needle.text) || dense.contains(&needle.text);
        self.needles.iter().find(found).map(|needle| needle.form)
    }

    /// The same for bytes that need not be text.
    #[must_use]
    pub fn find_in_bytes(&self, bytes: &[u8]) -> Option<&'static str> {
        // Bytes one to one as the code points of Latin-1: no byte is lost, and ASCII stays itself.
        let latin: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        self.find(&latin).or_else(|| self.find(&String::from_utf8_lossy(bytes)))
    }

    /// Looks at what `value` prints as `Debug`, plain and pretty.
    ///
    /// # Panics
    /// If the secret is in it.
    pub fn assert_absent_from_debug(&self, name: &str, value: &dyn Debug) {
        self.assert_absent(name, &format!("{value:?}"));
        self.assert_absent(name, &format!("{value:#?}"));
        self.assert_absent(name, &format!("{value:02x?}"));
    }

    /// Looks at what `value` prints as `Display`.
    ///
    /// # Panics
    /// If the secret is in it.
    pub fn assert_absent_from_display(&self, name: &str, value: &dyn Display) {
        self.assert_absent(name, &value.to_string());
    }

    /// Looks at an error and all its sources.
    ///
    /// # Panics
    /// If the secret is in one of them.
    pub fn assert_absent_from_error(&self, name: &str, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.assert_absent_from_debug(name, &error);
            self.assert_absent_from_display(name, &error);
            next = error.source();
        }
    }

    /// Looks at `text`. The message of the panic does not repeat it.
    ///
    /// # Panics
    /// If the secret is in it.
    pub fn assert_absent(&self, name: &str, text: &str) {
        if let Some(form) = self.find(text) {
            panic!("{name} shows a secret as {form}");
        }
    }
}

impl Debug for SecretScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretScan([REDACTED])")
    }
}

fn needles(window: &[u8]) -> Vec<Needle> {
    let list = |separator: &str, show: fn(&u8) -> String| {
        window.iter().map(show).collect::<Vec<_>>().join(separator)
    };
    let mut all = vec![
        needle("hexadecimal", list("", |byte| format!("{byte:02x}"))),
        needle("hexadecimal", list("", |byte| format!("{byte:02X}"))),
        needle("coloned hexadecimal", list(":", |byte| format!("{byte:02x}"))),
        needle("a list of hexadecimal numbers", list(",", |byte| format!("{byte:02x}"))),
        needle("a list of hexadecimal numbers", list(",", |byte| format!("0x{byte:02x}"))),
        needle("a list of numbers", list(",", u8::to_string)),
        needle("bytes", window.iter().map(|byte| char::from(*byte)).collect()),
        needle("an escaped string", window.escape_ascii().to_string()),
    ];
    if let Ok(text) = std::str::from_utf8(window) {
        all.push(needle("text", text.to_owned()));
        all.push(needle("an escaped string", text.escape_debug().to_string()));
    }
    for alphabet in [STANDARD, URL_SAFE] {
        all.extend((0..3).map(|shift| needle("base64", base64_middle(window, shift, alphabet))));
    }
    all
}

fn needle(form: &'static str, text: String) -> Needle {
    Needle { form, text }
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The base64 characters that depend on `window` alone when it begins `shift` bytes into a group.
fn base64_middle(window: &[u8], shift: usize, alphabet: &[u8; 64]) -> String {
    let bits = 8 * window.len();
    // Bit 0 is the window's first; a group begins `8 * shift` bits before it.
    let first = (6 - (8 * shift) % 6) % 6;
    let starts = (first..bits).step_by(6).take_while(|start| start + 6 <= bits);
    let value = |start: usize| {
        (start..start + 6).fold(0_usize, |value, bit| {
            let byte = window.get(bit / 8).copied().unwrap_or_default();
            (value << 1) | usize::from((byte >> (7 - bit % 8)) & 1)
        })
    };
    let chars = starts.filter_map(|start| alphabet.get(value(start)).copied());
    chars.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 16] = b"\x00\xffkey-\"bytes\x80\x9a\x01\x7f";

    #[test]
    fn every_form_of_a_secret_or_half_of_it_is_found() {
        let scan = SecretScan::new(SECRET);
        let half = &SECRET[4..];
        for text in [
            format!("{SECRET:?}"),
            format!("{half:?}"),
            format!("{SECRET:#?}"),
            format!("{SECRET:02x?}"),
            half.iter().map(|b| format!("{b:02x}")).collect(),
            half.iter().map(|b| format!("{b:02X}")).collect(),
            SECRET.escape_ascii().to_string(),
            "AP9rZXktImJ5dGVzgJoBfw==".to_owned(), // base64 of it
            "eHgA/2tleS0iYnl0ZXOAmgF/".to_owned(), // base64 of "xx" and it
            "eAD_a2V5LSJieXRlc4CaAX8=".to_owned(), // base64url of "x" and it
        ] {
            assert!(scan.find(&text).is_some(), "not found in {text}");
        }
        assert!(scan.find_in_bytes(&[b"before", &SECRET[..], b"after"].concat()).is_some());
        assert!(SecretScan::new(b"plaintext of a row").find("the plaintext of it").is_some());
    }

    #[test]
    fn seven_bytes_and_innocent_text_are_not_a_leak() {
        let scan = SecretScan::new(SECRET);
        assert_eq!(scan.find("SecureBytes([REDACTED]) AuthenticationFailed"), None);
        assert_eq!(scan.find(&format!("{:?}", &SECRET[..7])), None);
    }
}
