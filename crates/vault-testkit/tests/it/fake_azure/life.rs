//! A key's life in the fake: states, dates, versions, deletion, pages, by the published reference.

use std::time::Duration;

use serde_json::Value;
use vault_testkit::fakes::azure::{FakeKeyVault, FakeKeyVaultOptions};

use super::client::Asks as _;

const DAY: u64 = 86_400;

fn days(count: u64) -> Duration {
    Duration::from_secs(count * DAY)
}

#[test]
fn a_key_opens_only_what_the_same_version_sealed() {
    let vault = FakeKeyVault::start();
    let first = vault.create("k");
    let sealed = vault.used(&first, "wrapkey", "AAECAw").unwrap();
    let rotated = vault.call("POST", "/keys/k/rotate", "");
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    assert_eq!(vault.used(&first, "unwrapkey", &sealed).unwrap(), "AAECAw");
    assert_eq!(vault.used("/keys/k", "unwrapkey", &sealed), Err("BadParameter".into()));
    assert_eq!(vault.used("/keys/k/", "unwrapkey", &sealed), Err("BadParameter".into()));
    let newest = rotated.json()["key"]["kid"].as_str().unwrap().to_owned();
    assert!(newest.starts_with(&format!("{}/keys/k/", vault.url())), "{newest}");
    // The answer always says which version it was.
    let body = r#"{"alg":"RSA-OAEP-256","value":"AAECAw"}"#;
    assert_eq!(vault.call("POST", "/keys/k//wrapkey", body).json()["kid"], newest);
}

#[test]
fn only_the_algorithms_of_rsa_and_what_fits_are_taken() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    let curve = r#"{"kty":"EC","crv":"P-256","key_ops":["sign"]}"#;
    assert_eq!(vault.call("POST", "/keys/curve/create", curve).status, 200);
    for body in [
        r#"{"alg":"A256GCM","value":"AAAA"}"#,
        r#"{"alg":"RSA1_5","value":"AAAA"}"#,
        r#"{"alg":"RSA-OAEP-256"}"#,
        r#"{"value":"AAAA"}"#,
        r#"{"alg":"RSA-OAEP-256","value":"AAAAAA=="}"#,
        r#"{"alg":"RSA-OAEP-256","value":"++++"}"#,
        "{",
        "",
    ] {
        let answer = vault.call("POST", &format!("{key}/wrapkey"), body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "BadParameter"), "{body}");
    }
    // 190 bytes fit into 2048 bits, 191 do not.
    let largest = format!("{}A", "AAAA".repeat(63));
    assert!(vault.used(&key, "wrapkey", &format!("{}AA", &largest[..252])).is_ok());
    assert!(vault.used(&key, "wrapkey", &"AAAA".repeat(64)).is_err());
    assert_eq!(vault.used("/keys/curve", "wrapkey", "AAAA"), Err("KeyOperationForbidden".into()));
    for kind in [
        r#"{"kty":"oct"}"#,
        r#"{"kty":"RSA","key_size":1024}"#,
        r#"{"kty":"RSA","key_size":"2048"}"#,
        "{}",
    ] {
        assert_eq!(vault.call("POST", "/keys/odd/create", kind).status, 400, "{kind}");
    }
}

