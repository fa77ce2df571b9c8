//! The key stores of this run: where they are, with which master secret, and whose slots are theirs.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vaultkit::config::EnvelopePlan;
use vaultkit::core::header::{Header, Slot, SlotKind};
use vaultkit::core::{ErrorKind, KeyId, KmsAdmin};
use vaultkit::envelope::{AllowedKeys, Recipient, Recipients};
use vaultkit::kms::local::{Created, LocalKms, LocalKmsConfig, MasterSource};
use vaultkit::kms::{KmsUri, RemoteUri, connect_to};

use crate::app::App;
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

/// An open store, or a service across the network, and the key that was named for it.
pub(crate) struct Store {
    pub(crate) kms: Arc<dyn KmsAdmin>,
    /// The same, where it is the embedded one.
    local: Option<Arc<LocalKms>>,
    key: Option<KeyId>,
    /// What the configuration calls it, where an envelope named it.
    called: Option<String>,
    named_prefix: OnceCell<Option<String>>,
}

impl Store {
    /// All stores of --kms or of --envelope, the primary first; without one the store in the user's data
    /// folder.
    pub(crate) fn open_all(app: &App<'_>, missing: Missing) -> Result<Vec<Self>, Failure> {
        if let Some(plan) = app.envelope()? {
            return Self::of_envelope(app, plan, plan.services());
        }
        let global = app.global;
        let (first, others) =
            global.kms.split_first().map_or((None, &[][..]), |(a, b)| (Some(a), b));
        let place = Place::of(app, first.map(OsStr::new), global.key.as_deref())?;
        let mut stores = vec![Self::open(place, Some(global), &app.report, missing)?];
        for uri in others {
            stores.push(Self::named(app, uri)?);
        }
        Ok(stores)
    }

    /// Those that an envelope names, each with its key; the master secret of the command line is the first
    /// one's.
    pub(crate) fn of_envelope<'a>(
        app: &App<'_>,
        plan: &EnvelopePlan,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Vec<Self>, Failure> {
        let mut stores = Vec::new();
        for name in names {
            let place = Place::of(app, Some(OsStr::new(name)), None)?;
            if place.key.is_none() {
                return Err(Failure::usage(format!(
                    "[envelope.{}] needs a key of [kms.{name}], whose uri names none",
                    plan.name()
                )));
            }
            let global = stores.is_empty().then_some(app.global);
            let mut store = Self::open(place, global, &app.report, Missing::Refuse)?;
            store.called = Some(name.to_owned());
            stores.push(store);
        }
        Ok(stores)
    }

