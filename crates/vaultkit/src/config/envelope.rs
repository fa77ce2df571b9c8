//! Who may open what an envelope of the configuration seals.

use std::collections::BTreeMap;
use std::time::Duration;

use vault_crypto_core::{KeyId, Result};
use vault_envelope::{AllowedKeys, EnvelopeEncryption, Recipient, Recipients};

use super::invalid;
use crate::kms::Connected;

/// One `[envelope.NAME]`; the names in it are those of services that the file has.
#[derive(Debug, Clone)]
pub(super) struct EnvelopePlan {
    pub(super) name: String,
    pub(super) write: Write,
    /// Besides those who are written for.
    pub(super) open: Vec<String>,
    pub(super) scope: BTreeMap<String, String>,
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
    pub(super) fn members(&self) -> Vec<&str> {
        let (first, rest) = match self {
            Self::Primary { primary, fill } => (Some(primary), fill),
            Self::All(of) | Self::AtLeast { of, .. } | Self::Threshold { of, .. } => (None, of),
        };
        first.into_iter().chain(rest).map(String::as_str).collect()
    }
}

impl EnvelopePlan {
    /// Every service that it needs.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        self.write.members().into_iter().chain(self.open.iter().map(String::as_str))
    }

    pub(super) fn build(
        &self,
        connected: &BTreeMap<String, Connected>,
    ) -> Result<EnvelopeEncryption> {
        let member = |name: &String| {
            let (kms, key) = self.key_of(connected, name)?;
            Ok(Recipient::kms(kms, key))
        };
        let all = |names: &[String]| names.iter().map(member).collect::<Result<Vec<_>>>();
        let recipients = match &self.write {
            Write::Primary { primary, fill } => {
                Recipients::primary(member(primary)?).fill_later(all(fill)?)
            }
            Write::All(of) => Recipients::all(all(of)?),
            Write::AtLeast { needed, of } => Recipients::at_least(*needed, all(of)?),
            Write::Threshold { needed, of } => Recipients::threshold(*needed, all(of)?),
        };
        let mut allowed = AllowedKeys::none();
        for name in &self.open {
            let (kms, key) = self.key_of(connected, name)?;
            allowed = allowed.key(kms, key);
        }
        let mut builder =
            EnvelopeEncryption::to(recipients).allow(allowed).scope(self.scope.clone());
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
        connected: &BTreeMap<String, Connected>,
        name: &str,
    ) -> Result<(std::sync::Arc<dyn vault_crypto_core::KmsProvider>, KeyId)> {
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
