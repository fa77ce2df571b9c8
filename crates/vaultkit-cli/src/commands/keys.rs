//! `vaultkit keys`: managing the keys of a key store or a service.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vaultkit::core::{KeyConfig, KeyId, KmsAdmin, RotateOptions};
use vaultkit::kms::local::LocalKms;

use crate::app::App;
use crate::args::KeysCommand;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::store::Missing;
use crate::text;

mod backup;
mod people;
mod show;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Keys asked for at once.
const PAGE: usize = 100;

pub(super) fn run(app: &App<'_>, command: &KeysCommand) -> Exit {
    match pollster::block_on(dispatch(app, command)) {
        Ok(()) => Exit::Done,
        Err(failure) => app.report.failure(&failure),
    }
}

async fn dispatch(app: &App<'_>, command: &KeysCommand) -> Result<(), Failure> {
    match command {
        #[cfg(feature = "rsa")]
        KeysCommand::Generate { file, rsa: true } => {
            people::generate(app, file, vaultkit::envelope::PrivateKey::generate_rsa)
        }
        KeysCommand::Generate { file, .. } => {
            people::generate(app, file, vaultkit::envelope::PrivateKey::generate)
        }
        KeysCommand::Public { file } => people::public(app, file),
        KeysCommand::Create { name, description, tag } => create(app, name, description, tag).await,
        KeysCommand::Tag { name, tags } => {
            let tags = tags.iter().cloned().collect();
            kms(app)?.tag_key(&name.as_str().into(), tags).await?;
            changed(app, name, "labelled").await
        }
        KeysCommand::RotateEvery { name, days, .. } => rotate_every(app, name, *days).await,
        KeysCommand::List => list(app).await,
        KeysCommand::Show { name } => {
            let info = kms(app)?.describe_key(&name.as_str().into()).await?;
            app.report.answer(show::lines(&info), &show::object(&info))
        }
        KeysCommand::Rotate { name, stage } => rotate(app, name, *stage).await,
        KeysCommand::Promote { name } => {
            let result = kms(app)?.promote_key(&name.as_str().into()).await?;
            let version = &result.new_version;
            changed(app, name, &format!("writes with version {version} from now on")).await
        }
        KeysCommand::Enable { name } => {
            kms(app)?.enable_key(&name.as_str().into()).await?;
            changed(app, name, "enabled").await
        }
        KeysCommand::Disable { name } => {
            kms(app)?.disable_key(&name.as_str().into()).await?;
            changed(app, name, "disabled: it neither seals nor opens").await
        }
        KeysCommand::Delete { name, days } => delete(app, name, *days).await,
        KeysCommand::CancelDelete { name } => {
            kms(app)?.cancel_key_deletion(&name.as_str().into()).await?;
            changed(app, name, "no longer to be deleted, and disabled; enable it to use it").await
        }
        KeysCommand::Backup { file, backup_passphrase_fd } => {
            backup::backup(app, file, *backup_passphrase_fd)
        }
        KeysCommand::Restore { file, accept_older, replace_other, backup_passphrase_fd } => {
            let options = vaultkit::kms::local::RestoreOptions::new()
                .with_accept_older(*accept_older)
                .with_replace_other(*replace_other);
            backup::restore(app, file, *backup_passphrase_fd, options)
        }
    }
}

fn kms<'a>(app: &'a App<'_>) -> Result<&'a dyn KmsAdmin, Failure> {
    Ok(&*app.store(Missing::Refuse)?.kms)
}

async fn create(
    app: &App<'_>,
    name: &str,
    description: &str,
    tags: &[(String, String)],
) -> Result<(), Failure> {
    let kms = &app.store(Missing::MakeEmpty)?.kms;
    let mut config = KeyConfig::new(name).with_description(description);
    config.tags = tags.iter().cloned().collect();
    let info = kms.create_key(config).await?;
    app.report.done(format_args!("made the key {}", info.key_id), &show::object(&info))
}

async fn list(app: &App<'_>) -> Result<(), Failure> {
    let kms = kms(app)?;
    let mut keys = Vec::new();
    loop {
        let last = keys.last().map(|info: &vaultkit::core::KeyInfo| info.key_id.clone());
        let page = kms.list_keys(last.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        keys.extend(page);
        if is_last {
            break;
        }
    }
    let store = match app.store(Missing::Refuse)?.embedded() {
        Ok(local) => store_object(local),
        Err(_) => json!({ "provider": kms.provider_type() }),
    };
    let object = json!({ "store": store, "keys": keys.iter().map(show::bare).collect::<Vec<_>>() });
    app.report.answer(show::table(&keys), &object)
}

fn store_object(kms: &LocalKms) -> Value {
    json!({ "id": kms.store_id(), "folder": text::path(kms.folder()) })
}

async fn rotate(app: &App<'_>, name: &str, stage: bool) -> Result<(), Failure> {
    let options = if stage { RotateOptions::staged() } else { RotateOptions::now() };
    let result = kms(app)?.rotate_key(&name.into(), options).await?;
    let version = &result.new_version;
    let line = if stage {
        format!("version {version} can be read everywhere; `keys promote {name}` puts it to use")
    } else {
        format!("seals with version {version} from now on; `rewrap` moves old files to it")
    };
    changed(app, name, &line).await?;
    if app.store(Missing::Refuse)?.embedded().is_ok() {
        app.report.note(
            "a backup from before this does not open what is sealed from now on: make another",
        );
    }
    Ok(())
}

async fn rotate_every(app: &App<'_>, name: &str, days: Option<u32>) -> Result<(), Failure> {
    let period = days.map(|days| DAY.saturating_mul(days));
    kms(app)?.set_rotation_period(&name.into(), period).await?;
    let line = match days {
        Some(days) => format!("rotated every {days} days from now on"),
        None => "no longer rotated by itself".to_owned(),
    };
    changed(app, name, &line).await
}

async fn delete(app: &App<'_>, name: &str, days: u32) -> Result<(), Failure> {
    let info = kms(app)?.schedule_key_deletion(&KeyId::from(name), days).await?;
    let when = info.deletion_at.map(text::time).unwrap_or_default();
    let line = format!(
        "destroyed at {when}, and with it whatever only it opens; until then `keys cancel-delete {name}` saves it"
    );
    changed(app, name, &line).await
}

/// Says what became of a key.
async fn changed(app: &App<'_>, name: &str, line: &str) -> Result<(), Failure> {
    let info = kms(app)?.describe_key(&name.into()).await?;
    app.report.done(format_args!("{}: {line}", info.key_id), &show::object(&info))
}

/// Refuses an existing file with the code of every other output that is in the way.
fn refuse_existing(file: &Path) -> Result<(), Failure> {
    crate::target::Target::File(file.to_owned()).check(false)
}
