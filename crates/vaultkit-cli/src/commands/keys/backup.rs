//! `keys backup` and `keys restore`.

use std::path::Path;

use serde_json::json;
use vaultkit::core::SecureString;
use vaultkit::kms::local::{LocalKms, RestoreOptions};

use super::{refuse_existing, store_object};
use crate::app::App;
use crate::failure::Failure;
use crate::store::{Missing, Store};
use crate::{prompt, text};

pub(super) fn backup(app: &App<'_>, file: &Path, fd: Option<i32>) -> Result<(), Failure> {
    refuse_existing(file)?;
    let kms = app.store(Missing::Refuse)?.embedded()?;
    let passphrase = match fd {
        Some(number) => prompt::from_descriptor(number)?,
        None => prompt::ask_new("new passphrase for the backup")?,
    };
    kms.backup(file, &passphrase)?;
    let path = text::path(file);
    let object = json!({ "backup": { "path": path, "store": store_object(kms) } });
    app.report.done(
        format_args!(
            "{path}: all keys of {}; keep it apart from its passphrase",
            text::path(kms.folder())
        ),
        &object,
    )
}

pub(super) fn restore(
    app: &App<'_>,
    file: &Path,
    fd: Option<i32>,
    options: RestoreOptions,
) -> Result<(), Failure> {
    if let Err(error) = std::fs::File::open(file) {
        return Err(Failure::io(file, "read the backup", &error));
    }
    let passphrase: SecureString = match fd {
        Some(number) => prompt::from_descriptor(number)?,
        None => prompt::ask("passphrase of the backup")?,
    };
    let config = Store::config_to_restore(app)?;
    let kms = LocalKms::restore(config, file, &passphrase, options)?;
    let object = json!({ "restored": { "path": text::path(file), "store": store_object(&kms) } });
    app.report.done(
        format_args!("{}: restored from {}", text::path(kms.folder()), text::path(file)),
        &object,
    )
}
