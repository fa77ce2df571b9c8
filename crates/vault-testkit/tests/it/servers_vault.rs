//! The servers of Vault: each is what its constructor promises, and tells what it was asked.

use std::process::Command;

use vault_testkit::servers::{Vault, VaultCluster, python_clients};

use super::servers::answers;

#[test]
fn a_vault_in_memory_is_unsealed_and_goes_when_dropped() {
    let vault = Vault::start().unwrap();
    let port = vault.port();
    assert_eq!(vault.url(), format!("http://127.0.0.1:{port}"));
    assert!(vault.run(&["status"]).unwrap().contains("Sealed          false"));
    let log = vault.audit_log();
    assert!(log.is_file());
    drop(vault);
    assert!(!answers(port));
    assert!(!log.exists(), "the server's folder stays");
}

#[test]
fn what_a_vault_was_asked_is_in_its_audit_log_and_no_secret_is() {
    let vault = Vault::start().unwrap();
    vault.run(&["secrets", "enable", "transit"]).unwrap();
    vault.run(&["write", "-f", "transit/keys/orders"]).unwrap();
    vault.run(&["write", "transit/encrypt/orders", "plaintext=aGVsbG8gdGhlcmU="]).unwrap();
    vault.run(&["write", "transit/decrypt/orders", "ciphertext=vault:v1:AAAA"]).unwrap_err();
    let calls = vault.calls().unwrap();
    let on = |path: &str| calls.iter().filter(|call| call.path == path).collect::<Vec<_>>();
    let encrypted = on("transit/encrypt/orders");
    assert_eq!(encrypted.len(), 1);
    assert!(encrypted[0].operation == "update" && !encrypted[0].failed);
    assert!(on("transit/decrypt/orders")[0].failed);
    assert!(on("transit/rewrap/orders").is_empty());
    let log = std::fs::read_to_string(vault.audit_log()).unwrap();
    assert!(!log.contains("aGVsbG8") && !log.contains(vault.root_token()));
}

#[test]
fn a_durable_vault_is_the_same_after_a_crash_and_opens_nothing_while_sealed() {
    let vault = Vault::start_durable().unwrap();
    vault.run(&["secrets", "enable", "-path=kept", "-version=1", "kv"]).unwrap();
    vault.run(&["write", "kept/one", "value=still here"]).unwrap();
    vault.crash().unwrap();
    assert!(!answers(vault.port()));
    vault.recover().unwrap();
    let read = || vault.run(&["read", "-field=value", "kept/one"]);
    assert_eq!(read().unwrap().trim_end(), "still here");
    vault.seal().unwrap();
    assert!(read().unwrap_err().to_string().contains("sealed"));
    vault.unseal().unwrap();
    assert_eq!(read().unwrap().trim_end(), "still here");
    assert!(vault.calls().unwrap().iter().any(|call| call.path == "kept/one"));
}

#[test]
fn a_vault_in_memory_forgets_everything_in_a_crash_and_keeps_no_unseal_key() {
    let vault = Vault::start().unwrap();
    vault.run(&["kv", "put", "secret/one", "value=1"]).unwrap();
    vault.crash().unwrap();
    vault.recover().unwrap();
    vault.run(&["kv", "get", "secret/one"]).unwrap_err();
    assert!(vault.seal().unwrap_err().to_string().contains("only a server with files"));
}

#[test]
fn a_vault_with_tls_is_trusted_by_its_own_authority_only() {
    let vault = Vault::start_tls().unwrap();
    assert!(vault.url().starts_with("https://127.0.0.1:"));
    vault.run(&["status"]).unwrap();
    assert!(vault.ca_certificate().unwrap().is_file());
    let mut strange = vault.command().unwrap();
    let said = strange.env_remove("VAULT_CACERT").arg("status").output().unwrap();
    assert!(!said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("x509"));
    assert!(Vault::shared().ca_certificate().is_none());
}

#[test]
fn a_paused_vault_keeps_its_connections_and_goes_on_when_resumed() {
    let vault = Vault::start().unwrap();
    vault.pause().unwrap();
    assert!(answers(vault.port()), "the system still takes connections for it");
    vault.resume().unwrap();
    vault.run(&["status"]).unwrap();
    vault.pause().unwrap();
    let port = vault.port();
    drop(vault);
    assert!(!answers(port), "a paused server is not stopped");
}

#[test]
fn a_cluster_is_one_vault_and_elects_another_active_node() {
    let cluster = VaultCluster::start().unwrap();
    let (active, standby) = (cluster.active().unwrap(), cluster.standbys().unwrap()[0]);
    standby.run(&["secrets", "enable", "-path=kept", "-version=1", "kv"]).unwrap();
    standby.run(&["write", "kept/one", "value=here"]).unwrap();
    assert!(standby.run(&["status"]).unwrap().contains("standby"));
    assert!(active.calls().unwrap().iter().any(|call| call.path == "kept/one"));
    assert!(!standby.audit_log().exists(), "it answered by itself");
    active.crash().unwrap();
    let next = cluster.active().unwrap();
    assert_ne!(next.port(), active.port());
    let read = |node: &Vault| node.run(&["read", "-field=value", "kept/one"]).unwrap();
    assert_eq!(read(next).trim_end(), "here");
    assert!(next.calls().unwrap().iter().any(|call| call.path == "kept/one"));
    active.recover().unwrap();
    cluster.await_all().unwrap();
    assert_eq!(read(active).trim_end(), "here");
    let ports: Vec<u16> = cluster.nodes().iter().map(Vault::port).collect();
    drop(cluster);
    assert!(!ports.into_iter().any(answers));
}

/// hvac through `tests/interop/vault.py`.
fn hvac(vault: &Vault, args: &[&str]) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/vault.py");
    let mut command = Command::new(python_clients().unwrap());
    command.arg(script).args(args).env("VAULT_ADDR", vault.url());
    let said = command.env("VAULT_TOKEN", vault.root_token()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if said.status.success() { Ok(text(said.stdout)) } else { Err(text(said.stderr)) }
}

#[test]
fn hvac_seals_what_the_vault_program_opens_and_the_other_way_round() {
    let vault = Vault::start().unwrap();
    let context = ["--context", "b3JkZXJz"];
    hvac(&vault, &["create-key", "--key", "k"]).unwrap();
    let sealed =
        hvac(&vault, &["encrypt", "--key", "k", context[0], context[1], "aGVsbG8="]).unwrap();
    let ciphertext = format!("ciphertext={sealed}");
    let write = ["write", "-field=plaintext", "transit/decrypt/k", "context=b3JkZXJz", &ciphertext];
    assert_eq!(vault.run(&write).unwrap().trim_end(), "aGVsbG8=");
    hvac(&vault, &["rotate", "--key", "k"]).unwrap();
    let write = [
        "write",
        "-field=ciphertext",
        "transit/encrypt/k",
        "context=b3JkZXJz",
        "plaintext=aGVsbG8=",
    ];
    let sealed = vault.run(&write).unwrap();
    let sealed = sealed.trim_end();
    assert!(sealed.starts_with("vault:v2:"), "{sealed}");
    let opened = hvac(&vault, &["decrypt", "--key", "k", context[0], context[1], sealed]).unwrap();
    assert_eq!(opened, "aGVsbG8=");
    let refused = hvac(&vault, &["decrypt", "--key", "k", context[0], "b3RoZXI=", sealed]);
    assert_eq!(refused.unwrap_err(), "error: InvalidRequest");
}
