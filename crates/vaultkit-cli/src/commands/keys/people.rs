//! `keys generate` and `keys public`: key pairs of people and programs, which no key store holds.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use vaultkit::core::{Clock as _, SystemClock};
use vaultkit::envelope::{PrivateKey, PublicKey};

use super::refuse_existing;
use crate::app::App;
use crate::failure::Failure;
use crate::target::Pending;
use crate::{keyring, text};

/// Writes a private key and prints its public one.
pub(super) fn generate(
    app: &App<'_>,
    file: &Path,
    make: fn() -> vaultkit::core::Result<PrivateKey>,
) -> Result<(), Failure> {
    refuse_existing(file)?;
    let private = make()?;
    let public = private.public_key();
    let pending = Pending::create(file)?;
    write(&pending, &private, &public).map_err(|error| Failure::io(file, "write it", &error))?;
    pending.commit(false)?;
    app.report.note(format_args!(
        "{}: keep it to yourself; what is sealed for it opens with it alone",
        text::path(file)
    ));
    let mut object = object(&public);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("path".to_owned(), text::path(file).into());
    }
    app.report.answer(&public, &json!({ "generated": object }))
}

fn write(pending: &Pending, private: &PrivateKey, public: &PublicKey) -> std::io::Result<()> {
    let mut file = pending.file();
    let made = text::time(SystemClock::new().now());
    writeln!(file, "# A private key of vaultkit, made {made}. Its public key:")?;
    for line in public.to_string().lines() {
        writeln!(file, "# {line}")?;
    }
    file.write_all(private.to_text().as_str().as_bytes())?;
    file.write_all(b"\n")
}

/// Prints the public keys of a file with private ones.
pub(super) fn public(app: &App<'_>, file: &Path) -> Result<(), Failure> {
    let keys = keyring::identities(file)?;
    let keys: Vec<PublicKey> = keys.iter().map(|key| key.public_key()).collect();
    let lines: Vec<String> = keys.iter().map(PublicKey::to_string).collect();
    let objects: Vec<Value> = keys.iter().map(object).collect();
    app.report.answer(lines.join("\n"), &json!({ "public_keys": objects }))
}

fn object(key: &PublicKey) -> Value {
    json!({
        "kind": key.kind().name(),
        "public_key": key.to_string(),
        "key_id": text::hex(&key.key_id()),
    })
}
