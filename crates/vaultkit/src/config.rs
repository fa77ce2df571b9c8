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
//! environment's variable; one that is missing is an error. A path that is not absolute begins at the
//! file's folder, `~/` is the user's home. Nothing unknown is passed over, and no secret stands in the file:
//! options name files that hold them.
//!
//! Who writes the file decides where this process's tokens go: read none that a stranger may have written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};
use vault_envelope::EnvelopeEncryption;

use crate::kms::{Connected, KmsUri, connect_to};

mod envelope;
mod expand;
mod parse;

pub use envelope::EnvelopePlan;

/// No configuration is longer, in bytes.
const MAX_LEN: u64 = 256 << 10;

/// What a configuration file says, checked; nothing is connected to yet.
#[derive(Clone)]
pub struct Config {
    kms: BTreeMap<String, KmsUri>,
    envelopes: BTreeMap<String, EnvelopePlan>,
}

impl Config {
    /// Reads a file. Paths in it begin at its folder.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it cannot be read, else as [`parse`](Self::parse).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |error| {
            CryptoError::new(ErrorKind::Io, Operation::Configure)
                .with_detail(format!("{} cannot be read", path.display()))
                .with_source(error)
        };
        let file = File::open(path).map_err(failed)?;
        // The working folder may be another one when the paths are used.
        let whole = std::path::absolute(path).map_err(failed)?;
        Self::read(file, whole.parent().unwrap_or(Path::new("")))
    }

    /// Reads a file that is open already, such as one whose owner was looked at. Paths in it begin at
    /// `folder`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read(file: impl Read, folder: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut bytes).map_err(|error| {
            CryptoError::new(ErrorKind::Io, Operation::Configure)
                .with_detail("the configuration cannot be read")
                .with_source(error)
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| invalid("the file is not UTF-8"))?;
        parse::parse(text, folder, &|name| std::env::var(name).ok())
    }

    /// Reads a text; `variable` gives the environment's variables. Paths in it begin at the working folder.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], with the place and what would be right.
    pub fn parse(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        parse::parse(text, Path::new(""), &variable)
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

    /// What the file says of an envelope, for who connects to its services in their own way.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that the file does not have.
    pub fn envelope_plan(&self, name: &str) -> Result<&EnvelopePlan> {
        self.envelopes.get(name).ok_or_else(|| unknown("envelope", name, self.envelope_names()))
    }

    /// Connects to a service.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that the file does not have, else as
    /// [`connect_to`].
    pub async fn connect(&self, name: &str) -> Result<Connected> {
        let uri =
            self.kms.get(name).cloned().ok_or_else(|| unknown("kms", name, self.kms_names()))?;
        connect_to(uri).await.map_err(|error| match (error.kind(), error.detail()) {
            // An option: say whose.
            (ErrorKind::InvalidInput | ErrorKind::Io, Some(detail)) => {
                let detail = format!("[kms.{name}]: {detail}");
                error.with_detail(detail)
            }
            _ => error,
        })
    }

    /// Builds an envelope, with connections of its own to the services that it needs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a name that the file does not have or a service without a key, else
    /// as [`connect_to`].
    pub async fn envelope(&self, name: &str) -> Result<EnvelopeEncryption> {
        let plan = self.envelope_plan(name)?;
        let mut connected = BTreeMap::new();
        for service in plan.services() {
            connected.insert(service, self.connect(service).await?);
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
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    invalid(format!("there is no [{table}.{}]; there are: {known}", name.escape_debug()))
}

fn invalid(detail: impl Into<String>) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(detail.into())
}
