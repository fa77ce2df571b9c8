//! What binds the scope where the service cannot: RSA takes no associated data.
//!
//! A wrapped key is the bare payload (docs/FORMAT.md section 6.4, kind 4): the header's MAC binds its
//! scope. A payload of `encrypt` carries a label and the digest of its scope inside the plaintext, so that
//! it opens under no other scope and never as a wrapped key.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use vault_crypto_core::{KeyVersion, Scope, SecureBytes, constant_time_eq};

use crate::names::can_be_asked;

/// What a payload begins with and a wrapped key never does.
const LABEL: &[u8] = b"vaultkit.v1/payload\0";
const HEAD_LEN: usize = LABEL.len() + SHA256_OUTPUT_LEN;
/// Longest plaintext of RSA-OAEP-256 under the smallest key, 2048 bits (RFC 8017 section 7.1.1):
/// 256 - 2 * 32 - 2.
const MAX_RSA_LEN: usize = 190;
/// Longest payload in bytes, for wrapped keys and payloads alike.
pub(crate) const MAX_PAYLOAD_LEN: usize = MAX_RSA_LEN - HEAD_LEN;

/// Whether the bytes are the inside of a payload.
pub(crate) fn is_payload(bytes: &[u8]) -> bool {
    bytes.starts_with(LABEL)
}

/// label || SHA-256(canonical scope) || plaintext
pub(crate) fn enclose(plaintext: &[u8], scope: &Scope) -> SecureBytes {
    let mut whole = SecureBytes::zeroed(HEAD_LEN + plaintext.len());
    let (head, rest) = whole.as_mut_slice().split_at_mut(HEAD_LEN);
    head.copy_from_slice(&head_of(scope));
    rest.copy_from_slice(plaintext);
    whole
}

/// The plaintext, if the payload is one of this scope.
pub(crate) fn disclose(whole: &SecureBytes, scope: &Scope) -> Option<SecureBytes> {
    let (head, rest) = whole.as_slice().split_at_checked(HEAD_LEN)?;
    constant_time_eq(head, &head_of(scope)).then(|| SecureBytes::new(rest.to_vec()))
}

fn head_of(scope: &Scope) -> Vec<u8> {
    [LABEL, digest(&SHA256, scope.canonical_pairs()).as_ref()].concat()
}

/// A payload as it is handed out: u8 length || version || what the service answered.
pub(crate) fn pack(version: &KeyVersion, bytes: &[u8]) -> Option<Vec<u8>> {
    let len = u8::try_from(version.as_str().len()).ok()?;
    Some([&[len], version.as_str().as_bytes(), bytes].concat())
}

/// Takes a payload apart; `None` if nobody packed it.
pub(crate) fn unpack(packed: &[u8]) -> Option<(KeyVersion, &[u8])> {
    let (len, rest) = packed.split_first()?;
    let (version, bytes) = rest.split_at_checked(usize::from(*len))?;
    let version = KeyVersion::new(std::str::from_utf8(version).ok()?).ok()?;
    (can_be_asked(&version) && is_rsa_len(bytes.len())).then_some((version, bytes))
}

/// Lengths of what RSA keys of 2048, 3072 and 4096 bits give.
pub(crate) fn is_rsa_len(len: usize) -> bool {
    [256, 384, 512].contains(&len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(tenant: &str) -> Scope {
        Scope::new([("tenant", tenant)]).unwrap()
    }

    #[test]
    fn a_payload_opens_under_its_scope_alone() {
        let whole = enclose(b"4111", &scope("acme"));
        assert!(is_payload(whole.as_slice()));
        assert_eq!(disclose(&whole, &scope("acme")).unwrap(), b"4111");
        assert!(disclose(&whole, &scope("other")).is_none());
        assert!(disclose(&whole, &Scope::empty()).is_none());
        assert!(disclose(&SecureBytes::new(vec![7; 32]), &scope("acme")).is_none());
    }

    #[test]
    fn the_longest_payload_just_fits_the_smallest_key() {
        let longest = enclose(&[7; MAX_PAYLOAD_LEN], &scope("acme"));
        assert_eq!(longest.len(), MAX_RSA_LEN);
        assert_eq!(MAX_PAYLOAD_LEN, 138);
    }

    #[test]
    fn what_nobody_packed_is_not_taken_apart() {
        let version = KeyVersion::new("0f").unwrap();
        let packed = pack(&version, &[9; 256]).unwrap();
        assert_eq!(unpack(&packed).unwrap(), (version, &[9; 256][..]));
        for foreign in [&b""[..], b"x", &[0xa5; 200], b"vault:v1:AAAA", &[0; 300], &packed[..258]] {
            assert!(unpack(foreign).is_none());
        }
    }
}
