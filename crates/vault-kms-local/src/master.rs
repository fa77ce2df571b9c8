//! The master secret: where it comes from, and the keys derived from it (docs/LOCAL-STORE.md
//! section 4). It never comes from a program's arguments, which every user of the machine can read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::locked::LockedPool;
use vault_crypto_core::mac::hmac_sha512;
use vault_crypto_core::{RandomSource, Result, SecureBytes, SecureString, wipe_stack};
use zeroize::Zeroizing;

use crate::container::Protection;
use crate::cost::{self, SALT_LEN, check_new_passphrase};
use crate::error::{damaged, invalid, refused, store_io};
use crate::files;
use crate::id::StoreId;
use crate::memory::{MATERIAL_LEN, Material, Phrase};

mod text;

/// Length of a master secret in bytes.
pub(crate) const SECRET_LEN: usize = MATERIAL_LEN;
/// More than the longest encoding with its newline.
const MAX_TEXT_LEN: u64 = 128;

/// Where the master secret of a store is.
///
/// A secret from outside is 32 random bytes as 64 hex digits or as base64 with padding, with nothing
/// around it but one newline at the end.
#[non_exhaustive]
pub enum MasterSource {
    /// The file `master` in the store's folder, made with the store.
    File,
    /// An environment variable of this name.
    Env(String),
    /// An open descriptor of this number (Unix), read once.
    Fd(i32),
    /// Argon2id of a passphrase.
    Passphrase(SecureString),
}

impl std::fmt::Debug for MasterSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File => f.write_str("File"),
            Self::Env(name) => write!(f, "Env({name:?})"),
            Self::Fd(number) => write!(f, "Fd({number})"),
            Self::Passphrase(_) => f.write_str("Passphrase([REDACTED])"),
        }
    }
}

/// The secret at hand.
pub(crate) enum Master {
    Secret(Material),
    Passphrase {
        text: Phrase,
        cost: Argon2Params,
        derived: Mutex<Option<Derived>>,
        pool: LockedPool,
    },
}

/// The last answer of Argon2id, so that a changed key file does not cost it again.
pub(crate) struct Derived {
    protection: Protection,
    root: Material,
}

impl Master {
    /// Reads the secret of an existing store.
    pub(crate) fn load(
        source: MasterSource,
        cost: Argon2Params,
        dir: &Path,
        pool: &LockedPool,
    ) -> Result<Self> {
        match source {
            MasterSource::File => {
                let found = Self::from_file(dir, pool)?;
                found.ok_or_else(|| {
                    damaged(format!(
                        "the master secret {} is missing, and without it no key opens; put it back, or restore the store from a backup",
                        dir.join(files::MASTER_FILE).display()
                    ))
                })
            }
            other => Self::from_outside(other, cost, pool),
        }
    }

    /// Reads the secret, or draws the one of a new file; whether it was drawn and is still to be
    /// [written](Self::write_file). The caller holds the store's lock.
    pub(crate) fn load_or_draw(
        source: MasterSource,
        cost: Argon2Params,
        dir: &Path,
        random: &dyn RandomSource,
        pool: &LockedPool,
    ) -> Result<(Self, bool)> {
        let found = match source {
            MasterSource::File => match Self::from_file(dir, pool)? {
                Some(found) => found,
                None => return Ok((Self::Secret(Material::generate(pool, random)?), true)),
            },
            MasterSource::Passphrase(text) => {
                check_new_passphrase(&text)?;
                cost::check(&cost)?;
                Self::from_outside(MasterSource::Passphrase(text), cost, pool)?
            }
            other => Self::from_outside(other, cost, pool)?,
        };
        Ok((found, false))
    }

    /// Writes a secret that was drawn into its file.
    pub(crate) fn write_file(&self, dir: &Path, random: &dyn RandomSource) -> Result<()> {
        let Self::Secret(secret) = self else { return Ok(()) };
        let encoded = text::encode(&secret.duplicate()?);
        files::replace(dir, files::MASTER_FILE.as_ref(), &encoded, random)
            .map_err(|error| error.of_store(&dir.join(files::MASTER_FILE)))
    }

    fn from_file(dir: &Path, pool: &LockedPool) -> Result<Option<Self>> {
        let path = dir.join(files::MASTER_FILE);
        let Some((bytes, _)) = files::read_private(&path, MAX_TEXT_LEN)? else { return Ok(None) };
        let secret = text::parse(&bytes).ok_or_else(|| {
            damaged(format!(
                "{} does not hold 64 hex digits; put the right file back, or move it away and restore the store from a backup",
                path.display()
            ))
        })?;
        Ok(Some(Self::Secret(keep(pool, &secret)?)))
    }