#[test]
fn a_disabled_version_is_shown_and_does_nothing_and_others_go_on() {
    let vault = FakeKeyVault::start();
    let first = vault.create("k");
    let sealed = vault.used(&first, "encrypt", "AAAA").unwrap();
    vault.call("POST", "/keys/k/rotate", "");
    let off = vault.call("PATCH", &first, r#"{"attributes":{"enabled":false}}"#);
    assert_eq!(off.json()["attributes"]["enabled"], false);
    for operation in ["encrypt", "decrypt", "wrapkey", "unwrapkey"] {
        assert_eq!(
            vault.used(&first, operation, &sealed),
            Err("KeyDisabled".into()),
            "{operation}"
        );
    }
    assert_eq!(vault.call("GET", &first, "").json()["attributes"]["enabled"], false);
    assert!(vault.used("/keys/k", "encrypt", "AAAA").is_ok());
    vault.call("PATCH", &first, r#"{"attributes":{"enabled":true}}"#);
    assert_eq!(vault.used(&first, "decrypt", &sealed).unwrap(), "AAAA");
}

#[test]
fn outside_of_its_dates_a_key_opens_and_does_not_seal() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    let sealed = vault.used(&key, "wrapkey", "AAAA").unwrap();
    let created = vault.call("GET", &key, "").json()["attributes"]["created"].as_u64().unwrap();
    let (begin, end) = (created + DAY, created + 3 * DAY);
    let dates = format!(r#"{{"attributes":{{"nbf":{begin},"exp":{end}}}}}"#);
    let shown = vault.call("PATCH", &key, &dates).json()["attributes"].clone();
    assert_eq!((shown["nbf"].as_u64(), shown["exp"].as_u64()), (Some(begin), Some(end)));
    let seal = || vault.used(&key, "wrapkey", "AAAA");
    let opens = || assert_eq!(vault.used(&key, "unwrapkey", &sealed).unwrap(), "AAAA");
    assert_eq!(seal(), Err("KeyNotYetValid".into()));
    opens();
    vault.advance(days(2));
    assert!(seal().is_ok());
    opens();
    vault.advance(days(2));
    assert_eq!(seal(), Err("KeyExpired".into()));
    opens();
    let backwards = format!(r#"{{"attributes":{{"nbf":{end},"exp":{begin}}}}}"#);
    assert_eq!(vault.call("PATCH", &key, &backwards).status, 400);
}

#[test]
fn only_the_operations_of_key_ops_are_permitted() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    let changed = vault.call("PATCH", &key, r#"{"key_ops":["wrapKey"]}"#);
    assert_eq!(changed.json()["key"]["key_ops"], serde_json::json!(["wrapKey"]));
    let sealed = vault.used(&key, "wrapkey", "AAAA").unwrap();
    for operation in ["unwrapkey", "encrypt", "decrypt"] {
        assert_eq!(vault.used(&key, operation, &sealed), Err("KeyOperationForbidden".into()));
    }
    assert_eq!(vault.call("PATCH", &key, r#"{"key_ops":["fly"]}"#).status, 400);
}

#[test]
fn tags_are_kept_for_the_version_that_has_them_and_are_15_at_most() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    assert!(vault.call("GET", &key, "").json().get("tags").is_none());
    let tags = |count: usize, value: &str| {
        let all: Vec<String> = (0..count).map(|tag| format!(r#""t{tag}":"{value}""#)).collect();
        format!(r#"{{"tags":{{{}}}}}"#, all.join(","))
    };
    assert_eq!(vault.call("PATCH", &key, &tags(15, "v")).json()["tags"]["t14"], "v");
    assert_eq!(vault.call("PATCH", &key, &tags(16, "v")).status, 400);
    assert_eq!(vault.call("PATCH", &key, &tags(1, &"v".repeat(257))).status, 400);
    assert_eq!(
        vault.call("PATCH", &key, r#"{"tags":{"a":"b"}}"#).json()["tags"],
        serde_json::json!({"a":"b"})
    );
    // Others of the key have their own; a rotation takes them over.
    vault.call("POST", "/keys/k/rotate", "");
    vault.call("PATCH", "/keys/k", r#"{"tags":{"c":"d"}}"#);
    assert_eq!(vault.call("GET", &key, "").json()["tags"], serde_json::json!({"a":"b"}));
    vault.call("PATCH", &key, r#"{"attributes":{"enabled":false}}"#);
    assert_eq!(vault.call("GET", &key, "").json()["tags"], serde_json::json!({"a":"b"}));
}

#[test]
fn a_deleted_key_keeps_its_name_until_it_is_recovered_or_purged() {
    let vault = FakeKeyVault::start_with(FakeKeyVaultOptions::new().with_retention_days(7));
    let key = vault.create("k");
    let sealed = vault.used(&key, "wrapkey", "AAAA").unwrap();
    let deleted = vault.call("DELETE", "/keys/k", "").json();
    let (at, until) = (deleted["deletedDate"].as_u64(), deleted["scheduledPurgeDate"].as_u64());
    assert_eq!(until.unwrap() - at.unwrap(), 7 * DAY);
    assert_eq!(deleted["attributes"]["recoveryLevel"], "CustomizedRecoverable+Purgeable");
    for path in ["/keys/k", key.as_str()] {
        assert_eq!(vault.call("GET", path, "").code(), "KeyNotFound");
        assert_eq!(vault.used(path, "unwrapkey", &sealed), Err("KeyNotFound".into()));
    }
    let again = vault.call("POST", "/keys/k/create", r#"{"kty":"RSA"}"#);
    assert_eq!((again.status, again.code().as_str()), (409, "ObjectIsDeletedButRecoverable"));
    assert_eq!(vault.call("POST", "/deletedkeys/k/recover", "").status, 200);
    assert_eq!(vault.used(&key, "unwrapkey", &sealed).unwrap(), "AAAA");
    vault.call("DELETE", "/keys/k", "");
    vault.advance(days(6));
    assert_eq!(vault.call("GET", "/deletedkeys/k", "").status, 200);
    vault.advance(days(1));
    assert_eq!(vault.call("GET", "/deletedkeys/k", "").code(), "KeyNotFound");
    assert_eq!(vault.call("POST", "/deletedkeys/k/recover", "").status, 404);
    assert_ne!(vault.create("k"), key);
}

#[test]
fn purging_is_refused_where_the_vault_is_protected_from_it() {
    for protected in [false, true] {
        let mut options = FakeKeyVaultOptions::new();
        if protected {
            options = options.with_purge_protection();
        }
        let vault = FakeKeyVault::start_with(options);
        vault.create("k");
        assert_eq!(vault.call("DELETE", "/deletedkeys/k", "").status, 404);
        vault.call("DELETE", "/keys/k", "");
        let status = vault.call("DELETE", "/deletedkeys/k", "").status;
        assert_eq!(status, if protected { 403 } else { 204 });
        let left = vault.call("GET", "/deletedkeys/k", "").status;
        assert_eq!(left, if protected { 200 } else { 404 });
    }
}

#[test]
fn a_slow_deletion_leaves_the_key_neither_here_nor_there_for_a_while() {
    let vault = FakeKeyVault::start();
    vault.create("k");
    vault.slow_deletions(2);
    assert_eq!(vault.call("DELETE", "/keys/k", "").status, 200);
    assert_eq!(vault.call("GET", "/keys/k", "").status, 404);
    let again = vault.call("POST", "/keys/k/create", r#"{"kty":"RSA"}"#);
    assert_eq!((again.status, again.code().as_str()), (409, "ObjectIsBeingDeleted"));
    let looks = [1, 2, 3].map(|_| vault.call("GET", "/deletedkeys/k", "").status);
    assert_eq!(looks, [404, 404, 200]);
}

#[test]
fn a_policy_rotates_the_key_as_the_clock_goes_on() {
    let vault = FakeKeyVault::start();
    vault.create("k");
    let policy = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Rotate"}}],
                     "attributes":{"expiryTime":"P60D"}}"#;
    let put = vault.call("PUT", "/keys/k/rotationpolicy", policy);
    assert_eq!(put.status, 200, "{}", put.body);
    // The service adds the notice that every policy has.
    assert_eq!(put.json()["lifetimeActions"].as_array().unwrap().len(), 2);
    assert_eq!(vault.call("GET", "/keys/k/rotationpolicy", "").json(), put.json());
    let versions = || {
        let list = vault.call("GET", "/keys/k/versions", "").json();
        list["value"].as_array().unwrap().len()
    };
    vault.advance(days(29));
    assert_eq!(versions(), 1);
    vault.advance(days(2));
    assert_eq!(versions(), 2);
    vault.advance(days(60));
    assert_eq!(versions(), 4);
    let newest = vault.call("GET", "/keys/k", "").json()["attributes"].clone();
    let life = newest["exp"].as_u64().unwrap() - newest["created"].as_u64().unwrap();
    assert_eq!(life, 60 * DAY);
    for wrong in ["P1D", "30 days"] {
        let policy = policy.replace("P30D", wrong);
        assert_eq!(vault.call("PUT", "/keys/k/rotationpolicy", &policy).status, 400, "{wrong}");
    }
    assert_eq!(
        vault.call("PUT", "/keys/k/rotationpolicy", &policy.replace("P60D", "P27D")).status,
        400
    );
    assert_eq!(vault.call("GET", "/keys/none/rotationpolicy", "").status, 404);
}

/// Follows the pages of a list from `path` to the end.
fn walk(vault: &FakeKeyVault, path: &str) -> (Vec<usize>, Vec<String>) {
    let (mut sizes, mut found, mut path) = (Vec::new(), Vec::new(), path.to_owned());
    loop {
        let page = vault.call("GET", &path, "").json();
        let items: &Vec<Value> = page["value"].as_array().unwrap();
        sizes.push(items.len());
        found.extend(items.iter().map(|item| item["kid"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextLink"].as_str() else { return (sizes, found) };
        path = next.strip_prefix(&format!("{}:443", vault.url())).unwrap().to_owned();
    }
}

#[test]
fn lists_come_in_pages_with_every_item_once() {
    let vault = FakeKeyVault::start();
    for number in 0..30 {
        vault.call("POST", &format!("/keys/k{number}/create"), r#"{"kty":"EC"}"#);
    }
    let (sizes, mut found) = walk(&vault, "/keys");
    assert_eq!(sizes, [25, 5]);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 30);
    assert_eq!(walk(&vault, "/keys?api-version=7.4&maxresults=10").0, [10, 10, 10]);
    for _ in 0..4 {
        vault.call("POST", "/keys/k0/rotate", "");
    }
    let (_, versions) = walk(&vault, "/keys/k0/versions");
    assert_eq!(versions.len(), 5);
    // In no order that means anything.
    assert!(versions.is_sorted());
    assert_eq!(walk(&vault, "/keys/none/versions").1, Vec::<String>::new());
    vault.call("DELETE", "/keys/k7", "");
    // A page may be empty and not the last: recorded for deleted keys.
    let (sizes, found) = walk(&vault, "/deletedkeys");
    assert_eq!((sizes, found), (vec![0, 1], vec![format!("{}/keys/k7", vault.url())]));
    for wrong in ["maxresults=0", "maxresults=26", "maxresults=x", "$skiptoken=!!"] {
        let answer = vault.call("GET", &format!("/keys?api-version=7.4&{wrong}"), "");
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[test]
fn names_are_the_same_in_capitals_and_small_letters_and_answered_as_first_written() {
    let vault = FakeKeyVault::start();
    let path = vault.create("Orders-EU");
    let other = path.to_lowercase().replace("orders", "oRDERS");
    let (id, other) = (format!("{}{path}", vault.url()), other.as_str());
    assert_eq!(vault.call("GET", other, "").json()["key"]["kid"], id.as_str());
    let again = vault.call("POST", "/keys/orders-eu/create", r#"{"kty":"EC"}"#).json();
    assert!(again["key"]["kid"].as_str().unwrap().contains("/keys/Orders-EU/"));
    assert_eq!(walk(&vault, "/keys").1.len(), 1);
    let sealed = vault.used(&path, "wrapkey", "AAAA").unwrap();
    assert_eq!(
        vault.used(&other.to_uppercase().replace("/KEYS", "/keys"), "unwrapkey", &sealed).unwrap(),
        "AAAA"
    );
    assert_eq!(vault.call("DELETE", "/keys/ORDERS-eu", "").status, 200);
    assert_eq!(vault.call("GET", "/deletedkeys/orders-EU", "").status, 200);
    assert_eq!(vault.call("POST", "/keys/orders-eu/create", r#"{"kty":"EC"}"#).status, 409);
}

#[test]
fn hostile_names_and_unknown_paths_are_refused_and_hurt_nothing() {
    let vault = FakeKeyVault::start();
    let long = "a".repeat(128);
    for name in ["a_b", "a%20b", "a.b", "%2e%2e", "a%0Ab", "%F0%9F%94%91", long.as_str()] {
        let answer = vault.call("POST", &format!("/keys/{name}/create"), r#"{"kty":"RSA"}"#);
        assert_eq!((answer.status, answer.code().as_str()), (400, "BadParameter"), "{name}");
    }
    assert_eq!(vault.call("POST", "/rng", r#"{"count":16}"#).status, 404);
    assert_eq!(vault.call("GET", "/secrets/s", "").status, 404);
    assert_eq!(vault.call("GET", "/keys?x=y", "").status, 400, "without api-version");
    assert_eq!(walk(&vault, "/keys").1, Vec::<String>::new());
}

#[test]
fn keys_tokens_and_ports_outlive_a_stopped_server() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    let sealed = vault.used(&key, "encrypt", "AAAA").unwrap();
    vault.stop();
    assert!(vault.try_call("GET", &key, "").is_err());
    vault.start_again();
    assert_eq!(vault.used(&key, "decrypt", &sealed).unwrap(), "AAAA");
    drop(vault);
}
