//! Who asks: the logins, and what is checked of every set of credentials before it is used.
//!
//! Left to [`login`](crate::login): asking STS for the credentials of a role.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use vault_crypto_core::{ErrorKind, Result, SecureString};

use crate::config::setting;
use crate::error::Fault;

/// A way to get credentials. Nothing of it is shown that is secret.
///
/// ```
/// use vault_kms_aws::{AssumeRole, AwsCredentials};
///
/// let role = AssumeRole::new("arn:aws:iam::111122223333:role/app").with_session_name("billing");
/// let login = AwsCredentials::profile("production").assume_role(role);
/// # drop(login);
/// ```
pub struct AwsCredentials(pub(crate) Source);

pub(crate) enum Source {
    DefaultChain,
    Profile(String),
    WebIdentity {
        role_arn: String,
        token_file: PathBuf,
        session_name: Option<String>,
    },
    Fixed {
        access_key_id: String,
        secret_access_key: SecureString,
        session_token: Option<SecureString>,
    },
    Role(Box<AwsCredentials>, Arc<AssumeRole>),
}

impl AwsCredentials {
    /// The SDK's default chain: environment, profile, web identity, container, instance.
    #[must_use]
    pub fn default_chain() -> Self {
        Self(Source::DefaultChain)
    }

    /// The profile of this name in the shared configuration files, whatever the environment says.
    #[must_use]
    pub fn profile(name: impl Into<String>) -> Self {
        Self(Source::Profile(name.into()))
    }

    /// A role, by the OpenID Connect token in this file, which is read anew at each login.
    #[must_use]
    pub fn web_identity(role_arn: impl Into<String>, token_file: impl Into<PathBuf>) -> Self {
        let (role_arn, token_file) = (role_arn.into(), token_file.into());
        Self(Source::WebIdentity { role_arn, token_file, session_name: None })
    }

    /// An access key that the caller has. Prefer any of the others: this one does not expire.
    #[must_use]
    pub fn fixed(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<SecureString>,
    ) -> Self {
        let (access_key_id, secret_access_key) = (access_key_id.into(), secret_access_key.into());
        Self(Source::Fixed { access_key_id, secret_access_key, session_token: None })
    }

    /// The session token that goes with an access key from STS; only [`fixed`](Self::fixed) ones have it.
    #[must_use]
    pub fn with_session_token(mut self, token: impl Into<SecureString>) -> Self {
        if let Source::Fixed { session_token, .. } = &mut self.0 {
            *session_token = Some(token.into());
        }
        self
    }

    /// Names the session of a [`web_identity`](Self::web_identity) login; a random name otherwise.
    #[must_use]
    pub fn with_session_name(mut self, name: impl Into<String>) -> Self {
        if let Source::WebIdentity { session_name, .. } = &mut self.0 {
            *session_name = Some(name.into());
        }
        self
    }

    /// A role that these credentials may take; roles can be chained.
    #[must_use]
    pub fn assume_role(self, role: AssumeRole) -> Self {
        Self(Source::Role(Box::new(self), Arc::new(role)))
    }

    /// Whether logging in again can give other credentials.
    pub(crate) fn can_change(&self) -> bool {
        !matches!(self.0, Source::Fixed { .. })
    }

    pub(crate) fn is_default(&self) -> bool {
        matches!(self.0, Source::DefaultChain)
    }

