//! What the service binds: the scope as `context` of a derived key (docs/FORMAT.md, section 6.4), and what
//! keeps a payload from opening as a wrapped key.

use base64ct::{Base64, Encoding};
use vault_crypto_core::{Scope, WrapContext};

use crate::ScopeBinding;

/// In place of `vaultkit.v1/kms`, which begins what a wrapped key is bound to.
pub(crate) const PAYLOAD_LABEL: &[u8] = b"vaultkit.v1/kms-payload\0";

/// What a request says of the scope, and what its plaintext begins with.
#[derive(Debug)]
pub(crate) struct Bound {
    /// base64, for a derived key.
    pub(crate) context: Option<String>,
    pub(crate) role: Role,
}

/// What a ciphertext is of. A derived key tells by its context, any other by what the plaintext begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A derived key keeps them apart.
    KeptApart,
    /// Begins with the label.
    Payload,
    /// Does not begin with the label.
    WrappedKey,
}

impl ScopeBinding {
    pub(crate) fn of_key(self, context: &WrapContext) -> Bound {
        match self {
            Self::DerivedKey => Bound::derived(&context.binding()),
            Self::HeaderMac => Bound { context: None, role: Role::WrappedKey },
        }
    }

    pub(crate) fn of_payload(self, scope: &Scope) -> Bound {
        match self {
            Self::DerivedKey => Bound::derived(&[PAYLOAD_LABEL, scope.canonical_pairs()].concat()),
            Self::HeaderMac => Bound { context: None, role: Role::Payload },
        }
    }
}

impl Bound {
    fn derived(bytes: &[u8]) -> Self {
        Self { context: Some(Base64::encode_string(bytes)), role: Role::KeptApart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_of_a_wrapped_key_is_what_the_format_says() {
        let scope = Scope::new([("tenant", "acme")]).unwrap();
        let bound = ScopeBinding::DerivedKey.of_key(&WrapContext::data_key(scope.clone()));
        let s = [b"vaultkit.v1/kms\0\x01", scope.canonical_pairs()].concat();
        assert_eq!(bound.context, Some(Base64::encode_string(&s)));
        let payload = ScopeBinding::DerivedKey.of_payload(&scope);
        assert_ne!(payload.context, bound.context);
    }
}