    /// Whether the configuration calls it so.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.called.as_deref() == Some(name)
    }

    /// The existing store of a URI, with the master secret in its folder or its passphrase.
    pub(crate) fn named(app: &App<'_>, uri: &OsStr) -> Result<Self, Failure> {
        Self::open(Place::of(app, Some(uri), None)?, None, &app.report, Missing::Refuse)
    }

    fn open(
        place: Place,
        global: Option<&Global>,
        report: &Report,
        missing: Missing,
    ) -> Result<Self, Failure> {
        let folder = match place.at {
            At::Folder(folder) => folder,
            At::Service(uri) => return Self::remote(uri, place.key, global, report),
        };
        let exists = folder.join(KEY_FILE).exists();
        let is_default = place.key.as_ref().is_none_or(|key| key.as_str() == DEFAULT_KEY);
        let make = match missing {
            Missing::Refuse => false,
            // A store that does not exist yet has no other key.
            Missing::MakeDefault => !place.is_named && is_default,
            Missing::MakeEmpty => true,
        };
        let master = master(global, &folder, !exists && make)?;
        let config = LocalKmsConfig::new(&folder).with_master(master);
        if !make {
            let kms = LocalKms::open(config)?;
            report.detail(format_args!("key store {}", text::path(&folder)));
            return Ok(Self::local(kms, place.key));
        }
        let first = (missing == Missing::MakeDefault).then(|| DEFAULT_KEY.to_owned());
        let (kms, created) = LocalKms::open_or_create(config.with_initial_key(first))?;
        if created == Created::Now {
            announce(report, &folder, missing);
        }
        Ok(Self::local(kms, place.key))
    }

    fn local(kms: LocalKms, key: Option<KeyId>) -> Self {
        let kms = Arc::new(kms);
        Self {
            kms: kms.clone(),
            local: Some(kms),
            key,
            called: None,
            named_prefix: OnceCell::new(),
        }
    }

    fn remote(
        uri: RemoteUri,
        key: Option<KeyId>,
        global: Option<&Global>,
        report: &Report,
    ) -> Result<Self, Failure> {
        if global.is_some_and(Global::names_master) {
            return Err(Failure::usage(
                "a service across the network has no master secret; leave the --master options out",
            ));
        }
        let scheme = uri.service().scheme();
        let connected = pollster::block_on(connect_to(KmsUri::Remote(uri)))?;
        report.detail(format_args!("service {scheme}"));
        let kms = connected.admin();
        Ok(Self { kms, local: None, key, called: None, named_prefix: OnceCell::new() })
    }

    /// The embedded store, for what only that can do.
    pub(crate) fn embedded(&self) -> Result<&LocalKms, Failure> {
        self.local.as_deref().ok_or_else(|| {
            Failure::usage("a service across the network keeps its own backups; name a local store")
        })
    }

    /// Whether there is a store where one is looked for if none is named.
    pub(crate) fn default_exists() -> bool {
        data_folder().is_ok_and(|folder| folder.join(KEY_FILE).exists())
    }

    /// The settings of the store that a backup is to be restored into.
    pub(crate) fn config_to_restore(app: &App<'_>) -> Result<LocalKmsConfig, Failure> {
        let global = app.global;
        only_one(global)?;
        let first = global.kms.first().map(|uri| &**uri);
        let At::Folder(folder) = Place::of(app, first, global.key.as_deref())?.at else {
            return Err(Failure::usage("a backup is restored into a local store; name its folder"));
        };
        let is_new = !folder.join(KEY_FILE).exists();
        Ok(LocalKmsConfig::new(&folder).with_master(master(Some(global), &folder, is_new)?))
    }

    /// The key to seal under.
    pub(crate) fn sealing_key(&self) -> KeyId {
        let default = || match &self.local {
            Some(local) => local.key_id(DEFAULT_KEY),
            None => KeyId::from(DEFAULT_KEY),
        };
        self.key.clone().unwrap_or_else(default)
    }

    /// The key to seal under, as somebody whom a message is sealed for.
    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::kms(self.kms.clone(), self.sealing_key())
    }

    /// The named key; without one, the keys of this store that the message has slots for.
    pub(crate) fn keys_of(&self, header: &Header) -> Vec<KeyId> {
        if let Some(key) = &self.key {
            return vec![key.clone()];
        }
        let own = header.slots.iter().filter(|slot| self.owns(slot));
        own.map(|slot| KeyId::new(slot.key_id_text())).collect()
    }

    /// Whether a slot's key is one of this store. A service asks who it is: it may look like one.
    pub(crate) fn owns(&self, slot: &Slot) -> bool {
        slot.kind == SlotKind::of_provider(self.kms.provider_type())
            && self.prefix().is_some_and(|prefix| slot.key_id_text().starts_with(&prefix))
    }

    /// What the ids of all its keys begin with. Where a name alone does not tell (AWS), it is the account and
    /// region of the key that was named, and without one nobody's: a message must not choose whose key opens it.
    fn prefix(&self) -> Option<String> {
        const NAME: &str = "x";
        if let Some(id) = self.kms.canonical_key_id(&KeyId::from(NAME)) {
            return id.as_str().strip_suffix(NAME).map(str::to_owned);
        }
        self.named_prefix.get_or_init(|| self.prefix_of_named()).clone()
    }

    fn prefix_of_named(&self) -> Option<String> {
        let key = self.key.as_ref()?;
        let canonical = self.kms.canonical_key_id(key);
        let described = || pollster::block_on(self.kms.describe_key(key)).ok().map(|i| i.key_id);
        let canonical = canonical.or_else(described)?;
        canonical.as_str().rsplit_once('/').map(|(before, _)| format!("{before}/"))
    }

    /// Allows the keys of this store: all of them, or the named one.
    pub(crate) fn allow(&self, keys: AllowedKeys) -> AllowedKeys {
        match &self.key {
            Some(key) => keys.key(self.kms.clone(), key.clone()),
            None => self.allow_all(keys),
        }
    }

    /// Allows all keys of this store; of one that an envelope names, the key that it names.
    pub(crate) fn allow_all(&self, keys: AllowedKeys) -> AllowedKeys {
        let Some(prefix) = self.prefix().filter(|_| self.called.is_none()) else {
            return match &self.key {
                Some(key) => keys.key(self.kms.clone(), key.clone()),
                None => keys,
            };
        };
        keys.any_key_matching(self.kms.clone(), move |key_id| key_id.as_str().starts_with(&prefix))
    }
}

