//! Witness two: Microsoft's own Python client, which does not know that the vault is a fake.

use std::io::Write as _;
use std::process::{Command, Stdio};

use vault_testkit::fakes::azure::{FakeKeyVault, FakeKeyVaultOptions};
use vault_testkit::servers::python_clients;

use super::client::Asks as _;

/// Runs `tests/interop/azure.py` with `words` and gives what it said.
fn python(vault: &FakeKeyVault, words: &[&str], input: &str) -> String {
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), vault.ca_pem()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/azure.py");
    let mut child = Command::new(python_clients().unwrap())
        // Isolated: else the script, by its name, would stand before the package `azure`.
        .arg("-I")
        .arg(script)
        .arg(vault.addr().to_string())
        .arg(ca.path())
        .args(words)
        .env("AZURE_VAULT_URL", vault.url())
        .env("AZURE_TENANT_ID", vault.tenant())
        .env("AZURE_CLIENT_ID", vault.client_id())
        .env("AZURE_CLIENT_SECRET", vault.client_secret())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn microsofts_client_does_everything_with_the_fake_that_it_does_with_the_service() {
    let vault = FakeKeyVault::start();
    assert_eq!(python(&vault, &["work"], ""), "done\n");
    // It checked the challenge first, and then sent its token with every call.
    let calls = vault.calls();
    assert_eq!((calls[0].authorized, calls[0].status), (false, 401));
    assert!(calls.iter().any(|call| call.path.ends_with("/unwrapkey") && call.status == 200));
    assert!(
        calls.iter().any(|call| call.status == 403) && calls.iter().all(|call| call.status < 500)
    );
}

#[test]
fn microsofts_client_waits_for_a_slow_deletion_and_respects_other_retention() {
    let vault = FakeKeyVault::start_with(FakeKeyVaultOptions::new().with_retention_days(30));
    vault.slow_deletions(3);
    assert_eq!(python(&vault, &["work", "deletion", "backups"], ""), "done\n");
}

#[test]
fn what_microsofts_client_wraps_with_its_own_rsa_the_fake_unwraps() {
    let vault = FakeKeyVault::start();
    let key = vault.create("k");
    for (operation, back) in [("wrap", "unwrapkey"), ("encrypt", "decrypt")] {
        let said = python(&vault, &[operation, "k"], "000102fe");
        let (kid, sealed) = said.trim().split_once('\n').unwrap();
        assert_eq!(kid, format!("{}{key}", vault.url()));
        let sealed: Vec<u8> = (0..sealed.len() / 2)
            .map(|at| u8::from_str_radix(&sealed[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let sealed = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::encode_string(&sealed);
        assert_eq!(vault.used(&key, back, &sealed).unwrap(), "AAEC_g");
    }
}
