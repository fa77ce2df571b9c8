//! Witness three: answers of the service as Microsoft published them with its own clients' tests (the recordings of
//! `sdk/keyvault/keyvault-keys` in <https://github.com/Azure/azure-sdk-for-js> up to 2022, and what the tests of
//! `sdk/keyvault/azure-security-keyvault-keys` in <https://github.com/Azure/azure-sdk-for-cpp> expect).

use serde_json::json;
use vault_testkit::fakes::azure::{FakeKeyVault, FakeKeyVaultOptions};

use super::client::Asks as _;

#[test]
fn what_is_not_there_is_not_found_in_the_services_words() {
    let vault = FakeKeyVault::start();
    let expected = r#"{"error":{"code":"KeyNotFound","message":"A key with (name/id) none was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"}}"#;
    for (method, path) in
        [("GET", "/keys/none/"), ("POST", "/keys/none/backup"), ("DELETE", "/keys/none")]
    {
        let answer = vault.call(method, path, "");
        assert_eq!((answer.status, answer.body.as_str()), (404, expected), "{method} {path}");
    }
    let expected = r#"{"error":{"code":"KeyNotFound","message":"Deleted Key not found: none"}}"#;
    for (method, path) in [("GET", "/deletedkeys/none"), ("POST", "/deletedkeys/none/recover")] {
        let answer = vault.call(method, path, "");
        assert_eq!((answer.status, answer.body.as_str()), (404, expected), "{method} {path}");
    }
}

#[test]
fn a_name_in_use_by_a_deleted_key_is_a_conflict_in_the_services_words() {
    let vault = FakeKeyVault::start();
    vault.create("k");
    vault.slow_deletions(1);
    vault.call("DELETE", "/keys/k", "");
    let message = |expected: &str| {
        let answer = vault.call("POST", "/keys/k/create", r#"{"kty":"RSA"}"#);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("Conflict")));
        assert_eq!(answer.json()["error"]["message"], expected);
    };
    message("Key k is currently being deleted and cannot be re-created; retry later.");
    vault.call("GET", "/deletedkeys/k", "");
    message(
        "Key k is currently in a deleted but recoverable state, and its name cannot be reused; in this \
         state, the key can only be recovered or purged.",
    );
}

#[test]
fn a_deleted_key_has_the_members_and_the_dates_that_the_service_gave() {
    let vault = FakeKeyVault::start_with(FakeKeyVaultOptions::new().with_retention_days(7));
    vault.create("k");
    let deleted = vault.call("DELETE", "/keys/k", "").json();
    let members: Vec<&str> = deleted.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["attributes", "deletedDate", "key", "recoveryId", "scheduledPurgeDate"]);
    assert_eq!(deleted["recoveryId"], format!("{}/deletedkeys/k", vault.url()));
    // 1619645703 and 1620250503 in the recording: seven days.
    let seconds = |name: &str| deleted[name].as_u64().unwrap();
    assert_eq!(
        seconds("scheduledPurgeDate") - seconds("deletedDate"),
        1_620_250_503 - 1_619_645_703
    );
    let key = deleted["key"].as_object().unwrap();
    assert_eq!(key.keys().collect::<Vec<_>>(), ["e", "key_ops", "kid", "kty", "n"]);
    let operations = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"];
    assert_eq!(key["key_ops"], json!(operations));
    // The first page may be empty, and the next one's address has the port in it.
    let page = vault.call("GET", "/deletedkeys", "").json();
    assert_eq!(page["value"], json!([]));
    let next = format!("{}:443/deletedkeys?api-version=2025-07-01&$skiptoken=", vault.url());
    assert!(page["nextLink"].as_str().unwrap().starts_with(&next));
}

#[test]
fn a_rotation_policy_comes_back_with_the_notice_that_the_service_adds() {
    let vault = FakeKeyVault::start();
    vault.create("k");
    let rotate = json!({ "trigger": { "timeAfterCreate": "P2M" }, "action": { "type": "Rotate" } });
    let notify =
        json!({ "trigger": { "timeBeforeExpiry": "P30D" }, "action": { "type": "Notify" } });
    let asked = json!({ "lifetimeActions": [rotate], "attributes": {} }).to_string();
    let policy = vault.call("PUT", "/keys/k/rotationpolicy", &asked).json();
    assert_eq!(policy["id"], format!("{}/keys/k/rotationpolicy", vault.url()));
    assert_eq!(policy["lifetimeActions"], json!([rotate, notify]));
    let attributes: Vec<&String> = policy["attributes"].as_object().unwrap().keys().collect();
    assert_eq!(attributes, ["created", "updated"]);
    // A policy that has a notice gets no second one, and the time it asks for is kept.
    let asked = json!({ "lifetimeActions": [notify], "attributes": { "expiryTime": "P90D" } });
    let policy = vault.call("PUT", "/keys/k/rotationpolicy", &asked.to_string()).json();
    assert_eq!(policy["lifetimeActions"], json!([notify]));
    assert_eq!(policy["attributes"]["expiryTime"], "P90D");
}
