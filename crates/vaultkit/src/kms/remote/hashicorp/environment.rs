//! The token of the environment, as Vault's own program has it, and for which server it is.
//!
//! Whoever writes a URI or a configuration file says where tokens go. This one was not given for that server,
//! so it goes to no other than the environment's own where that is known.

use std::ffi::OsString;
use std::path::PathBuf;

use vault_connection::VaultCredentials;
use vault_crypto_core::Result;

use super::Login;
use crate::kms::invalid;

/// The variables that say it. What is no Unicode is taken with its strange characters replaced, and so names
/// no server and no namespace that there is.
pub(super) struct Environment {
    token: Option<String>,
    address: Option<String>,
    namespace: Option<String>,
    home: Option<PathBuf>,
}

impl Environment {
    pub(super) fn of_process() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    fn of(look_up: impl Fn(&str) -> Option<OsString>) -> Self {
        let text = |name| {
            let value = look_up(name).filter(|value| !value.is_empty());
            value.map(|value| value.to_string_lossy().into_owned())
        };
        Self {
            token: text("VAULT_TOKEN"),
            address: text("VAULT_ADDR"),
            namespace: text("VAULT_NAMESPACE"),
            home: look_up("HOME").map(PathBuf::from),
        }
    }

    /// The login at `address`, in the `namespace` that was asked for, else in the environment's.
    ///
    /// # Errors
    /// `InvalidInput` where there is no token, or it is for another server or namespace.
    pub(super) fn login(self, address: &str, namespace: Option<&str>) -> Result<Login> {
        let Self { token, address: own_address, namespace: own_namespace, home } = self;
        let file = home.map(|home| home.join(".vault-token")).filter(|path| path.exists());
        let (credentials, named) = match (token, file) {
            (Some(token), _) => (VaultCredentials::token(token), "VAULT_TOKEN"),
            (None, Some(path)) => (VaultCredentials::token_file(path), "~/.vault-token"),
            (None, None) => {
                return Err(invalid(
                    "there is no token: set VAULT_TOKEN, name a token_file, or choose another login",
                ));
            }
        };
        if own_address.is_some_and(|own| server(&own).is_none() || server(&own) != server(address))
        {
            return Err(invalid(format!(
                "{named} is for VAULT_ADDR, which is another server; name a login for this server"
            )));
        }
        let bare = |namespace: &str| namespace.trim_matches('/').to_owned();
        let (asked, own) = (namespace.map(bare), own_namespace.as_deref().map(bare));
        if own.is_some() && asked.is_some() && asked != own {
            return Err(invalid(format!(
                "{named} is for VAULT_NAMESPACE, which is another namespace; name a login for this one"
            )));
        }
        Ok(Login { credentials, namespace: namespace.map(str::to_owned).or(own_namespace) })
    }
}

/// Host and port of a URL, as they are compared.
fn server(address: &str) -> Option<(String, u16)> {
    let (scheme, rest) = address.split_once("://")?;
    let default = match scheme.to_ascii_lowercase().as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (place, default),
    };
    (!host.is_empty() && !host.contains('@')).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://vault.example:8200";

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn refusal(variables: &[(&str, &str)], address: &str, namespace: Option<&str>) -> String {
        match environment(variables).login(address, namespace) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{variables:?} is used at {address}"),
        }
    }

    #[test]
    fn the_environments_token_goes_to_the_environments_server_and_to_no_other() {
        let token = ("VAULT_TOKEN", "hvs.SECRET");
        for own in [HERE, "https://vault.example:8200/", "HTTPS://Vault.Example:8200/ui"] {
            environment(&[token, ("VAULT_ADDR", own)]).login(HERE, None).unwrap();
        }
        environment(&[token, ("VAULT_ADDR", "https://v")]).login("https://v:443", None).unwrap();
        environment(&[token, ("VAULT_ADDR", "http://[::1]")])
            .login("http://[::1]:80", None)
            .unwrap();
        environment(&[token, ("VAULT_ADDR", "")]).login(HERE, None).unwrap();
        environment(&[token]).login(HERE, None).unwrap();
        for own in [
            "https://other.example:8200",
            "https://vault.example",
            "https://vault.example:8201",
            "https://vault.example.org:8200",
            "https://vault.example:8200@other.example",
            "unix:///run/vault.sock",
            "vault.example:8200",
            "nonsense",
        ] {
            let said = refusal(&[token, ("VAULT_ADDR", own)], HERE, None);
            assert!(said.contains("VAULT_TOKEN is for VAULT_ADDR"), "{said}");
            assert!(said.contains("name a login for this server"), "{said}");
            assert!(!said.contains("SECRET"), "{said}");
        }
    }

    #[test]
    fn the_token_that_vaults_own_program_keeps_is_no_less_careful() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".vault-token"), "hvs.SECRET").unwrap();
        let home = ("HOME", home.path().to_str().unwrap());
        environment(&[home, ("VAULT_ADDR", HERE)]).login(HERE, None).unwrap();
        let said = refusal(&[home, ("VAULT_ADDR", "https://other.example")], HERE, None);
        assert!(said.contains("~/.vault-token is for VAULT_ADDR"), "{said}");
        assert!(refusal(&[("HOME", "/nowhere")], HERE, None).contains("there is no token"));
    }

    #[test]
    fn the_environments_namespace_is_used_or_refused_and_never_passed_over() {
        let variables = [("VAULT_TOKEN", "hvs.token"), ("VAULT_NAMESPACE", "team/a/")];
        let used = |asked| environment(&variables).login(HERE, asked).unwrap().namespace;
        assert_eq!(used(None).as_deref(), Some("team/a/"));
        assert_eq!(used(Some("team/a")).as_deref(), Some("team/a"));
        let said = refusal(&variables, HERE, Some("team/b"));
        assert!(said.contains("VAULT_NAMESPACE, which is another namespace"), "{said}");
        let alone = environment(&variables[..1]).login(HERE, Some("team/b")).unwrap().namespace;
        assert_eq!(alone.as_deref(), Some("team/b"));
    }
}
