//! An answer of the server: its bytes, wiped when it is dropped, and the parts that every answer has.
//!
//! Left to others: what is in `data`.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use vault_crypto_core::{SecureBytes, SecureString};

use crate::{VaultFailure, VaultFailureKind};

/// What the server answered. It may hold secrets: it prints as nothing and is wiped on drop.
pub struct VaultAnswer {
    body: SecureBytes,
}

/// A lease: what to renew or revoke, and until when. Its id gives power over what was leased, so it is a
/// secret.
#[non_exhaustive]
pub struct VaultLease {
    /// The lease's id.
    pub id: SecureString,
    /// How long it lasts.
    pub duration: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
}

/// What a login or a renewal grants.
#[derive(Deserialize)]
pub(crate) struct Auth<'a> {
    pub(crate) client_token: &'a str,
    pub(crate) lease_duration: u64,
    pub(crate) renewable: bool,
}

impl VaultAnswer {
    pub(crate) fn new(body: SecureBytes) -> Self {
        Self { body }
    }

    /// Reads `data` as `T`, which may borrow from this answer, so that secrets are not copied.
    ///
    /// # Errors
    /// [`VaultFailureKind::Unreadable`] unless it has that form.
    pub fn data<'a, T: Deserialize<'a>>(&'a self) -> Result<T, VaultFailure> {
        #[derive(Deserialize)]
        struct Only<T> {
            data: T,
        }
        self.read::<Only<T>>().map(|only| only.data)
    }

    /// The lease, where the server gave one.
    ///
    /// # Errors
    /// [`VaultFailureKind::Unreadable`] for what is no answer.
    pub fn lease(&self) -> Result<Option<VaultLease>, VaultFailure> {
        #[derive(Deserialize)]
        struct Lease<'a> {
            #[serde(default)]
            lease_id: &'a str,
            #[serde(default)]
            lease_duration: u64,
            #[serde(default)]
            renewable: bool,
        }
        let lease: Lease<'_> = self.read()?;
        Ok((!lease.lease_id.is_empty()).then(|| VaultLease {
            id: SecureString::new(lease.lease_id),
            duration: Duration::from_secs(lease.lease_duration),
            renewable: lease.renewable,
        }))
    }

    /// How many warnings the server added. Their text is the server's and is not shown.
    #[must_use]
    pub fn warnings(&self) -> usize {
        #[derive(Deserialize)]
        struct Warnings {
            warnings: Option<Vec<IgnoredAny>>,
        }
        self.read::<Warnings>().ok().and_then(|w| w.warnings).map_or(0, |all| all.len())
    }

    /// Whether the server answered without content, as it does to some changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    pub(crate) fn auth(&self) -> Result<Auth<'_>, VaultFailure> {
        #[derive(Deserialize)]
        struct Only<'a> {
            #[serde(borrow)]
            auth: Auth<'a>,
        }
        self.read::<Only<'_>>().map(|only| only.auth)
    }

    pub(crate) fn has_data(&self) -> bool {
        self.data::<Option<IgnoredAny>>().is_ok_and(|data| data.is_some())
    }

    /// The whole body: `sys/health` has no `data` around it.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, VaultFailure> {
        // The parser's own error repeats what it did not expect.
        serde_json::from_slice(self.body.as_slice()).map_err(|_| {
            VaultFailure::new(VaultFailureKind::Unreadable, "the answer is not one of Vault's")
        })
    }
}

impl fmt::Debug for VaultAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultAnswer([REDACTED])")
    }
}

impl fmt::Debug for VaultLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultLease")
            .field("duration", &self.duration)
            .field("renewable", &self.renewable)
            .finish_non_exhaustive()
    }
}
