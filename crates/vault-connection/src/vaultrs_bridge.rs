//! Between the crate `vaultrs` and a connection: settings out of its client, its client over our transport
//! with our token, and its errors without what they hold.
//!
//! Left to others: every request of ours, none of which goes through `vaultrs`.

use std::fmt;
use std::ops::Deref;

use rustify::clients::reqwest::Client as HttpClient;
use url::Url;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{Client, VaultClient, VaultClientSettings};
use zeroize::Zeroize as _;

use crate::address::invalid;
use crate::config::ClientIdentity;
use crate::token::Token;
use crate::{
    VaultConnection, VaultConnectionConfig, VaultCredentials, VaultFailure, VaultFailureKind,
    VaultMount,
};

mod failure;

/// Version 1 is the only one that Vault's API has.
const VERSION: &str = "v1";

impl VaultConnectionConfig {
    /// The settings of a client of `vaultrs` that is in use: its address, namespace, authorities, identity,
    /// proxy and time-out, and its token unless `login` says how to get one.
    ///
    /// Two things become stricter. Authorities that the client was given are the only ones trusted, and a
    /// client that verifies no certificate makes connecting fail unless
    /// [`danger_accept_any_certificate`](Self::danger_accept_any_certificate) is called. A client that was
    /// built by hand around an HTTP client hides that one's settings; give it to
    /// [`with_http_client`](Self::with_http_client).
    ///
    /// # Errors
    /// `InvalidInput` for a token that no header can hold (`vaultrs` panics on it) or none at all, a namespace
    /// or an address that is none, an address with a path; `Io` for a file of authorities that cannot be read.
    pub fn from_vaultrs(client: &impl Client, login: Option<VaultCredentials>) -> Result<Self> {
        let (settings, middle) = (client.settings(), client.middle());
        let credentials = match login {
            Some(login) => login,
            None => token_of(middle)?,
        };
        let address = address_of(&client.http().base, &middle.version)?;
        let verified = address.starts_with("https:");
        let mut config = Self::new(address, credentials);
        config.skip_verify_asked = !settings.verify;
        if let Some(namespace) = &middle.namespace {
            config = config.with_namespace(VaultMount::new(namespace)?);
        }
        if verified && !settings.ca_certs.is_empty() {
            config = config.with_tls_roots(read_all(&settings.ca_certs)?);
        }
        config.identity = settings.identity.clone().map(ClientIdentity::Made);
        if let Some(proxy) = &settings.proxy {
            config = config.with_proxy(proxy.as_str());
        }
        Ok(match settings.timeout {
            // Its one time-out lets a server be silent just as long.
            Some(timeout) => config.with_call_timeout(timeout).with_read_timeout(timeout),
            None => config,
        })
    }
}

fn token_of(middle: &EndpointMiddleware) -> Result<VaultCredentials> {
    if middle.token.is_empty() {
        return Err(invalid("the client has no token; say how to log in"));
    }
    Token::new(&middle.token)?;
    Ok(VaultCredentials::token(middle.token.as_str()))
}

/// `vaultrs` puts what the address has of a path behind the version, where it is part of each request's
/// path: such an address means something else here. A prefix before the version is one.
fn address_of(base: &str, version: &str) -> Result<String> {
    let mut address =
        Url::parse(base).map_err(|_| invalid("the client's address is no absolute URL"))?;
    if !matches!(address.path(), "" | "/") {
        return Err(invalid(
            "`vaultrs` asks for the path in the client's address behind the version; build the settings with \
             `VaultConnectionConfig::new` and give that path as namespace or mount",
        ));
    }
    let prefix = version.strip_suffix(VERSION);
    let prefix = prefix.ok_or_else(|| invalid("the client's version of the API is not 1"))?;
    address.set_path(prefix.trim_matches('/'));
    Ok(address.as_str().trim_end_matches('/').to_owned())
}

/// The certificates in all the files, one after the other.
fn read_all(paths: &[String]) -> Result<Vec<u8>> {
    let mut pem = Vec::new();
    for path in paths {
        let file = std::fs::read(path).map_err(|error| {
            CryptoError::new(ErrorKind::Io, Operation::Configure)
                .with_detail("a file of authorities that the client names cannot be read")
                .with_source(error)
        })?;
        pem.extend_from_slice(&file);
        pem.push(b'\n');
    }
    Ok(pem)
}

