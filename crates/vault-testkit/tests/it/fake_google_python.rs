//! Google's own Python client does against the fake what users do against the service.

use std::process::Command;

use vault_testkit::fakes::google::FakeCloudKms;
use vault_testkit::servers::python_clients;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/google.py");

/// What the fake answers, IAM included.
const METHODS: [&str; 22] = [
    "CreateKeyRing",
    "GetKeyRing",
    "ListKeyRings",
    "CreateCryptoKey",
    "GetCryptoKey",
    "ListCryptoKeys",
    "UpdateCryptoKey",
    "UpdateCryptoKeyPrimaryVersion",
    "CreateCryptoKeyVersion",
    "GetCryptoKeyVersion",
    "ListCryptoKeyVersions",
    "UpdateCryptoKeyVersion",
    "DestroyCryptoKeyVersion",
    "RestoreCryptoKeyVersion",
    "Encrypt",
    "Decrypt",
    "AsymmetricDecrypt",
    "GetPublicKey",
    "GenerateRandomBytes",
    "GetIamPolicy",
    "SetIamPolicy",
    "TestIamPermissions",
];

/// Google's client through `tests/interop/google.py`.
fn google(fake: &FakeCloudKms, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(python_clients().unwrap());
    command.args([SCRIPT, "--endpoint", &fake.address()]).args(args);
    let said = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if said.status.success() { Ok(text(said.stdout)) } else { Err(text(said.stderr)) }
}

/// The routing header is required, so what the fake takes for right is what Google's client sends.
#[test]
fn googles_own_client_finds_what_the_reference_says() {
    let fake = FakeCloudKms::start();
    fake.require_request_params(true);
    assert_eq!(google(&fake, &["work"]).unwrap(), "all of it");
    for method in METHODS {
        assert!(fake.count(method) > 0, "{method} was never called");
    }
}

#[test]
fn googles_own_client_seals_and_opens_by_the_command_line() {
    let fake = FakeCloudKms::start();
    let key = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    google(&fake, &["create-key", "--key", key]).unwrap();
    let sealed = google(&fake, &["encrypt", "--key", key, "--aad", "YWFk", "aGVsbG8="]).unwrap();
    let (version, ciphertext) = sealed.split_once('\n').unwrap();
    assert_eq!(version, format!("{key}/cryptoKeyVersions/1"));
    let open = |aad: &str| google(&fake, &["decrypt", "--key", key, "--aad", aad, ciphertext]);
    assert_eq!(open("YWFk").unwrap(), "aGVsbG8=");
    assert_eq!(open("YWFl").unwrap_err(), "error: INVALID_ARGUMENT");
}