    fn from_outside(source: MasterSource, cost: Argon2Params, pool: &LockedPool) -> Result<Self> {
        let (bytes, what) = match source {
            MasterSource::Passphrase(text) => {
                let (text, pool) = (Phrase::keep(pool, &text)?, pool.clone());
                return Ok(Self::Passphrase { text, cost, derived: Mutex::new(None), pool });
            }
            MasterSource::Env(name) => (from_env(&name)?, format!("the variable {name}")),
            MasterSource::Fd(number) => (from_fd(number)?, format!("descriptor {number}")),
            MasterSource::File => return Err(invalid("the master file is read from the store")),
        };
        let secret = text::parse(&bytes).ok_or_else(|| {
            refused(format!("{what} does not hold 32 bytes as 64 hex digits or as base64"))
        })?;
        Ok(Self::Secret(keep(pool, &secret)?))
    }

    /// Refuses a process that was forked from the one that holds the secret.
    pub(crate) fn check_process(&self) -> Result<()> {
        match self {
            Self::Secret(secret) => secret.bytes().map(|_| ()),
            Self::Passphrase { text, .. } => text.check(),
        }
    }

    /// How a new key file is protected.
    pub(crate) fn new_protection(&self, random: &dyn RandomSource) -> Result<Protection> {
        match self {
            Self::Secret(_) => Ok(Protection::Secret),
            Self::Passphrase { cost, .. } => {
                let mut salt = [0; SALT_LEN];
                random.fill(&mut salt)?;
                Ok(Protection::Passphrase { cost: *cost, salt })
            }
        }
    }

    /// The root secret for a file that is protected like this.
    pub(crate) fn root(&self, protection: Protection) -> Result<Root> {
        match (self, protection) {
            (Self::Secret(secret), Protection::Secret) => secret.duplicate().map(Root),
            (
                Self::Passphrase { text, derived, pool, .. },
                Protection::Passphrase { cost, salt },
            ) => {
                let mut derived = derived.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = derived.as_ref().filter(|d| d.protection == protection) {
                    return known.root.duplicate().map(Root);
                }
                let root = cost::derive(cost, &text.bytes()?, &salt)?;
                *derived = Some(Derived { protection, root: keep(pool, &root)? });
                Ok(Root(root))
            }
            (Self::Secret(_), Protection::Passphrase { .. }) => {
                Err(refused("the key store is protected by a passphrase; give the passphrase"))
            }
            (Self::Passphrase { .. }, Protection::Secret) => Err(refused(
                "the key store is protected by a master secret, not by a passphrase; give the secret's source",
            )),
        }
    }
}

/// The 32 bytes from which a store's keys are derived. Never used directly.
pub(crate) struct Root(SecureBytes);

impl Root {
    /// The root behind a backup's passphrase.
    pub(crate) fn of_passphrase(
        text: &SecureString,
        cost: Argon2Params,
        salt: &[u8; SALT_LEN],
    ) -> Result<Self> {
        Ok(Self(cost::derive(cost, text.as_str().as_bytes(), salt)?))
    }

    /// The key of key file and backup.
    pub(crate) fn file_key(&self, store: StoreId) -> SecureBytes {
        self.expand(b"vaultkit.v1/local-file-key\0", store)
    }

    /// MAC over the generation's record.
    pub(crate) fn generation_mac(&self, store: StoreId, content: &[u8]) -> SecureBytes {
        let key = self.expand(b"vaultkit.v1/local-generation-key\0", store);
        first_half(hmac_sha512(key.as_slice(), content))
    }

    /// One block of HKDF-Expand (RFC 5869) with SHA-512, as everywhere in this project.
    fn expand(&self, label: &[u8], store: StoreId) -> SecureBytes {
        let info = [label, &store.0, &[1]].concat();
        first_half(hmac_sha512(self.0.as_slice(), &info))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        wipe_stack(); // what deriving from it left there
    }
}

fn keep(pool: &LockedPool, secret: &SecureBytes) -> Result<Material> {
    let bytes = secret.as_slice().first_chunk();
    Material::keep(pool, bytes.ok_or_else(|| invalid("a master secret has 32 bytes"))?)
}

fn first_half(whole: [u8; 64]) -> SecureBytes {
    let whole = Zeroizing::new(whole);
    let (half, _) = whole.split_at(SECRET_LEN);
    SecureBytes::new(half.to_vec())
}

fn from_env(name: &str) -> Result<Zeroizing<Vec<u8>>> {
    let value = std::env::var(name).map_err(|error| {
        refused(format!("the master secret is not in the environment variable {name}"))
            .with_source(error)
    })?;
    Ok(Zeroizing::new(value.into_bytes()))
}

fn from_fd(number: i32) -> Result<Zeroizing<Vec<u8>>> {
    let path = format!("/dev/fd/{number}");
    let fault = |error| store_io(Path::new(&path), "read the master secret from", error);
    let file = File::open(&path).map_err(fault)?;
    // Sized once, so that no reallocation leaves a copy behind.
    let capacity = usize::try_from(MAX_TEXT_LEN).unwrap_or(usize::MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_TEXT_LEN).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}
