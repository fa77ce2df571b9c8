//! The variables that Vault's own programs read, strictly: a value that is not exactly one of the
//! documented ones is an error, and so is a variable that would be ignored at a risk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};
use zeroize::Zeroizing;

use crate::address::invalid;
use crate::config::ClientIdentity;
use crate::{VaultConnectionConfig, VaultCredentials, VaultMount};

impl VaultConnectionConfig {
    /// What `VAULT_ADDR`, `VAULT_TOKEN` (or the file `~/.vault-token`), `VAULT_NAMESPACE`, `VAULT_CACERT`,
    /// `VAULT_CLIENT_CERT`, `VAULT_CLIENT_KEY`, `VAULT_CLIENT_TIMEOUT` and `VAULT_PROXY_ADDR` say.
    ///
    /// `VAULT_SKIP_VERIFY` must be one of `0 f F false False FALSE 1 t T true True TRUE`. True by itself
    /// makes connecting fail: verification is turned off in code, or not at all
    /// ([`danger_accept_any_certificate`](Self::danger_accept_any_certificate)).
    ///
    /// # Errors
    /// `InvalidInput` for a missing address or token, for a value outside the rules, and for
    /// `VAULT_CAPATH` and `VAULT_TLS_SERVER_NAME`, which are not supported and must not be ignored; `Io` for a
    /// file that cannot be read.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(|name| std::env::var_os(name))
    }

    /// The same from variables that the caller looks up.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(look_up: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let vars = Vars { look_up: &look_up };
        for unsupported in ["VAULT_CAPATH", "VAULT_TLS_SERVER_NAME", "VAULT_CACERT_BYTES"] {
            if vars.text(unsupported)?.is_some() {
                return Err(invalid(
                    "VAULT_CAPATH, VAULT_CACERT_BYTES and VAULT_TLS_SERVER_NAME are not supported; use VAULT_CACERT",
                ));
            }
        }
        let address = vars.text("VAULT_ADDR")?;
        let address =
            address.ok_or_else(|| invalid("VAULT_ADDR is not set: where is the server?"))?;
        let mut config = Self::new(address, vars.credentials()?);
        config.skip_verify_asked = vars.skip_verify()?;
        config.identity = vars.identity()?.map(ClientIdentity::Pem);
        if let Some(namespace) = vars.text("VAULT_NAMESPACE")? {
            config = config.with_namespace(VaultMount::new(&namespace)?);
        }
        if let Some(path) = vars.text("VAULT_CACERT")? {
            config = config.with_tls_roots(read("VAULT_CACERT", Path::new(&path))?);
        }
        if let Some(timeout) = vars.text("VAULT_CLIENT_TIMEOUT")? {
            config = config.with_call_timeout(seconds(&timeout)?);
        }
        match vars.text("VAULT_PROXY_ADDR")? {
            Some(proxy) => Ok(config.with_proxy(proxy)),
            None => Ok(config),
        }
    }
}

struct Vars<'a> {
    look_up: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Vars<'_> {
    /// The variable's text; `None` if it is not set. Set to nothing counts as a mistake.
    fn text(&self, name: &'static str) -> Result<Option<String>> {
        let Some(value) = (self.look_up)(name) else { return Ok(None) };
        let text = value.into_string().ok().filter(|text| !text.is_empty());
        let text = text.filter(|text| !text.chars().any(char::is_control));
        text.map(Some).ok_or_else(|| {
            CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(format!(
                "{name} is set to nothing, or to what is no line of text; unset it"
            ))
        })
    }

    fn credentials(&self) -> Result<VaultCredentials> {
        if let Some(token) = self.text("VAULT_TOKEN")? {
            return Ok(VaultCredentials::token(token));
        }
        let home = (self.look_up)("HOME").map(PathBuf::from);
        let file = home.map(|home| home.join(".vault-token")).filter(|file| file.is_file());
        let file = file.ok_or_else(|| {
            invalid("neither VAULT_TOKEN nor the file ~/.vault-token has a token")
        })?;
        Ok(VaultCredentials::TokenFile(file))
    }

    /// Go's `strconv.ParseBool`, which Vault's own client uses, and nothing else.
    fn skip_verify(&self) -> Result<bool> {
        match (self.look_up)("VAULT_SKIP_VERIFY").map(OsString::into_string) {
            None => Ok(false),
            Some(Ok(text)) => match text.as_str() {
                "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
                "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
                _ => Err(invalid("VAULT_SKIP_VERIFY is none of 0, f, false, 1, t, true; unset it")),
            },
            Some(Err(_)) => {
                Err(invalid("VAULT_SKIP_VERIFY is none of 0, f, false, 1, t, true; unset it"))
            }
        }
    }

    fn identity(&self) -> Result<Option<SecureBytes>> {
        match (self.text("VAULT_CLIENT_CERT")?, self.text("VAULT_CLIENT_KEY")?) {
            (None, None) => Ok(None),
            (Some(chain), Some(key)) => {
                let chain = read("VAULT_CLIENT_CERT", Path::new(&chain))?;
                let key = Zeroizing::new(read("VAULT_CLIENT_KEY", Path::new(&key))?);
                let mut pem = Vec::with_capacity(chain.len() + 1 + key.len());
                pem.extend_from_slice(&chain);
                pem.push(b'\n');
                pem.extend_from_slice(&key);
                Ok(Some(SecureBytes::new(pem)))
            }
            _ => Err(invalid(
                "VAULT_CLIENT_CERT and VAULT_CLIENT_KEY belong together; one is missing",
            )),
        }
    }
}

fn read(variable: &'static str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        CryptoError::new(ErrorKind::Io, Operation::Configure)
            .with_detail(format!("the file that {variable} names cannot be read"))
            .with_source(error)
    })
}

/// Whole seconds, with or without the unit.
fn seconds(text: &str) -> Result<Duration> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse().ok().filter(|seconds| digits && *seconds > 0);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| invalid("VAULT_CLIENT_TIMEOUT is a number of seconds, such as 60 or 60s"))
}
