//! Who may open what an envelope of the configuration seals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{CryptoError, KeyId, KmsProvider, Result, Scope};
use vault_envelope::{AllowedKeys, EnvelopeEncryption, Recipient, Recipients};

use super::invalid;
use crate::kms::Connected;

type Outcome<T, E> = std::result::Result<T, E>;

/// One `[envelope.NAME]`, checked; the services that it names are those of its file.
#[derive(Debug, Clone)]
pub struct EnvelopePlan {
    pub(super) name: String,
    pub(super) write: Write,
    /// Besides those who are written for.
    pub(super) open: Vec<String>,
    pub(super) scope: Scope,
    pub(super) hedge_after: Option<Duration>,
    pub(super) cache: bool,
}

/// `write = ...`
#[derive(Debug, Clone)]
pub(super) enum Write {
    Primary { primary: String, fill: Vec<String> },
    All(Vec<String>),
    AtLeast { needed: usize, of: Vec<String> },
    Threshold { needed: usize, of: Vec<String> },
}

impl Write {
    fn now_and_later(&self) -> (Vec<&String>, &[String]) {
        match self {
            Self::Primary { primary, fill } => (vec![primary], fill),
            Self::All(of) | Self::AtLeast { of, .. } | Self::Threshold { of, .. } => {
                (of.iter().collect(), &[])
            }
        }
    }
}

impl EnvelopePlan {
    /// The name in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The services that are sealed for, in their order.
    pub fn sealed_for(&self) -> impl Iterator<Item = &str> {
        let (now, later) = self.write.now_and_later();
        now.into_iter().chain(later).map(String::as_str)
    }

    /// Those of them whose slots are left for later.
    pub fn filled_later(&self) -> impl Iterator<Item = &str> {
        self.write.now_and_later().1.iter().map(String::as_str)
    }

    /// Every service that may open, each once: those that are sealed for come first.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let opening = self.open.iter().map(String::as_str);
        let mut all: Vec<&str> = Vec::new();
        for name in self.sealed_for().chain(opening) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all.into_iter()
    }

    /// The scope that is sealed in.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How long one key is waited for before the next one is asked, too.
    #[must_use]
    pub fn hedge_after(&self) -> Option<Duration> {
        self.hedge_after
    }

    /// Who is sealed for, as the file says; `member` gives the key of each service by its name.
    ///
    /// # Errors
    /// Those of `member`.
    pub fn recipients<E>(
        &self,
        mut member: impl FnMut(&str) -> Outcome<Recipient, E>,
    ) -> Outcome<Recipients, E> {
        let mut all = |names: &[String]| {
            names.iter().map(|name| member(name)).collect::<Outcome<Vec<_>, E>>()
        };
        Ok(match &self.write {
            Write::Primary { primary, fill } => {
                let later = all(fill)?;
                Recipients::primary(member(primary)?).fill_later(later)
            }
            Write::All(of) => Recipients::all(all(of)?),
            Write::AtLeast { needed, of } => Recipients::at_least(*needed, all(of)?),
            Write::Threshold { needed, of } => Recipients::threshold(*needed, all(of)?),
        })
    }

    pub(super) fn build(
        &self,
        connected: &BTreeMap<&str, Connected>,
    ) -> Result<EnvelopeEncryption> {
        let recipients = self.recipients(|name| {
            let (kms, key) = self.key_of(connected, name)?;
            Ok::<_, CryptoError>(Recipient::kms(kms, key))
        })?;
        let mut allowed = AllowedKeys::none();
        for name in &self.open {
            let (kms, key) = self.key_of(connected, name)?;
            allowed = allowed.key(kms, key);
        }
        let mut builder =
            EnvelopeEncryption::to(recipients).allow(allowed).scope(self.scope.pairs());
        if let Some(delay) = self.hedge_after {
            builder = builder.hedge_after(delay);
        }
        if !self.cache {
            builder = builder.without_cache();
        }
        builder.build()
    }

    fn key_of(
        &self,
        connected: &BTreeMap<&str, Connected>,
        name: &str,
    ) -> Result<(Arc<dyn KmsProvider>, KeyId)> {
        let found = connected
            .get(name)
            .and_then(|connected| connected.key().map(|key| (connected.kms(), key.clone())));
        found.ok_or_else(|| {
            invalid(format!(
                "[envelope.{}] needs a key of [kms.{name}], whose uri names none",
                self.name
            ))
        })
    }
}