/// A client of `vaultrs` that sends over the transport of a [`VaultConnection`], with the token that this
/// had when it was asked.
///
/// It goes wherever `vaultrs` takes a client. It knows nothing of renewals: get a new one for each piece of
/// work, which costs no request while the token is good. Redirects are not followed.
///
/// It wipes its token when it is dropped. What `vaultrs` makes of tokens, requests and answers is neither
/// wiped nor kept from `Debug`, and it logs errors as the server words them.
pub struct VaultrsClient(VaultClient);

impl VaultConnection {
    /// A client of `vaultrs` with the current token, after logging in or renewing if it is time.
    ///
    /// Where the server refuses that token, it was revoked meanwhile: [`log_in`](Self::log_in) gets
    /// another one for the next client.
    ///
    /// # Errors
    /// As [`get`](Self::get), of the login.
    pub async fn vaultrs_client(&self) -> Result<VaultrsClient, VaultFailure> {
        let refused = |what| VaultFailure::new(VaultFailureKind::InvalidInput, what);
        let (transport, sessions) = (&self.0.transport, &self.0.sessions);
        let session = self.limited(sessions.current(transport)).await?;
        let token = session.token.header();
        let token = token.to_str().map_err(|_| refused("the token is no text"))?;
        let address = Url::parse(&transport.address().to_string());
        let address = address.map_err(|_| refused("the address is no URL"))?;
        let prefix = address.path().trim_end_matches('/').trim_start_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let namespace = self.namespace().map(ToString::to_string);
        let middle = EndpointMiddleware {
            token: token.to_owned(),
            // What stands before the version belongs to it here: behind the address it would follow it.
            version: format!("{prefix}{slash}{VERSION}"),
            wrap: None,
            namespace: namespace.clone(),
        };
        let http = HttpClient::new(&address.origin().ascii_serialization(), transport.http());
        Ok(VaultrsClient(VaultClient { http, middle, settings: settings(address, namespace) }))
    }
}

/// What a caller may look at; the transport has its own. No token: these print it.
fn settings(address: Url, namespace: Option<String>) -> VaultClientSettings {
    VaultClientSettings {
        address,
        ca_certs: Vec::new(),
        identity: None,
        timeout: None,
        token: String::new(),
        verify: true,
        version: 1,
        wrapping: false,
        namespace,
        proxy: None,
    }
}

impl Client for VaultrsClient {
    fn http(&self) -> &HttpClient {
        &self.0.http
    }

    fn middle(&self) -> &EndpointMiddleware {
        &self.0.middle
    }

    fn settings(&self) -> &VaultClientSettings {
        &self.0.settings
    }

    /// Takes another token. One that no header can hold is dropped, so that requests go without and are
    /// refused.
    fn set_token(&mut self, token: &str) {
        self.wipe();
        if Token::new(token).is_ok() {
            token.clone_into(&mut self.0.middle.token);
        } else {
            tracing::warn!("a token for `vaultrs` is none: its requests go without");
        }
    }
}

impl VaultrsClient {
    fn wipe(&mut self) {
        self.0.middle.token.zeroize();
    }
}

impl Deref for VaultrsClient {
    type Target = VaultClient;

    fn deref(&self) -> &VaultClient {
        &self.0
    }
}

impl Drop for VaultrsClient {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for VaultrsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultrsClient").field("address", &self.0.http.base).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_before_the_version_is_kept_and_one_behind_it_refused() {
        let base = "https://vault.example.com:8200";
        for base in [base, &format!("{base}/")] {
            assert_eq!(address_of(base, "v1").unwrap(), "https://vault.example.com:8200");
            let prefixed = address_of(base, "gate/v1").unwrap();
            assert_eq!(prefixed, "https://vault.example.com:8200/gate");
        }
        for (base, version) in
            [("https://a.example.com/team", "v1"), (base, "v2"), ("vault:8200", "v1"), ("", "v1")]
        {
            assert!(address_of(base, version).is_err(), "{base} {version}");
        }
    }
}
