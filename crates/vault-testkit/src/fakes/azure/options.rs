//! How a vault is set up before it starts.
//!
//! Left to `FakeKeyVault`: what changes while it runs.

use super::keys::Settings;
use super::tokens::uuid;

/// The settings of a vault.
///
/// ```
/// use vault_testkit::fakes::azure::{FakeKeyVault, FakeKeyVaultOptions};
///
/// let options = FakeKeyVaultOptions::new().with_name("orders-eu").with_retention_days(7);
/// let vault = FakeKeyVault::start_with(options);
/// assert_eq!(vault.host(), "orders-eu.vault.azure.net");
/// ```
#[derive(Debug, Clone)]
pub struct FakeKeyVaultOptions {
    name: String,
    pub(super) tenant: String,
    retention_days: u64,
    purge_protection: bool,
}

impl FakeKeyVaultOptions {
    /// A vault named `vaultkit-test` of a tenant of its own that keeps deleted keys for 90 days and may be purged.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: "vaultkit-test".to_owned(),
            tenant: uuid(),
            retention_days: 90,
            purge_protection: false,
        }
    }

    /// The vault's name, the first label of its host name.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The tenant, as Microsoft Entra writes it.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &str) -> Self {
        tenant.clone_into(&mut self.tenant);
        self
    }

    /// How many days a deleted key is kept for; the service has 7 to 90, and so has this.
    #[must_use]
    pub fn with_retention_days(mut self, days: u64) -> Self {
        self.retention_days = days.clamp(7, 90);
        self
    }

    /// Nobody may purge a deleted key before its time.
    #[must_use]
    pub fn with_purge_protection(mut self) -> Self {
        self.purge_protection = true;
        self
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            host: format!("{}.vault.azure.net", self.name),
            retention_days: self.retention_days,
            purge_protection: self.purge_protection,
        }
    }
}

impl Default for FakeKeyVaultOptions {
    fn default() -> Self {
        Self::new()
    }
}
