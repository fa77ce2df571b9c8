//! Credentials of a role, from STS.
//!
//! The SDK has such logins too; theirs write the server's words to the log and take no other endpoint.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts as sts;
use vault_crypto_core::{Clock, ErrorKind, RandomSource, Result, SecureString};
use zeroize::Zeroizing;

use crate::credentials::AssumeRole;
use crate::error::{Fault, Shown, of_role};
use crate::limit::ShortAnswers;

/// STS takes web identity tokens of up to 20,000 characters; a file has a line break more.
pub(crate) const MAX_TOKEN_LEN: usize = 20_480;

/// A client of STS; `base` is who asks, where that is asked.
pub(crate) fn sts_client(
    sdk: &SdkConfig,
    endpoint: Option<&str>,
    base: Option<SharedCredentialsProvider>,
) -> sts::Client {
    let mut config = sts::config::Builder::from(sdk).interceptor(ShortAnswers);
    if endpoint.is_some() {
        config.set_endpoint_url(endpoint.map(str::to_owned));
    }
    config.set_credentials_provider(base);
    sts::Client::from_conf(config.build())
}

/// The name of a session that was given none.
pub(crate) fn session_name(given: Option<String>, random: &dyn RandomSource) -> Result<String> {
    if let Some(name) = given {
        return Ok(name);
    }
    let mut tail = [0; 8];
    random.fill(&mut tail)?;
    Ok(format!("vaultkit-{:016x}", u64::from_be_bytes(tail)))
}

/// `AssumeRole`, as somebody.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) sts: sts::Client,
    pub(crate) role: Arc<AssumeRole>,
    pub(crate) session_name: String,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Role {
    async fn log_in(&self) -> provider::Result {
        let external_id = self.role.external_id.as_ref().map(|id| id.as_str().to_owned());
        let call = self
            .sts
            .assume_role()
            .role_arn(&self.role.role_arn)
            .role_session_name(&self.session_name);
        let answer = call.set_external_id(external_id).send().await;
        let now = self.clock.now();
        let answer = answer.map_err(|error| refused(of_role(Shown::Credentials, &error, now)))?;
        credentials(answer.credentials)
    }
}

impl ProvideCredentials for Role {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.log_in())
    }
}

/// `AssumeRoleWithWebIdentity`.
#[derive(Debug)]
pub(crate) struct WebIdentity {
    pub(crate) sts: sts::Client,
    pub(crate) role_arn: String,
    pub(crate) token_file: PathBuf,
    pub(crate) session_name: String,
    pub(crate) clock: Arc<dyn Clock>,
}

impl WebIdentity {
    async fn log_in(&self) -> provider::Result {
        let token = self.token()?;
        let call = self.sts.assume_role_with_web_identity().role_arn(&self.role_arn);
        let call = call.role_session_name(&self.session_name).web_identity_token(token.as_str());
        let answer = call.send().await;
        let now = self.clock.now();
        let answer = answer.map_err(|error| refused(of_role(Shown::WebIdentity, &error, now)))?;
        credentials(answer.credentials)
    }

    fn token(&self) -> std::result::Result<SecureString, CredentialsError> {
        let unreadable = || {
            refused(Fault::new(
                ErrorKind::PermissionDenied,
                "the web identity token's file cannot be read, or holds no token",
            ))
        };
        // Room for all of it from the start: a buffer that grows leaves copies.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TOKEN_LEN + 1));
        let file = File::open(&self.token_file).map_err(|_| unreadable())?;
        let most = u64::try_from(bytes.capacity()).unwrap_or_default();
        file.take(most).read_to_end(&mut bytes).map_err(|_| unreadable())?;
        let token = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
        if token.is_empty() || bytes.len() > MAX_TOKEN_LEN {
            return Err(unreadable());
        }
        Ok(SecureString::new(token))
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.log_in())
    }
}

fn refused(fault: Fault) -> CredentialsError {
    CredentialsError::provider_error(fault)
}

fn credentials(answer: Option<sts::types::Credentials>) -> provider::Result {
    let missing = || refused(Fault::new(ErrorKind::Unavailable, "STS answers without credentials"));
    let answer = answer.ok_or_else(missing)?;
    let until = SystemTime::try_from(*answer.expiration()).map_err(|_| missing())?;
    let (id, secret, token) =
        (answer.access_key_id, answer.secret_access_key, answer.session_token);
    Ok(Credentials::new(id, secret, Some(token), Some(until), "vaultkit"))
}