    /// The file of the web identity token below all roles, if there is one.
    pub(crate) fn token_file(&self) -> Option<PathBuf> {
        match &self.0 {
            Source::WebIdentity { token_file, .. } => Some(token_file.clone()),
            // As the SDK finds it.
            Source::DefaultChain => {
                std::env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").map(PathBuf::from)
            }
            Source::Role(base, _) => base.token_file(),
            Source::Profile(_) | Source::Fixed { .. } => None,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let role = "a role is named by its ARN, arn:aws:iam::ACCOUNT:role/NAME";
        let role_ok =
            |arn: &str| arn.starts_with("arn:") && arn.contains(":iam::") && printable(arn);
        match &self.0 {
            Source::DefaultChain => Ok(()),
            Source::Profile(name) if name.is_empty() || name.chars().any(char::is_control) => {
                Err(setting("a profile's name is not empty and has no control characters"))
            }
            Source::Profile(_) => Ok(()),
            Source::WebIdentity { role_arn, session_name, .. } => {
                check_session_name(session_name.as_deref())?;
                if role_ok(role_arn) { Ok(()) } else { Err(setting(role)) }
            }
            Source::Fixed { access_key_id, secret_access_key, session_token } => {
                let token_ok = session_token.as_ref().is_none_or(|token| printable(token.as_str()));
                if token_ok && printable(access_key_id) && printable(secret_access_key.as_str()) {
                    return Ok(());
                }
                Err(setting(
                    "access keys and session tokens are printable ASCII; is there a line break in one?",
                ))
            }
            Source::Role(base, assume) => {
                check_session_name(assume.session_name.as_deref())?;
                if !role_ok(&assume.role_arn) {
                    return Err(setting(role));
                }
                base.check()
            }
        }
    }
}

/// The kind of login only, and of a role its ARN.
impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::DefaultChain => f.write_str("DefaultChain"),
            Source::Profile(name) => f.debug_tuple("Profile").field(name).finish(),
            Source::WebIdentity { role_arn, .. } => {
                f.debug_tuple("WebIdentity").field(role_arn).finish()
            }
            Source::Fixed { .. } => f.write_str("Fixed([REDACTED])"),
            Source::Role(base, role) => {
                f.debug_tuple("AssumeRole").field(base).field(role).finish()
            }
        }
    }
}

/// A role to take.
pub struct AssumeRole {
    pub(crate) role_arn: String,
    pub(crate) external_id: Option<SecureString>,
    pub(crate) session_name: Option<String>,
}

impl AssumeRole {
    /// The role of this ARN.
    #[must_use]
    pub fn new(role_arn: impl Into<String>) -> Self {
        Self { role_arn: role_arn.into(), external_id: None, session_name: None }
    }

    /// The external id that the role's owner asks for.
    #[must_use]
    pub fn with_external_id(mut self, id: impl Into<SecureString>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The session's name, which CloudTrail shows; a random one otherwise.
    #[must_use]
    pub fn with_session_name(mut self, name: impl Into<String>) -> Self {
        self.session_name = Some(name.into());
        self
    }
}

/// Without the external id.
impl fmt::Debug for AssumeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumeRole").field("role_arn", &self.role_arn).finish_non_exhaustive()
    }
}

fn check_session_name(name: Option<&str>) -> Result<()> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    match name {
        Some(name) if !(2..=64).contains(&name.len()) || !name.bytes().all(allowed) => {
            Err(setting("a session's name has 2 to 64 letters, digits or +=,.@_-"))
        }
        _ => Ok(()),
    }
}

/// What can stand in a header; the SDK panics on the rest.
fn printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Credentials from anywhere, looked at before the SDK signs with them.
#[derive(Debug)]
pub(crate) struct Checked(pub(crate) SharedCredentialsProvider);

impl ProvideCredentials for Checked {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.0.provide_credentials().await?;
            if is_usable(&credentials) {
                return Ok(credentials);
            }
            Err(CredentialsError::invalid_configuration(Fault::new(
                ErrorKind::InvalidInput,
                "the credentials found are not printable ASCII; is there a line break in one?",
            )))
        })
    }
}

fn is_usable(credentials: &Credentials) -> bool {
    let token_ok = credentials.session_token().is_none_or(printable);
    token_ok && printable(credentials.access_key_id()) && printable(credentials.secret_access_key())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_a_secret_is_found_before_the_sdk_panics_on_it() {
        let good = || AwsCredentials::fixed("AKIA", String::from("secret"));
        assert!(good().with_session_token(String::from("token")).check().is_ok());
        for bad in ["tok\nen", "", "tok en", "t\u{f6}ken"] {
            assert!(good().with_session_token(bad.to_owned()).check().is_err(), "{bad:?}");
            assert!(AwsCredentials::fixed(bad, String::from("secret")).check().is_err(), "{bad:?}");
            assert!(AwsCredentials::fixed("AKIA", bad.to_owned()).check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let role = AssumeRole::new("arn:aws:iam::111122223333:role/app")
            .with_external_id(String::from("ext-4711"));
        let login =
            AwsCredentials::fixed("AKIAIOSFODNN7", String::from("wJalrXUtnFEMI")).assume_role(role);
        let shown = format!("{login:?}");
        for secret in ["AKIAIOSFODNN7", "wJalrXUtnFEMI", "ext-4711"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
