//! What all commands share: the global options, the way to report, the key store once it is open.

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use vaultkit::core::{EncryptionContext, Scope};
use vaultkit::envelope::stream::Workers;

use crate::args::{BoundArgs, Global};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::Report;
use crate::store::{Missing, Store};
use crate::target::names_folder;

pub(crate) struct App<'a> {
    pub(crate) global: &'a Global,
    pub(crate) report: Report,
    store: OnceCell<Store>,
    store_failed: Cell<bool>,
}

impl<'a> App<'a> {
    pub(crate) fn new(global: &'a Global, report: Report) -> Self {
        Self { global, report, store: OnceCell::new(), store_failed: Cell::new(false) }
    }

    /// The key store, opened when it is first needed: an input that cannot be read asks for no
    /// passphrase and makes no store.
    pub(crate) fn store(&self, missing: Missing) -> Result<&Store, Failure> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        self.store_failed.set(true);
        let store = Store::open(self.global, &self.report, missing)?;
        self.store_failed.set(false);
        Ok(self.store.get_or_init(|| store))
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
                if self.store_failed.get() {
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
    pub(crate) fn check(args: &BoundArgs) -> Result<Self, Failure> {
        Scope::new(args.scope.iter().cloned())?;
        let context = EncryptionContext::try_new(args.context.iter().cloned())?;
        Ok(Self { context, scope: args.scope.clone() })
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
