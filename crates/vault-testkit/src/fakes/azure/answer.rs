//! What goes back over the wire: the body, the headers the service sends, and every refusal with the code
//! and the words it has there.
//!
//! Left to `routes` and `keys`: when which of them is due. A text that no recording and no page of the
//! reference shows is marked; no test relies on it.

use serde_json::{Value, json};

/// An answer before the headers that all have in common.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// 200 with a document.
    pub(super) fn ok(body: &Value) -> Self {
        Self::json(200, body.to_string())
    }

    /// 204, which a purge answers.
    pub(super) fn no_content() -> Self {
        Self { status: 204, body: String::new(), headers: Vec::new() }
    }

    pub(super) fn json(status: u16, body: String) -> Self {
        Self { status, body, headers: Vec::new() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `KeyVaultError` of the reference, byte for byte as recorded: code first, then message, then, if there
    /// is one, the inner code. <https://learn.microsoft.com/rest/api/keyvault/keys/get-key/get-key#error>
    fn refusal(status: u16, code: &str, message: &str, inner: Option<&str>) -> Self {
        let (code, message) = (json!(code), json!(message));
        let inner = inner.map(|inner| format!(r#","innererror":{{"code":{}}}"#, json!(inner)));
        let inner = inner.unwrap_or_default();
        Self::json(status, format!(r#"{{"error":{{"code":{code},"message":{message}{inner}}}}}"#))
    }
}

/// No token: recorded.
pub(super) fn missing_token() -> Answer {
    Answer::refusal(
        401,
        "Unauthorized",
        "AKV10000: Request is missing a Bearer or PoP token.",
        None,
    )
}

/// A token that is no token of the tenant's, is expired or was revoked.
/// <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>
pub(super) fn bad_token() -> Answer {
    let message = "[TokenExpired] Error validating token: 'S2S12086'.";
    Answer::refusal(401, "Unauthorized", message, None)
}

/// A token for another service (same page).
pub(super) fn wrong_audience(found: &str) -> Answer {
    let message =
        format!("AKV10022: Invalid audience. Expected https://vault.azure.net, found: {found}.");
    Answer::refusal(401, "Unauthorized", &message, None)
}

/// A token of another tenant (same page).
pub(super) fn wrong_issuer(expected: &str, found: &str) -> Answer {
    let message = format!("AKV10032: Invalid issuer. Expected one of {expected}, found {found}.");
    Answer::refusal(401, "Unauthorized", &message, None)
}

/// Too many requests, with how long to wait if it says so.
/// <https://learn.microsoft.com/azure/key-vault/general/overview-throttling>
pub(super) fn throttled(retry_after: Option<u64>) -> Answer {
    let message = "Request was not processed because too many requests were received. Reason: \
                   VaultRequestTypeLimitReached";
    let answer = Answer::refusal(429, "Throttled", message, None);
    match retry_after {
        Some(seconds) => answer.with_header("retry-after", seconds.to_string()),
        None => answer,
    }
}

/// The caller has no role that allows `action`.
/// <https://learn.microsoft.com/azure/key-vault/general/rbac-guide>
pub(super) fn not_authorized(caller: &str, action: &str, vault: &str) -> Answer {
    let message = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments \
         or role definitions were changed recently, please observe propagation time.\r\nCaller: \
         {caller}\r\nAction: 'Microsoft.KeyVault/vaults/keys/{action}/action'\r\nAssignment: (not \
         found)\r\nDecisionReason: 'DeniedWithNoValidRBAC' \r\nVault: {vault};location=westeurope\r\n"
    );
    Answer::refusal(403, "Forbidden", &message, Some("ForbiddenByRbac"))
}

/// No such key, no such version, or the key is deleted: recorded by Microsoft's own clients.
pub(super) fn key_not_found(name: &str) -> Answer {
    let message = format!(
        "A key with (name/id) {name} was not found in this key vault. If you recently deleted this key you \
         may be able to recover it using the correct recovery command. For help resolving this issue, \
         please see https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    Answer::refusal(404, "KeyNotFound", &message, None)
}

/// Nothing deleted has that name (or not yet): recorded by Microsoft's own clients.
pub(super) fn deleted_key_not_found(name: &str) -> Answer {
    Answer::refusal(404, "KeyNotFound", &format!("Deleted Key not found: {name}"), None)
}

/// The name belongs to a deleted key until that is recovered or purged (the tests of Microsoft's C++ client).
pub(super) fn deleted_but_recoverable(name: &str) -> Answer {
    let message = format!(
        "Key {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
         state, the key can only be recovered or purged."
    );
    Answer::refusal(409, "Conflict", &message, Some("ObjectIsDeletedButRecoverable"))
}

/// A deletion takes some seconds, in which the name is neither here nor there (same tests).
pub(super) fn being_deleted(name: &str) -> Answer {
    let message =
        format!("Key {name} is currently being deleted and cannot be re-created; retry later.");
    Answer::refusal(409, "Conflict", &message, Some("ObjectIsBeingDeleted"))
}

/// A key of that name is there: a backup is not restored over it. (Code and status of the reference; words ours.)
pub(super) fn already_exists(name: &str) -> Answer {
    Answer::refusal(409, "Conflict", &format!("Key {name} already exists."), None)
}

/// `enabled` is false: status, code and inner code as seen against the live service in
/// <https://github.com/Azure/azure-sdk-for-python/issues/45342>.
pub(super) fn disabled(operation: &str) -> Answer {
    let message = format!("Operation {operation} is not allowed on a disabled key.");
    Answer::refusal(403, "Forbidden", &message, Some("KeyDisabled"))
}

/// `key_ops` does not name the operation:
/// <https://github.com/Azure/azure-sdk-for-net/blob/main/sdk/keyvault/TROUBLESHOOTING.md>
pub(super) fn not_permitted(operation: &str) -> Answer {
    let message = format!("Operation {operation} is not permitted on this key.");
    Answer::refusal(403, "Forbidden", &message, Some("KeyOperationForbidden"))
}

/// Before `nbf` (inner code as clients match it; words ours).
pub(super) fn not_yet_valid(operation: &str) -> Answer {
    let message = format!("Operation {operation} is not allowed on a key that is not yet valid.");
    Answer::refusal(403, "Forbidden", &message, Some("KeyNotYetValid"))
}

/// After `exp` (inner code and words ours).
pub(super) fn expired(operation: &str) -> Answer {
    let message = format!("Operation {operation} is not allowed on an expired key.");
    Answer::refusal(403, "Forbidden", &message, Some("KeyExpired"))
}

/// Purging where the vault is protected from it.
pub(super) fn purge_protected(vault: &str) -> Answer {
    let message = format!(
        "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault \
         service will automatically purge it after the retention period has passed.\r\nVault: \
         {vault};location=westeurope"
    );
    Answer::refusal(403, "Forbidden", &message, None)
}

/// A ciphertext that does not open, whatever is wrong with it, and a plaintext that does not fit: recorded.
pub(super) fn incorrect_parameter() -> Answer {
    Answer::refusal(400, "BadParameter", "The parameter is incorrect.\r\n", None)
}

/// A name outside of `^[0-9a-zA-Z-]{1,127}$`.
/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates>
pub(super) fn invalid_name(name: &str) -> Answer {
    let message = format!("The request URI contains an invalid name: {name}");
    Answer::refusal(400, "BadParameter", &message, None)
}

/// Anything else about the request (code of the reference; words ours).
pub(super) fn bad_parameter(message: &str) -> Answer {
    Answer::refusal(400, "BadParameter", message, None)
}

/// A path that a vault does not have; `/rng` is one, for only a Managed HSM has it (words ours).
/// <https://learn.microsoft.com/rest/api/keyvault/keys/get-random-bytes/get-random-bytes>
pub(super) fn no_such_path() -> Answer {
    Answer::refusal(404, "NotFound", "The requested resource was not found.", None)
}
