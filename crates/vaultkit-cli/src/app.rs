//! What all commands share: the global options, the way to report, the keys once they are at hand.

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use vaultkit::config::{Config, EnvelopePlan};
use vaultkit::core::{EncryptionContext, Scope};
use vaultkit::envelope::stream::Workers;

use crate::args::{BoundArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::Report;
use crate::store::{self, Missing, Store};
use crate::target::names_folder;

mod configuration;

pub(crate) struct App<'a> {
    pub(crate) global: &'a Global,
    /// The `[envelope.NAME]` that was named.
    envelope: Option<&'a str>,
    pub(crate) report: Report,
    stores: OnceCell<Vec<Store>>,
    config: OnceCell<Option<Config>>,
    keys_failed: Cell<bool>,
}

impl<'a> App<'a> {
    pub(crate) fn new(global: &'a Global, envelope: Option<&'a str>, report: Report) -> Self {
        Self {
            global,
            envelope,
            report,
            stores: OnceCell::new(),
            config: OnceCell::new(),
            keys_failed: Cell::new(false),
        }
    }

    /// Keys, got when they are first needed: an input that cannot be read asks for no passphrase and makes
    /// no store. Where this fails, no further input is tried.
    pub(crate) fn keys<'c, T>(
        &self,
        cell: &'c OnceCell<T>,
        get: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<&'c T, Failure> {
        if let Some(keys) = cell.get() {
            return Ok(keys);
        }
        let before = self.keys_failed.replace(true);
        let keys = get()?;
        self.keys_failed.set(before);
        Ok(cell.get_or_init(|| keys))
    }

    /// The key stores, the primary first.
    pub(crate) fn stores(&self, missing: Missing) -> Result<&[Store], Failure> {
        let open = || Store::open_all(self, missing);
        self.keys(&self.stores, open).map(Vec::as_slice)
    }

    /// The one key store of a command that manages keys.
    pub(crate) fn store(&self, missing: Missing) -> Result<&Store, Failure> {
        store::only_one(self.global)?;
        let stores = self.stores(missing)?;
        stores.first().ok_or_else(|| Failure::usage("no key store is named"))
    }

    /// Whether a key store or a key of one was asked for by name.
    pub(crate) fn names_store(&self) -> bool {
        self.envelope.is_some() || !self.global.kms.is_empty() || self.global.key.is_some()
    }

    pub(crate) fn workers(&self) -> Workers {
        self.global.threads.map_or_else(Workers::available, |n| Workers::new(n.get().min(256)))
    }

    /// Treats each input by itself; the first failure's code is the answer.
    pub(crate) fn for_each(
        &self,
        inputs: &[PathBuf],
        mut one: impl FnMut(&PathBuf) -> Result<(), Failure>,
    ) -> Exit {
        let mut exit = Exit::Done;
        for input in inputs {
            if let Err(failure) = one(input) {
                let code = self.report.failure(&failure.at(input));
                if exit == Exit::Done {
                    exit = code;
                }
                if self.keys_failed.get() {
                    break; // It would fail for every other input, and might ask a person each time.
                }
            }
        }
        exit
    }

    /// Several inputs fit into one output only if that is a folder.
    pub(crate) fn check_outputs(
        &self,
        inputs: &[PathBuf],
        output: Option<&Path>,
    ) -> Result<(), Failure> {
        match output {
            Some(output) if inputs.len() > 1 && !names_folder(output) => Err(Failure::usage(
                "several inputs do not fit into one output; name an existing folder with -o, or leave it out",
            )),
            _ => Ok(()),
        }
    }
}

/// What messages are bound to, checked before anything else is done.
pub(crate) struct Bound {
    pub(crate) context: EncryptionContext,
    pub(crate) scope: Vec<(String, String)>,
}

impl Bound {
    pub(crate) fn check(app: &App<'_>, args: &BoundArgs) -> Result<Self, Failure> {
        let scope = app.in_envelope(&args.scope)?;
        Scope::new(scope.iter().cloned())?;
        let context = EncryptionContext::try_new(args.context.iter().cloned())?;
        Ok(Self { context, scope })
    }
}

/// Bytes that several threads count together.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