/// Who is sealed for as an envelope says, out of its stores.
pub(crate) fn recipients(plan: &EnvelopePlan, stores: &[Store]) -> Result<Recipients, Failure> {
    plan.recipients(|name| {
        let store = stores.iter().find(|store| store.is_called(name));
        let store = store.ok_or_else(|| Failure::usage(format!("there is no [kms.{name}]")))?;
        Ok(store.recipient())
    })
}

/// What manages keys does so in one store.
pub(crate) fn only_one(global: &Global) -> Result<(), Failure> {
    if global.kms.len() > 1 {
        return Err(Failure::usage("this works on one key store; name one with --kms"));
    }
    Ok(())
}

/// Where to look.
struct Place {
    at: At,
    key: Option<KeyId>,
    /// By --kms, not by default.
    is_named: bool,
}

enum At {
    Folder(PathBuf),
    Service(RemoteUri),
}

impl Place {
    fn of(app: &App<'_>, uri: Option<&OsStr>, key: Option<&str>) -> Result<Self, Failure> {
        let key = key.map(KeyId::from);
        if let Some(key) = &key {
            key.check()?;
        }
        let Some(uri) = uri else {
            return Ok(Self { at: At::Folder(data_folder()?), key, is_named: false });
        };
        let (at, in_uri) = match app.service(uri)? {
            KmsUri::Local { folder, key } => (At::Folder(expand_home(folder)), key),
            KmsUri::Remote(uri) => {
                let key = uri.key().cloned();
                (At::Service(uri), key)
            }
            _ => {
                let message = "this program does not know that service";
                return Err(Failure::new(Exit::Key, ErrorKind::Unsupported, message));
            }
        };
        if in_uri.is_some() && key.is_some() && in_uri != key {
            return Err(Failure::usage("--kms and --key name two different keys; name one"));
        }
        Ok(Self { at, key: key.or(in_uri), is_named: true })
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

/// `global` is for the first store alone: a descriptor can be read once.
fn master(global: Option<&Global>, folder: &Path, is_new: bool) -> Result<MasterSource, Failure> {
    if let Some(number) = global.and_then(|global| global.master_fd) {
        return Ok(MasterSource::Fd(number));
    }
    if let Some(name) = global.and_then(|global| global.master_env.as_ref()) {
        return Ok(MasterSource::Env(name.clone()));
    }
    if let Some(number) = global.and_then(|global| global.master_passphrase_fd) {
        return Ok(MasterSource::Passphrase(prompt::from_descriptor(number)?));
    }
    let asked_for = global.is_some_and(|global| global.master_passphrase);
    if asked_for && is_new {
        let question = format!("new passphrase for the key store {}", text::path(folder));
        return Ok(MasterSource::Passphrase(prompt::ask_new(&question)?));
    }
    if asked_for || LocalKms::wants_passphrase(folder) {
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
