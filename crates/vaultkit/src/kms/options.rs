//! Options of a service: the query of a URI, or what stands beside it in a configuration file. No option
//! holds a secret; those come from files, from the environment, or from the service's own logins.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
#[cfg(feature = "config")]
use std::path::Path;
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

impl Options {
    /// Adds one.
    ///
    /// # Errors
    /// `InvalidInput` for a name that the service does not have, or a second value.
    pub(super) fn add(&mut self, service: Service, name: String, value: String) -> Result<()> {
        if !service.options().any(|known| known == name) {
            return Err(unknown(service, &name));
        }
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(invalid(format!(
                "the option {name} has no value, or one with control characters"
            )));
        }
        if !is_path(&name) && value.contains("://") && value.contains('@') {
            return Err(invalid(format!("the option {name} is an address, without a login in it")));
        }
        if self.0.contains_key(&name) {
            return Err(invalid(format!("the option {name} is given twice")));
        }
        self.0.insert(name, value);
        Ok(())
    }

    /// Puts the paths where `place` says.
    #[cfg(feature = "config")]
    pub(super) fn place_paths(&mut self, place: impl Fn(&Path) -> Result<PathBuf>) -> Result<()> {
        for (name, value) in self.0.iter_mut().filter(|(name, _)| is_path(name)) {
            let placed = place(Path::new(value))?.into_os_string().into_string();
            *value = placed.map_err(|_| {
                invalid(format!("the path of the option {name} is not Unicode; write a whole one"))
            })?;
        }
        Ok(())
    }

    /// To be read by the service that they were given to.
    #[allow(dead_code, reason = "not every build has a service")]
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { options: self, read: RefCell::default() }
    }
}

fn unknown(service: Service, name: &str) -> vault_crypto_core::CryptoError {
    let scheme = service.scheme();
    let as_file = format!("{name}_file");
    if service.options().any(|known| known == as_file) {
        return invalid(format!(
            "no option holds a secret: {as_file} names a file with it, for its owner alone"
        ));
    }
    let known: Vec<&str> = service.options().collect();
    invalid(format!("{scheme} has no such option; it has {}", known.join(", ")))
}

/// Whether the value is a path.
fn is_path(name: &str) -> bool {
    name.ends_with("_file")
}

/// Options while a service reads them. One that nobody asks for is refused in the end, because who gave it
/// means something to happen.
#[allow(dead_code, reason = "not every build has a service")]
pub(super) struct Reading<'a> {
    options: &'a Options,
    read: RefCell<BTreeSet<String>>,
}

#[allow(dead_code, reason = "each service reads its own, and not every build has every service")]
impl Reading<'_> {
    /// Refuses what was given and not asked for.
    pub(super) fn finish(self) -> Result<()> {
        let read = self.read.into_inner();
        match self.options.0.keys().find(|name| !read.contains(*name)) {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "the option {name} does not go with the others, or with this login"
            ))),
        }
    }

    /// Whether it was given; that does not count as reading it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.options.0.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (name, value) = self.options.0.get_key_value(name)?;
        self.read.borrow_mut().insert(name.clone());
        Some(value)
    }

    /// One that another makes necessary.
    pub(super) fn needed(&self, name: &str, why: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| invalid(format!("{why} needs the option {name}")))
    }

    /// Refuses options that nobody will read: who gives them means something else to happen.
    pub(super) fn refuse(&self, unread: &[&str], beside: &str) -> Result<()> {
        match unread.iter().find(|name| self.has(name)) {
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

    /// `proxy`: `http://HOST:PORT`, and no login in it.
    pub(super) fn proxy(&self) -> Result<Option<&str>> {
        let Some(proxy) = self.text("proxy") else { return Ok(None) };
        let place =
            proxy.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let parts = place.and_then(|place| place.rsplit_once(':')).filter(|(host, port)| {
            let strange = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '@' | '%');
            !host.is_empty() && !host.contains(strange) && port.parse::<u16>().is_ok()
        });
        let form = "the option proxy is http://HOST:PORT, without a login in it";
        parts.map(|_| Some(proxy)).ok_or_else(|| invalid(form))
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
        assert!(!options.reading().switch("fips").unwrap());
        options.add(Service::Aws, "fips".into(), "True".into()).unwrap();
        assert!(options.reading().switch("fips").is_err());
    }

    #[test]
    fn what_was_given_and_is_not_asked_for_is_refused() {
        let mut options = Options::default();
        options.add(Service::Gcp, "endpoint".into(), "https://a".into()).unwrap();
        options.add(Service::Gcp, "login".into(), "default".into()).unwrap();
        let reading = options.reading();
        assert!(reading.has("endpoint") && reading.text("login").is_some());
        let error = reading.finish().unwrap_err();
        assert!(error.to_string().contains("endpoint"), "{error}");
        let reading = options.reading();
        let _ = (reading.text("login"), reading.text("endpoint"), reading.text("timeout"));
        reading.finish().unwrap();
    }

    #[test]
    fn a_secret_or_a_login_stands_in_no_option() {
        let add = |service, name: &str, value: &str| {
            Options::default().add(service, name.into(), value.into()).unwrap_err().to_string()
        };
        let refused = add(Service::HashiCorp, "token", "hvs.SECRET");
        assert!(refused.contains("token_file") && !refused.contains("SECRET"), "{refused}");
        let refused = add(Service::Azure, "client_secret", "SECRET");
        assert!(refused.contains("client_secret_file") && !refused.contains("SECRET"), "{refused}");
        let refused = add(Service::Aws, "endpoint", "https://me:SECRET@kms.example");
        assert!(refused.contains("without a login") && !refused.contains("SECRET"), "{refused}");
    }
}
