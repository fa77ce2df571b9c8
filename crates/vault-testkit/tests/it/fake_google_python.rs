//! Google's own Python client does against the fake what users do against the service.

use std::process::Command;

use vault_testkit::fakes::google::{FakeCloudKms, FakeGoogleLogin};
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
    google_in(fake, args, [])
}

/// The same, with these variables for Google's logins and no others.
fn google_in<'a>(
    fake: &FakeCloudKms,
    args: &[&str],
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<String, String> {
    let mut command = Command::new(python_clients().unwrap());
    command.args([SCRIPT, "--endpoint", &fake.address()]).args(args);
    command.env_remove("GOOGLE_APPLICATION_CREDENTIALS").env_remove("GCE_METADATA_HOST");
    command
        .env("CLOUDSDK_CONFIG", "/nonexistent")
        .env("GOOGLE_CLOUD_PROJECT", "acme-prod")
        .envs(variables);
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

/// The machine's account, a service account's key and a federated workload. (A person's refresh token it
/// sends to Google alone, whatever the file says.)
#[test]
fn googles_own_library_logs_in_here_as_it_does_with_google() {
    let (fake, login) = (FakeCloudKms::start(), FakeGoogleLogin::start());
    let key = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    google(&fake, &["create-key", "--key", key]).unwrap();
    fake.expect_logins_of(&login);
    let ask = ["log-in", "--key", key];
    let account = |variables: &[(&str, &str)]| {
        google_in(&fake, &ask, variables.iter().copied())?;
        Ok::<_, String>(fake.calls().pop().unwrap().account.unwrap())
    };
    let address = login.address();
    let metadata = [("GCE_METADATA_HOST", &*address), ("GCE_METADATA_IP", &*address)];
    assert_eq!(account(&metadata).unwrap(), "machine@acme-prod.iam.gserviceaccount.com");
    let folder = tempfile::tempdir().unwrap();
    let (subject, path) = (folder.path().join("subject"), folder.path().join("credentials.json"));
    std::fs::write(&subject, "token-of-the-cluster").unwrap();
    let app = "app@acme-prod.iam.gserviceaccount.com";
    let files = [
        (login.service_account_key(app), app),
        (login.external_account(&subject, "token-of-the-cluster", Some(app)), app),
    ];
    for (file, expected) in files {
        std::fs::write(&path, file).unwrap();
        let variables = [("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap())];
        assert_eq!(account(&variables).unwrap(), expected);
    }
    std::fs::write(&subject, "token-of-another").unwrap();
    account(&[("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap())]).unwrap_err();
    assert!(
        google(&fake, &["encrypt", "--key", key, "eA=="]).unwrap_err().contains("UNAUTHENTICATED")
    );
}
