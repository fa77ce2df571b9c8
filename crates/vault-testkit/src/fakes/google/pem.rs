//! RFC 7468: DER as text.
//!
//! Left to others: what the DER says.

use base64ct::{Base64, Encoding as _};

/// In lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let lines = der.chunks(48).map(|line| Base64::encode_string(line) + "\n");
    let text: String = lines.collect();
    format!("-----BEGIN {label}-----\n{text}-----END {label}-----\n")
}
