//! `vaultkit.toml`: which services there are, and who may open what is sealed with which of them.
//!
//! ```toml
//! [kms.main]
//! uri = "aws-kms://arn:aws:kms:eu-central-1:111122223333:alias/app"
//! [kms.exit]
//! uri = "azurekeyvault://backup.vault.azure.net/keys/app"
//!
//! [envelope.cards]
//! write = { primary = "main", fill = ["exit"] }   # or "main", { all = [...] }, { at_least = 2, of = [...] }
//! open  = ["main", "exit"]
//! scope = { table = "cards" }
//! ```
//!
//! Beside `uri` stand the options of the service, as in the query of the URI. `${NAME}` in a text is the
//! environment's variable; one that is missing is an error. Nothing unknown is passed over, and no secret
//! stands in the file: options name files that hold them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};
use vault_envelope::EnvelopeEncryption;

use crate::kms::{Connected, KmsUri, connect_to};

mod envelope;
mod parse;

use envelope::EnvelopePlan;

/// What a configuration file says, checked; nothing is connected to yet.
#[derive(Clone)]
pub struct Config {
    kms: BTreeMap<String, KmsUri>,
    envelopes: BTreeMap<String, EnvelopePlan>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it cannot be read, else as [`parse`](Self::parse).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| {
            CryptoError::new(ErrorKind::Io, Operation::Configure)
                .with_detail(format!("{} cannot be read", path.display()))
                .with_source(error)
        })?;
        Self::parse(&text, |name| std::env::var(name).ok())
    }

    /// Reads a text; `variable` gives the environment's variables.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], with the place and what would be right.
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        parse::parse(text, &variable)
    }

    /// The names of the services, ascending.
    pub fn kms_names(&self) -> impl Iterator<Item = &str> {
        self.kms.keys().map(String::as_str)
    }

    /// The names of the envelopes, ascending.
    pub fn envelope_names(&self) -> impl Iterator<Item = &str> {
        self.envelopes.keys().map(String::as_str)
    }

    /// Where a service is.
    #[must_use]
    pub fn kms_uri(&self, name: &str) -> Option<&KmsUri> {
        self.kms.get(name)
    }

    /// Connects to a service.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that the file does not have, else as
    /// [`connect_to`].
    pub async fn connect(&self, name: &str) -> Result<Connected> {
        let uri =
            self.kms.get(name).cloned().ok_or_else(|| unknown("kms", name, self.kms_names()))?;
        connect_to(uri).await
    }

    /// Builds an envelope, with connections of its own to the services that it needs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that the file does not have or a service without a key, else
    /// as [`connect_to`].
    pub async fn envelope(&self, name: &str) -> Result<EnvelopeEncryption> {
        let plan = self
            .envelopes
            .get(name)
            .ok_or_else(|| unknown("envelope", name, self.envelope_names()))?;
        let mut connected = BTreeMap::new();
        for member in plan.members() {
            if !connected.contains_key(member) {
                connected.insert(member.to_owned(), self.connect(member).await?);
            }
        }
        plan.build(&connected)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("kms", &self.kms.keys())
            .field("envelopes", &self.envelopes.keys())
            .finish()
    }
}

fn unknown<'a>(table: &str, name: &str, known: impl Iterator<Item = &'a str>) -> CryptoError {
    let known: Vec<&str> = known.collect();
    invalid(format!("there is no [{table}.{name}]; there are: {}", known.join(", ")))
}

fn invalid(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail.into())
}
