//! What a server says of itself: whether it can work, which product and version it is, its clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use serde::Deserialize;

use crate::transport::{Request, Transport};
use crate::{VaultAnswer, VaultFailure, VaultMount};

/// States, not errors: whatever the server is, it answers 200.
const HEALTH: &str = "standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200\
                      &drsecondarycode=200&performancestandbycode=200";

/// Asks the server how it is, without a token; and what the answer's header says of its clock.
pub(crate) async fn ask(
    transport: &Transport,
) -> Result<(VaultAnswer, Option<SystemTime>), VaultFailure> {
    let path = VaultMount::system().path(&["health"])?;
    let (query, body) = (Some(HEALTH), None);
    let request = Request { method: Method::GET, path, query, body, namespace: false };
    let raw = transport.send(&request, None).await?;
    let date = raw.date;
    Ok((VaultAnswer::new(raw.success()?), date))
}

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
    /// Whether it has namespaces: Vault Enterprise does, and OpenBao since 2.3. Others ignore the header.
    pub namespaces: bool,
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
    enterprise: Option<bool>,
}

impl Body<'_> {
    fn product(&self) -> VaultProduct {
        // OpenBao's numbers begin with 2.0; a Vault without the field is an old 1.x.
        let old_vault = self.version.starts_with("1.") || self.version.starts_with("0.");
        if self.enterprise.is_some() || old_vault {
            VaultProduct::Vault
        } else {
            VaultProduct::OpenBao
        }
    }

    pub(crate) fn has_namespaces(&self) -> bool {
        match self.product() {
            // Before the field, the edition stood behind the number: 1.9.2+ent, 1.9.2+ent.hsm, 0.11.0+prem.
            VaultProduct::Vault => self.enterprise.unwrap_or_else(|| {
                let edition = self.version.split_once('+').map_or("", |(_, edition)| edition);
                ["ent", "prem", "pro"].iter().any(|paid| edition.starts_with(paid))
            }),
            VaultProduct::OpenBao => {
                let mut parts = self.version.split('.').map(|part| part.parse::<u32>().ok());
                let number = (parts.next().flatten(), parts.next().flatten());
                number >= (Some(2), Some(3))
            }
        }
    }

    pub(crate) fn health(&self, date: Option<SystemTime>, latency: Duration) -> VaultHealth {
        let told = self
            .server_time_utc
            .map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds.min(1 << 40)));
        VaultHealth {
            initialized: self.initialized,
            sealed: self.sealed,
            standby: self.standby,
            product: self.product(),
            version: printable(self.version),
            namespaces: self.has_namespaces(),
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

    #[test]
    fn only_servers_with_namespaces_are_told_to_have_them() {
        let has = |version: &str, enterprise: Option<bool>| {
            Body {
                initialized: true,
                sealed: false,
                standby: false,
                version,
                server_time_utc: None,
                enterprise,
            }
            .has_namespaces()
        };
        for (version, enterprise) in [
            ("1.21.1", Some(true)),
            ("1.21.1+ent", Some(true)),
            ("1.9.2+ent", None),
            ("1.9.2+ent.hsm", None),
            ("0.11.0+prem", None),
            ("2.3.1", None),
            ("2.10.0", None),
            ("3.0.0", None),
        ] {
            assert!(has(version, enterprise), "{version}");
        }
        for (version, enterprise) in [
            ("1.21.1", Some(false)),
            ("2.0.3", Some(false)),
            ("1.9.2", None),
            ("1.9.2+dev", None),
            ("2.2.2", None),
            ("2.0.0-alpha", None),
            ("", None),
            ("unknown", None),
        ] {
            assert!(!has(version, enterprise), "{version}");
        }
    }
}
