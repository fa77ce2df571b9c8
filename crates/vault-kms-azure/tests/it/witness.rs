//! Microsoft's own client, as a witness that is not ours: what one of us wraps, the other unwraps.

use std::io::Write as _;
use std::process::{Command, Stdio};

use vault_crypto_core::{KeyVersion, KmsAdmin as _, KmsProvider as _, RotateOptions, WrappedKey};
use vault_testkit::servers::python_clients;

use super::support::{World, context};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/azure.py");

/// What Microsoft's client says to `words`; `input` and what is said are hexadecimal.
fn microsoft(world: &World, words: &[&str], input: &[u8]) -> String {
    let fake = &world.fake;
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), fake.ca_pem()).unwrap();
    let mut child = Command::new(python_clients().unwrap())
        .args(["-I", SCRIPT, &fake.addr().to_string()])
        .arg(ca.path())
        .args(words)
        .env("AZURE_VAULT_URL", fake.url())
        .env("AZURE_TENANT_ID", fake.tenant())
        .env("AZURE_CLIENT_ID", fake.client_id())
        .env("AZURE_CLIENT_SECRET", fake.client_secret())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(hex::encode(input).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_client_unwraps_what_we_wrap_whatever_version_wrapped_it() {
    let world = World::new().await;
    let key = world.key("app").await;
    let mut data_keys = vec![world.data_key(&key).await];
    world.kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    data_keys.push(world.data_key(&key).await);
    for data_key in &data_keys {
        let version = format!("app/{}", data_key.wrapped().version);
        let said = microsoft(&world, &["unwrap", &version], &data_key.wrapped().bytes);
        assert_eq!(hex::decode(said).unwrap(), data_key.plaintext().as_slice());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_unwrap_what_microsofts_client_wraps() {
    let world = World::new().await;
    let key = world.key("app").await;
    let said = microsoft(&world, &["wrap", "app"], &[0x5a; 32]);
    let (kid, wrapped) = said.split_once('\n').unwrap();
    let version = KeyVersion::new(kid.rsplit_once('/').unwrap().1).unwrap();
    let wrapped = WrappedKey::new(hex::decode(wrapped).unwrap(), key, version);
    let opened = world.kms.decrypt_data_key(&wrapped, &context()).await.unwrap();
    assert_eq!(opened, [0x5a; 32]);
}
