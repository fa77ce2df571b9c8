//! Who asks: the logins, made with Google's own library, and their names for `doctor`.
//!
//! Left to that library: fetching, caching and renewing tokens, for which it runs a task of its own on the
//! runtime that connected.

use std::env;
use std::fmt;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    Builder, Credentials, anonymous, external_account, mds, service_account,
};
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::Value;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use crate::error::invalid;

/// Google's clients ask for this one; what an account may do is said by its roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const METADATA_HOST: &str = "metadata.google.internal";
const METADATA_EMAIL: &str = "/computeMetadata/v1/instance/service-accounts/default/email";
/// An account's name is shorter.
const MAX_EMAIL_LEN: usize = 320;

/// Where the access tokens come from.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum GcpCredentials {
    /// What Google's clients find by themselves: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, the one
    /// that `gcloud auth application-default login` wrote, else the metadata server.
    #[default]
    ApplicationDefault,
    /// The key file of a service account (JSON).
    ServiceAccountKeyFile(PathBuf),
    /// The configuration file of a workload identity federation (JSON, `external_account`).
    WorkloadIdentityFederation(PathBuf),
    /// The account of the machine or pod that this runs on.
    MetadataServer,
    /// Credentials that the caller made with [`google_cloud_auth`](crate::sdk::google_cloud_auth).
    Injected(Credentials),
    /// None at all, for an emulator on a plaintext loopback endpoint.
    Anonymous,
}

/// Which login, never with what.
impl fmt::Debug for GcpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplicationDefault => f.write_str("ApplicationDefault"),
            Self::ServiceAccountKeyFile(path) => {
                f.debug_tuple("ServiceAccountKeyFile").field(path).finish()
            }
            Self::WorkloadIdentityFederation(path) => {
                f.debug_tuple("WorkloadIdentityFederation").field(path).finish()
            }
            Self::MetadataServer => f.write_str("MetadataServer"),
            Self::Injected(_) => f.write_str("Injected([REDACTED])"),
            Self::Anonymous => f.write_str("Anonymous"),
        }
    }
}

impl GcpCredentials {
    /// Google's credentials; no request is made here.
    pub(crate) fn build(&self) -> Result<Credentials> {
        if self.asks_the_metadata_server() {
            past_proxies(&metadata_url(""))?;
        }
        let built = match self {
            Self::ApplicationDefault => Builder::default().with_scopes([SCOPE]).build(),
            Self::ServiceAccountKeyFile(path) => {
                let key = read(path, "service_account")?;
                let scopes = AccessSpecifier::from_scopes([SCOPE]);
                service_account::Builder::new(key).with_access_specifier(scopes).build()
            }
            Self::WorkloadIdentityFederation(path) => {
                let config = read(path, "external_account")?;
                external_account::Builder::new(config).with_scopes([SCOPE]).build()
            }
            Self::MetadataServer => mds::Builder::default().with_scopes([SCOPE]).build(),
            Self::Injected(credentials) => return Ok(credentials.clone()),
            Self::Anonymous => return Ok(anonymous::Builder::new().build()),
        };
        built.map_err(|error| refused(&error))
    }

    /// Whether tokens are asked for beyond this machine and the KMS, by connections that Google's library makes
    /// as it likes.
    pub(crate) fn asks_elsewhere(&self) -> bool {
        match self {
            Self::WorkloadIdentityFederation(_) => true,
            // A service account signs its own tokens.
            Self::ApplicationDefault => application_default_file()
                .and_then(|path| parse(&path).ok())
                .is_some_and(|file| file.get("type") != Some(&"service_account".into())),
            _ => false,
        }
    }

    fn asks_the_metadata_server(&self) -> bool {
        match self {
            Self::MetadataServer => true,
            Self::ApplicationDefault => application_default_file().is_none(),
            _ => false,
        }
    }

    /// Another one when the files have changed that the login is made from, the token that a federation exchanges
    /// among them.
    pub(crate) fn mark(&self, marks: &RandomState) -> u64 {
        let path = match self {
            Self::ApplicationDefault => application_default_file(),
            Self::ServiceAccountKeyFile(path) | Self::WorkloadIdentityFederation(path) => {
                Some(path.clone())
            }
            Self::MetadataServer | Self::Injected(_) | Self::Anonymous => None,
        };
        let content = |path: PathBuf| fs::read(path).ok().map(zeroize::Zeroizing::new);
        let file = path.and_then(content);
        let parsed = file.as_ref().and_then(|file| serde_json::from_slice::<Value>(file).ok());
        let subject = parsed.as_ref().and_then(|file| file.pointer("/credential_source/file"));
        let subject = subject.and_then(Value::as_str).map(PathBuf::from).and_then(content);
        marks.hash_one((file.as_deref(), subject.as_deref()))
    }

    /// The name of the account, where it can be told.
    pub(crate) async fn principal(&self, timeout: Duration) -> Result<String> {
        match self {
            Self::ApplicationDefault => match application_default_file() {
                Some(path) => Ok(name_in(&parse(&path)?)),
                None => metadata_email(timeout).await,
            },
            Self::ServiceAccountKeyFile(path) | Self::WorkloadIdentityFederation(path) => {
                Ok(name_in(&parse(path)?))
            }
            Self::MetadataServer => metadata_email(timeout).await,
            Self::Injected(_) => Ok("the caller's own credentials".to_owned()),
            Self::Anonymous => Ok("nobody (anonymous)".to_owned()),
        }
    }
}

