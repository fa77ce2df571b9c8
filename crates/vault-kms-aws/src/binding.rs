//! What AWS KMS binds besides the key: the `EncryptionContext` of docs/FORMAT.md section 6.4, kind 2.

use std::collections::HashMap;

use vault_crypto_core::{Scope, WrapContext, WrapKind};

/// The pair that tells wrapped keys of different roles, and payloads, apart. No scope name holds a colon.
pub(crate) const KIND: &str = "vaultkit:kind";

/// The context of a wrapped key.
pub(crate) fn of_key(context: &WrapContext) -> Option<HashMap<String, String>> {
    let kind = match context.kind {
        WrapKind::DataKey => "data-key",
        WrapKind::Share => "share",
        WrapKind::BranchKey => "branch-key",
        _ => return None,
    };
    Some(with_kind(&context.scope, kind))
}

/// The context of a payload, which never opens as a key.
pub(crate) fn of_payload(scope: &Scope) -> HashMap<String, String> {
    with_kind(scope, "payload")
}

fn with_kind(scope: &Scope, kind: &str) -> HashMap<String, String> {
    let own = (KIND.to_owned(), kind.to_owned());
    let pairs = scope.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.chain([own]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_context_of_its_own() {
        let scope = Scope::new([("tenant", "acme")]).expect("a scope");
        let kinds = [WrapKind::DataKey, WrapKind::Share, WrapKind::BranchKey];
        let mut told: Vec<String> = kinds
            .map(|kind| {
                of_key(&WrapContext::new(kind, scope.clone())).expect("a known role")[KIND].clone()
            })
            .to_vec();
        told.push(of_payload(&scope)[KIND].clone());
        assert_eq!(told, ["data-key", "share", "branch-key", "payload"]);
        assert_eq!(of_payload(&scope)["tenant"], "acme");
        assert_eq!(of_payload(&scope).len(), 2);
    }
}
