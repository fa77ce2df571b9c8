//! Reading Vault's audit log: which calls it answered, and how.

use serde_json::Value;

use super::super::ServerError;

/// One call that the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultCall {
    /// `create`, `read`, `update`, `delete`, `list` or `patch`. What a client writes is an `update`
    /// where the path knows no other.
    pub operation: String,
    /// The path without `/v1/`, as `transit/datakey/plaintext/orders`.
    pub path: String,
    /// The namespace in which it was made; empty for the root.
    pub namespace: String,
    /// Whether it was refused or failed.
    pub failed: bool,
}

/// The calls of a whole log.
pub(super) fn calls(log: &str) -> Result<Vec<VaultCall>, ServerError> {
    let broken = |error| ServerError(format!("the audit log has a line that is no JSON: {error}"));
    let entries: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    Ok(entries.map_err(broken)?.iter().filter_map(call).collect())
}

/// An entry of the type `response` comes last, when the answer is known and not yet sent.
fn call(entry: &Value) -> Option<VaultCall> {
    if entry.get("type")?.as_str()? != "response" {
        return None;
    }
    let request = entry.get("request")?;
    let text =
        |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let namespace = request.pointer("/namespace/path").and_then(Value::as_str).unwrap_or_default();
    let failed = entry.get("error").is_some() || entry.pointer("/response/data/error").is_some();
    Some(VaultCall {
        operation: text("operation"),
        path: text("path"),
        namespace: namespace.to_owned(),
        failed,
    })
}