/// Google's text may quote the file, so it is not repeated.
fn refused(error: &BuildError) -> CryptoError {
    let detail = if error.is_unknown_type() {
        "the credentials file is of a type that is not supported"
    } else if error.is_missing_field() {
        "the credentials file lacks a field"
    } else {
        "no usable Google credentials; run `gcloud auth application-default login`, or name a key file"
    };
    CryptoError::new(ErrorKind::InvalidInput, Operation::LogIn).with_detail(detail)
}

fn read(path: &Path, kind: &str) -> Result<Value> {
    let value = parse(path)?;
    if value.get("type").and_then(Value::as_str) == Some(kind) {
        return Ok(value);
    }
    Err(invalid(format!("{} is no credentials file of the type {kind}", path.display()))
        .in_operation(Operation::LogIn))
}

fn parse(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).map_err(|error| {
        CryptoError::new(ErrorKind::Io, Operation::LogIn)
            .with_detail(format!("cannot read the credentials file {}: {error}", path.display()))
            .with_source(error)
    })?;
    let bytes = zeroize::Zeroizing::new(bytes);
    serde_json::from_slice(&bytes).map_err(|_| {
        invalid(format!("the credentials file {} is not JSON", path.display()))
            .in_operation(Operation::LogIn)
    })
}

/// The file that Google's clients take (<https://google.aip.dev/auth/4110>).
fn application_default_file() -> Option<PathBuf> {
    if let Some(path) = env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(path.into());
    }
    let folder = match env::var_os("APPDATA") {
        Some(folder) if cfg!(windows) => PathBuf::from(folder),
        _ => PathBuf::from(env::var_os("HOME")?).join(".config"),
    };
    let path = folder.join("gcloud").join("application_default_credentials.json");
    path.exists().then_some(path)
}

/// The account that a credentials file is for; none of its secrets is looked at.
fn name_in(file: &Value) -> String {
    let text = |name: &str| file.get(name).and_then(Value::as_str);
    let impersonated = text("service_account_impersonation_url")
        .and_then(|url| url.rsplit_once("/serviceAccounts/"))
        .map(|(_, account)| account.split(':').next().unwrap_or(account));
    let name = text("client_email").or(impersonated);
    match (name, text("type")) {
        (Some(name), _) => name.to_owned(),
        (None, Some("external_account")) => match text("audience") {
            Some(audience) => format!("a federated workload identity of {audience}"),
            None => "a federated workload identity".to_owned(),
        },
        (None, Some("authorized_user")) => "a person, logged in with gcloud".to_owned(),
        (None, _) => "an account that the credentials file does not name".to_owned(),
    }
}

fn metadata_url(path: &str) -> String {
    let host = env::var("GCE_METADATA_HOST").unwrap_or_else(|_| METADATA_HOST.to_owned());
    format!("http://{host}{path}")
}

/// Google's library would ask for the machine's token, in the clear, through a proxy that the environment names.
fn past_proxies(url: &str) -> Result<()> {
    // What the library's HTTP client does itself.
    let proxies = Matcher::from_system();
    if url.parse().is_ok_and(|url| proxies.intercept(&url).is_none()) {
        return Ok(());
    }
    let detail = "the metadata server would be asked through the environment's proxy: write its name, metadata.google.internal, into NO_PROXY";
    Err(invalid(detail).in_operation(Operation::LogIn))
}

async fn metadata_email(timeout: Duration) -> Result<String> {
    let ask = async {
        let client = reqwest::Client::builder().no_proxy().timeout(timeout).build()?;
        let request = client.get(metadata_url(METADATA_EMAIL)).header("Metadata-Flavor", "Google");
        let mut answer = request.send().await?.error_for_status()?;
        let mut email = Vec::new();
        // No more is kept than a name has.
        while let Some(chunk) = answer.chunk().await? {
            email.extend_from_slice(&chunk);
            if email.len() > MAX_EMAIL_LEN {
                break;
            }
        }
        Ok(email)
    };
    let unreachable = |_: reqwest::Error| {
        CryptoError::new(ErrorKind::Unavailable, Operation::LogIn)
            .with_detail("the metadata server does not say which account this machine has")
    };
    let email = String::from_utf8(ask.await.map_err(unreachable)?).unwrap_or_default();
    let plain = email.bytes().all(|b| b.is_ascii_graphic());
    if plain && (1..=MAX_EMAIL_LEN).contains(&email.len()) {
        return Ok(email);
    }
    Ok("an account that the metadata server does not name".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_account_is_named_by_its_file() {
        let url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com:generateAccessToken";
        let named = [
            (json!({"type": "service_account", "client_email": "s@p.iam"}), "s@p.iam"),
            (
                json!({"type": "external_account", "service_account_impersonation_url": url}),
                "a@p.iam.gserviceaccount.com",
            ),
            (
                json!({"type": "external_account", "audience": "//iam/pool"}),
                "a federated workload identity of //iam/pool",
            ),
            (json!({"type": "authorized_user"}), "a person, logged in with gcloud"),
        ];
        for (file, name) in named {
            assert_eq!(name_in(&file), name);
        }
    }

    #[test]
    fn credentials_print_no_secret() {
        let credentials = GcpCredentials::Injected(anonymous::Builder::new().build());
        assert_eq!(format!("{credentials:?}"), "Injected([REDACTED])");
    }
}
