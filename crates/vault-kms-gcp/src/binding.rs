//! What the service binds as additional authenticated data.
//!
//! Wrapped keys carry S of docs/FORMAT.md section 3. Payloads carry another label, so that one never opens
//! as the other.

use vault_crypto_core::{Scope, WrapContext};

const PAYLOAD_LABEL: &[u8] = b"vaultkit.v1/kms-payload\0";

/// `S = "vaultkit.v1/kms" || 00 || u8 role || pairs(scope)`.
pub(crate) fn wrapped_key(context: &WrapContext) -> Vec<u8> {
    context.binding()
}

/// `"vaultkit.v1/kms-payload" || 00 || pairs(scope)`.
pub(crate) fn payload(scope: &Scope) -> Vec<u8> {
    [PAYLOAD_LABEL, scope.canonical_pairs()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_format() {
        let scope = Scope::new([("tenant", "acme")]).unwrap();
        let pairs = b"\x00\x01\x00\x06tenant\x00\x04acme";
        let context = WrapContext::data_key(scope.clone());
        assert_eq!(wrapped_key(&context), [b"vaultkit.v1/kms\0\x01", &pairs[..]].concat());
        assert_eq!(payload(&scope), [b"vaultkit.v1/kms-payload\0", &pairs[..]].concat());
    }
}
