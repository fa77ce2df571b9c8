//! What a server says of itself: whether it can work, which product and version it is, its clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// A server's state, asked without a token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VaultHealth {
    /// Somebody has set it up.
    pub initialized: bool,
    /// It cannot read its own storage until somebody unseals it.
    pub sealed: bool,
    /// Another node of the cluster does the work; this one passes requests on.
    pub standby: bool,
    /// Which program it is.
    pub product: VaultProduct,
    /// Its version, as it writes it: `1.21.1`.
    pub version: String,
    /// Its clock.
    pub server_time: Option<SystemTime>,
    /// How long it took to answer.
    pub latency: Duration,
}

impl VaultHealth {
    /// Whether it takes requests.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.initialized && !self.sealed
    }
}

/// The programs that speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VaultProduct {
    /// HashiCorp Vault.
    Vault,
    /// OpenBao.
    OpenBao,
}

impl VaultProduct {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "Vault",
            Self::OpenBao => "OpenBao",
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Body<'a> {
    initialized: bool,
    sealed: bool,
    #[serde(default)]
    standby: bool,
    version: &'a str,
    server_time_utc: Option<u64>,
    /// Vault says since 1.16 which edition it is; OpenBao has none and does not.
    enterprise: Option<IgnoredAny>,
}

impl Body<'_> {
    pub(crate) fn health(&self, date: Option<SystemTime>, latency: Duration) -> VaultHealth {
        let told = self
            .server_time_utc
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.min(1 << 40)));
        // OpenBao's numbers begin with 2.0; a Vault without the field is an old 1.x.
        let old_vault = self.version.starts_with("1.") || self.version.starts_with("0.");
        let is_vault = self.enterprise.is_some() || old_vault;
        VaultHealth {
            initialized: self.initialized,
            sealed: self.sealed,
            standby: self.standby,
            product: if is_vault { VaultProduct::Vault } else { VaultProduct::OpenBao },
            version: printable(self.version),
            server_time: date.or(told),
            latency,
        }
    }
}

/// A version number and nothing else, however the server fills the field.
fn printable(version: &str) -> String {
    version.chars().filter(|c| c.is_ascii_alphanumeric() || ".+-".contains(*c)).take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(body: &str) -> VaultProduct {
        let body: Body<'_> = serde_json::from_str(body).unwrap();
        body.health(None, Duration::ZERO).product
    }

    #[test]
    fn the_product_is_seen_not_assumed() {
        let open_bao = r#"{"initialized":true,"sealed":false,"standby":false,"performance_standby":false,
            "replication_performance_mode":"disabled","replication_dr_mode":"disabled",
            "server_time_utc":1795322603,"version":"2.4.1","cluster_name":"c"}"#;
        let vault = r#"{"initialized":true,"sealed":false,"version":"2.0.3","enterprise":false}"#;
        let old = r#"{"initialized":true,"sealed":false,"version":"1.9.2"}"#;
        assert_eq!(product(open_bao), VaultProduct::OpenBao);
        assert_eq!(product(vault), VaultProduct::Vault);
        assert_eq!(product(old), VaultProduct::Vault);
    }
}
