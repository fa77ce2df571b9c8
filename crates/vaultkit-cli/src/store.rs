//! The key store of this run: where it is, with which master secret, and who may open with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vaultkit::core::{ErrorKind, KeyId};
use vaultkit::envelope::{AllowedKeys, EnvelopeBuilder, EnvelopeEncryption};
use vaultkit::kms::KmsUri;
use vaultkit::kms::local::{Created, LocalKms, LocalKmsConfig, MasterSource};

use crate::args::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::Report;
use crate::{prompt, text};

const KEY_FILE: &str = "keys.vks";
const DEFAULT_KEY: &str = "default";

/// What to do where there is no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Say so.
    Refuse,
    /// Make it with a key named `default`, but only in the user's data folder: a store under a
    /// mistyped --kms would hold keys that nobody knows of.
    MakeDefault,
    /// Make it without a key, wherever it was asked for.
    MakeEmpty,
}

/// An open store and the key that was named for it.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) kms: Arc<LocalKms>,
    key: Option<KeyId>,
}

impl Store {
    pub(crate) fn open(
        global: &Global,
        report: &Report,
        missing: Missing,
    ) -> Result<Self, Failure> {
        let place = Place::of(global)?;
        let exists = place.folder.join(KEY_FILE).exists();
        let make = match missing {
            Missing::Refuse => false,
            Missing::MakeDefault => !place.is_named && place.asks_for_default(),
            Missing::MakeEmpty => true,
        };
        let config = LocalKmsConfig::new(&place.folder).with_master(master(
            global,
            &place.folder,
            !exists && make,
        )?);
        if !make {
            let kms = LocalKms::open(config)?;
            report.detail(format_args!("key store {}", text::path(&place.folder)));
            return Ok(Self { kms: Arc::new(kms), key: place.key });
        }
        let first = (missing == Missing::MakeDefault).then(|| DEFAULT_KEY.to_owned());
        let (kms, created) = LocalKms::open_or_create(config.with_initial_key(first))?;
        if created == Created::Now {
            announce(report, &place.folder, missing);
        }
        Ok(Self { kms: Arc::new(kms), key: place.key })
    }

    /// The settings of the store that a backup is to be restored into.
    pub(crate) fn config_to_restore(global: &Global) -> Result<LocalKmsConfig, Failure> {
        let folder = Place::of(global)?.folder;
        let is_new = !folder.join(KEY_FILE).exists();
        Ok(LocalKmsConfig::new(&folder).with_master(master(global, &folder, is_new)?))
    }

    /// The key to seal under.
    pub(crate) fn sealing_key(&self) -> KeyId {
        self.key.clone().unwrap_or_else(|| self.kms.key_id(DEFAULT_KEY))
    }

    /// The key that was named, if any.
    pub(crate) fn named_key(&self) -> Option<&KeyId> {
        self.key.as_ref()
    }

    /// Whether a key id, as it stands in a header, is one of this store.
    pub(crate) fn owns(&self, key_id: &str) -> bool {
        key_id.starts_with(&self.prefix())
    }

    fn prefix(&self) -> String {
        format!("local:{}#", self.kms.store_id())
    }

    /// The keys of this store: all of them, or the named one.
    pub(crate) fn allowed(&self) -> AllowedKeys {
        match &self.key {
            Some(key) => AllowedKeys::none().key(self.kms.clone(), key.clone()),
            None => self.all_keys(),
        }
    }

    /// All keys of this store.
    pub(crate) fn all_keys(&self) -> AllowedKeys {
        let prefix = self.prefix();
        AllowedKeys::none()
            .any_key_matching(self.kms.clone(), move |key_id| key_id.as_str().starts_with(&prefix))
    }

    /// An envelope that seals under `key`; who may open is still to be said.
    pub(crate) fn envelope(&self, key: KeyId, scope: &[(String, String)]) -> EnvelopeBuilder {
        EnvelopeEncryption::builder(self.kms.clone(), key).scope(scope.iter().cloned())
    }
}

/// Where to look.
struct Place {
    folder: PathBuf,
    key: Option<KeyId>,
    /// By --kms, not by default.
    is_named: bool,
}

impl Place {
    fn of(global: &Global) -> Result<Self, Failure> {
        let key = global.key.as_deref().map(KeyId::from);
        if let Some(key) = &key {
            key.check()?;
        }
        let Some(uri) = &global.kms else {
            return Ok(Self { folder: data_folder()?, key, is_named: false });
        };
        let (folder, in_uri) = match KmsUri::parse(uri)? {
            KmsUri::Local { folder, key } => (folder, key),
            _ => {
                let message = "this program knows local key stores only; write local:PATH#KEY";
                return Err(Failure::new(Exit::Key, ErrorKind::Unsupported, message));
            }
        };
        if in_uri.is_some() && key.is_some() && in_uri != key {
            return Err(Failure::usage("--kms and --key name two different keys; name one"));
        }
        Ok(Self { folder: expand_home(folder), key: key.or(in_uri), is_named: true })
    }

    /// A store that does not exist yet has no other key.
    fn asks_for_default(&self) -> bool {
        self.key.as_ref().is_none_or(|key| key.as_str() == DEFAULT_KEY)
    }
}

fn data_folder() -> Result<PathBuf, Failure> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = || var("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let home = || var("HOME").map(|home| home.join(".local/share"));
    var("VAULTKIT_HOME").or_else(|| Some(data().or_else(home)?.join("vaultkit"))).ok_or_else(|| {
        let message =
            "there is no home folder to look for a key store in; name one with --kms local:PATH";
        Failure::new(Exit::Key, ErrorKind::Unavailable, message)
    })
}

/// No shell expands the `~` of `local:~/keys`.
fn expand_home(folder: PathBuf) -> PathBuf {
    match (folder.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => folder,
    }
}

fn master(global: &Global, folder: &Path, is_new: bool) -> Result<MasterSource, Failure> {
    if let Some(number) = global.master_fd {
        return Ok(MasterSource::Fd(number));
    }
    if let Some(name) = &global.master_env {
        return Ok(MasterSource::Env(name.clone()));
    }
    if let Some(number) = global.passphrase_fd {
        return Ok(MasterSource::Passphrase(prompt::from_descriptor(number)?));
    }
    if global.passphrase && is_new {
        let question = format!("new passphrase for the key store {}", text::path(folder));
        return Ok(MasterSource::Passphrase(prompt::ask_new(&question)?));
    }
    if global.passphrase || LocalKms::wants_passphrase(folder) {
        let question = format!("passphrase for the key store {}", text::path(folder));
        return Ok(MasterSource::Passphrase(prompt::ask(&question)?));
    }
    Ok(MasterSource::File)
}

fn announce(report: &Report, folder: &Path, missing: Missing) {
    let key = if missing == Missing::MakeDefault { "key \"default\", " } else { "" };
    report.note(format_args!(
        "made a key store in {} ({key}only you can read it)",
        text::path(folder)
    ));
}
