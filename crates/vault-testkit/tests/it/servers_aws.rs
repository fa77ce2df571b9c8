//! The servers that stand for AWS: each answers boto3, and what a crash leaves is what is promised.

use std::process::Command;

use vault_testkit::servers::{AwsLogin, LocalKms, LocalStack, Moto, python_clients};

use super::servers::answers;

/// boto3 through `tests/interop/aws.py`.
fn boto3(url: &str, login: AwsLogin, args: &[&str]) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/aws.py");
    let mut command = Command::new(python_clients().unwrap());
    command.arg(script).args(args).env("AWS_ENDPOINT_URL", url).env("AWS_REGION", login.region);
    command.env("AWS_ACCESS_KEY_ID", login.access_key_id);
    command.env("AWS_SECRET_ACCESS_KEY", login.secret_access_key);
    let said = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if said.status.success() { Ok(text(said.stdout)) } else { Err(text(said.stderr)) }
}

/// Seals and opens under `key`, with an encryption context that is held to.
fn round_trip(ask: impl Fn(&[&str]) -> Result<String, String>, key: &str) -> String {
    let context = ["--context", "tenant=a=b", "--context", "vaultkit:kind=payload"];
    let encrypt = [&["encrypt", "--key", key], &context[..], &["aGVsbG8="]].concat();
    let sealed = ask(&encrypt).unwrap();
    let decrypt = [&["decrypt", "--key", key], &context[..], &[&*sealed]].concat();
    assert_eq!(ask(&decrypt).unwrap(), "aGVsbG8=");
    let other = ["decrypt", "--key", key, "--context", "tenant=c", &sealed];
    assert_eq!(ask(&other).unwrap_err(), "error: InvalidCiphertextException");
    sealed
}

#[test]
fn localstack_is_strict_tells_its_calls_and_forgets_in_a_crash() {
    let server = LocalStack::start().unwrap();
    let (url, port) = (server.url(), server.port());
    let ask = |args: &[&str]| boto3(&url, server.login(), args);
    let key = ask(&["create-key"]).unwrap();
    round_trip(ask, &key);
    ask(&["disable", "--key", &key]).unwrap();
    assert_eq!(ask(&["data-key", "--key", &key]).unwrap_err(), "error: DisabledException");
    let calls = server.calls().unwrap();
    let on = |name: &str| calls.iter().filter(|call| call.operation == name).collect::<Vec<_>>();
    assert_eq!(on("Decrypt").iter().map(|call| call.status).collect::<Vec<_>>(), [200, 400]);
    assert!(on("ReEncrypt").is_empty() && calls.iter().all(|call| call.service == "kms"));
    server.crash().unwrap();
    assert!(!answers(port));
    server.recover().unwrap();
    assert_eq!(ask(&["data-key", "--key", &key]).unwrap_err(), "error: NotFoundException");
    drop(server);
    assert!(!answers(port));
}

#[test]
fn local_kms_keeps_its_keys_in_a_crash() {
    let server = LocalKms::start().unwrap();
    let (url, port) = (server.url(), server.port());
    let ask = |args: &[&str]| boto3(&url, server.login(), args);
    let key = ask(&["create-key"]).unwrap();
    let sealed = round_trip(ask, &key);
    server.crash().unwrap();
    assert!(!answers(port));
    server.recover().unwrap();
    let context = ["--context", "tenant=a=b", "--context", "vaultkit:kind=payload"];
    let decrypt = [&["decrypt", "--key", &*key], &context[..], &[&*sealed]].concat();
    assert_eq!(ask(&decrypt).unwrap(), "aGVsbG8=");
    drop(server);
    assert!(!answers(port));
}

#[test]
fn moto_answers_and_goes_when_dropped() {
    let server = Moto::start().unwrap();
    let (url, port) = (server.url(), server.port());
    let ask = |args: &[&str]| boto3(&url, server.login(), args);
    let key = ask(&["create-key"]).unwrap();
    round_trip(ask, &key);
    drop(server);
    assert!(!answers(port));
}

/// Linux says in /proc what listens where; 0100007F is 127.0.0.1.
#[cfg(target_os = "linux")]
#[test]
fn no_server_listens_beyond_loopback() {
    let servers = (LocalStack::shared(), LocalKms::shared(), Moto::shared());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let six = std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default();
    for port in [servers.0.port(), servers.1.port(), servers.2.port()] {
        assert!(table.contains(&format!(" 0100007F:{port:04X} 00000000:0000 0A")), "{port}");
        assert!(!table.contains(&format!(" 00000000:{port:04X} ")), "{port}");
        assert!(!six.contains(&format!(":{port:04X} 0000")), "{port}");
    }
}
