//! Options of a service: the query of a URI, or what stands beside it in a configuration file. No option
//! holds a secret; those come from files, from the environment, or from the service's own logins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use vault_crypto_core::Result;

use super::{Service, invalid};

/// Names and values, each name once and known to the service.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Options(BTreeMap<String, String>);

/// The names alone: values may come from the environment.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[allow(dead_code, reason = "each service reads its own, and not every build has every service")]
impl Options {
    /// Adds one.
    ///
    /// # Errors
    /// `InvalidInput` for a name that the service does not have, or a second value.
    pub(super) fn add(&mut self, service: Service, name: String, value: String) -> Result<()> {
        if !service.options().any(|known| known == name) {
            let known: Vec<&str> = service.options().collect();
            let scheme = service.scheme();
            return Err(invalid(format!(
                "{scheme} has no such option; it has {}",
                known.join(", ")
            )));
        }
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(invalid(format!(
                "the option {name} has no value, or one with control characters"
            )));
        }
        if self.0.contains_key(&name) {
            return Err(invalid(format!("the option {name} is given twice")));
        }
        self.0.insert(name, value);
        Ok(())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// One that another makes necessary.
    pub(super) fn needed(&self, name: &str, why: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| invalid(format!("{why} needs the option {name}")))
    }

    /// Refuses options that nobody will read: who gives them means something else to happen.
    pub(super) fn refuse(&self, unread: &[&str], beside: &str) -> Result<()> {
        match unread.iter().find(|name| self.0.contains_key(**name)) {
            None => Ok(()),
            Some(name) => Err(invalid(format!("the option {name} does not go with {beside}"))),
        }
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// `true` or `false`, and nothing else: a switch that is misspelt must not be off in silence.
    pub(super) fn switch(&self, name: &str) -> Result<bool> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(invalid(format!("the option {name} is true or false"))),
        }
    }

    /// `timeout`, of the whole call.
    pub(super) fn timeout(&self) -> Result<Option<Duration>> {
        self.text("timeout").map(duration).transpose()
    }

    /// The certificates in `ca_file`, as PEM.
    pub(super) fn roots(&self) -> Result<Option<Vec<u8>>> {
        self.path("ca_file").map(|path| read("ca_file", &path)).transpose()
    }

    /// As [`secret_file`](Self::secret_file), where it must be text.
    pub(super) fn secret_text(
        &self,
        name: &str,
    ) -> Result<Option<vault_crypto_core::SecureString>> {
        let Some(bytes) = self.secret_file(name)? else { return Ok(None) };
        let text = std::str::from_utf8(bytes.as_slice())
            .map_err(|_| invalid(format!("the file of the option {name} is not UTF-8")))?;
        Ok(Some(vault_crypto_core::SecureString::new(text)))
    }

    /// What a file holds that an option names, without the line's end.
    pub(super) fn secret_file(&self, name: &str) -> Result<Option<vault_crypto_core::SecureBytes>> {
        let Some(path) = self.path(name) else { return Ok(None) };
        let mut bytes = read(name, &path)?;
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        Ok(Some(vault_crypto_core::SecureBytes::new(bytes)))
    }
}

#[allow(dead_code, reason = "each service reads its own, and not every build has every service")]
fn read(name: &str, path: &std::path::Path) -> Result<Vec<u8>> {
    use vault_crypto_core::{CryptoError, ErrorKind, Operation};
    std::fs::read(path).map_err(|error| {
        CryptoError::new(ErrorKind::Io, Operation::Configure)
            .with_detail(format!("the file of the option {name} cannot be read"))
            .with_source(error)
    })
}

/// `250ms`, `10s`, `5m`, `2h`.
///
/// # Errors
/// `InvalidInput` for anything else, or for none at all.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(at).unwrap_or((text, ""));
    let unit = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = number.parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    match millis {
        Some(millis @ 1..) => Ok(Duration::from_millis(millis)),
        _ => Err(invalid("write a duration as 250ms, 10s, 5m or 2h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_are_not_zero() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("2h").unwrap(), Duration::from_secs(7_200));
        for wrong in ["", "10", "0s", "-1s", "1.5s", "1d", "s", "99999999999999999999s", "1s "] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_value_is_shown() {
        let mut options = Options::default();
        options.add(Service::Aws, "external_id".into(), "ext-4711".into()).unwrap();
        assert_eq!(format!("{options:?}"), "{\"external_id\"}");
    }

    #[test]
    fn a_switch_is_true_or_false() {
        let mut options = Options::default();
        assert!(!options.switch("fips").unwrap());
        options.add(Service::Aws, "fips".into(), "True".into()).unwrap();
        assert!(options.switch("fips").is_err());
    }
}
