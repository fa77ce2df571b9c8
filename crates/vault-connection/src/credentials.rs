//! How to log in. What is secret in here prints as nothing and is wiped.
//!
//! Left to others: doing it (`login`).

use std::fmt;
use std::path::{Path, PathBuf};

use vault_crypto_core::{Result, SecureString};

use crate::VaultMount;
use crate::address::invalid;

/// Proves to the server who this is.
#[non_exhaustive]
pub enum VaultCredentials {
    /// A token that the caller has. It is renewed if it can be, and cannot be replaced.
    Token(SecureString),
    /// A file that somebody else keeps a valid token in (Vault Agent's sink). Read again when its token is
    /// no longer valid; never renewed from here, since its keeper does that.
    TokenFile(PathBuf),
    /// The method `approle`, for machines.
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: VaultMount,
        /// Which role.
        role_id: String,
        /// The role's secret.
        secret_id: SecretId,
    },
    /// The method `kubernetes`: the pod's service-account token, read again at every login, since it changes.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: VaultMount,
        /// Which role.
        role: String,
        /// The file of the service-account token.
        jwt_file: PathBuf,
    },
    /// The method `jwt`: a signed token of another issuer.
    Jwt {
        /// Where the method is mounted, usually `jwt`.
        mount: VaultMount,
        /// Which role; the method's default if `None`.
        role: Option<String>,
        /// The signed token.
        jwt: Jwt,
    },
    /// The method `cert`: the client's TLS certificate, from
    /// [`with_client_identity`](crate::VaultConnectionConfig::with_client_identity).
    TlsCertificate {
        /// Where the method is mounted, usually `cert`.
        mount: VaultMount,
        /// Which role; every role that trusts the certificate if `None`.
        name: Option<String>,
    },
}

/// Where the file of a pod's service-account token lies.
const KUBERNETES_JWT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl VaultCredentials {
    /// A token that the caller has.
    #[must_use]
    pub fn token(token: impl Into<String>) -> Self {
        Self::Token(SecureString::new(token))
    }

    /// A file that somebody else keeps a valid token in.
    #[must_use]
    pub fn token_file(path: impl Into<PathBuf>) -> Self {
        Self::TokenFile(path.into())
    }

    /// A role with its secret, at `auth/approle`.
    ///
    /// # Errors
    /// `InvalidInput` for an empty role.
    pub fn app_role(role_id: impl Into<String>, secret_id: SecretId) -> Result<Self> {
        let role_id = named(role_id.into())?;
        Ok(Self::AppRole { mount: VaultMount::new("approle")?, role_id, secret_id })
    }

    /// A pod's service account in `role`, at `auth/kubernetes`.
    ///
    /// # Errors
    /// `InvalidInput` for an empty role.
    pub fn kubernetes(role: impl Into<String>) -> Result<Self> {
        let (mount, role) = (VaultMount::new("kubernetes")?, named(role.into())?);
        Ok(Self::Kubernetes { mount, role, jwt_file: KUBERNETES_JWT.into() })
    }

    /// A signed token, at `auth/jwt`.
    ///
    /// # Errors
    /// `InvalidInput` for an empty role.
    pub fn jwt(role: Option<String>, jwt: Jwt) -> Result<Self> {
        let role = role.map(named).transpose()?;
        Ok(Self::Jwt { mount: VaultMount::new("jwt")?, role, jwt })
    }

    /// The client's TLS certificate, at `auth/cert`.
    ///
    /// # Errors
    /// `InvalidInput` for an empty name.
    pub fn tls_certificate(name: Option<String>) -> Result<Self> {
        let name = name.map(named).transpose()?;
        Ok(Self::TlsCertificate { mount: VaultMount::new("cert")?, name })
    }

    /// The same method, mounted elsewhere. Tokens have no mount and stay as they are.
    #[must_use]
    pub fn at(mut self, elsewhere: VaultMount) -> Self {
        match &mut self {
            Self::Token(_) | Self::TokenFile(_) => {}
            Self::AppRole { mount, .. }
            | Self::Kubernetes { mount, .. }
            | Self::Jwt { mount, .. }
            | Self::TlsCertificate { mount, .. } => *mount = elsewhere,
        }
        self
    }

    /// The pod's token in another file. Other methods stay as they are.
    #[must_use]
    pub fn with_jwt_file(mut self, path: impl Into<PathBuf>) -> Self {
        if let Self::Kubernetes { jwt_file, .. } = &mut self {
            *jwt_file = path.into();
        }
        self
    }

    /// Whether a new token can be had when this one ends.
    pub(crate) fn can_log_in_again(&self) -> bool {
        !matches!(self, Self::Token(_))
    }

    /// The file that is read at each login.
    pub(crate) fn secret_file(&self) -> Option<&Path> {
        match self {
            Self::TokenFile(path)
            | Self::AppRole { secret_id: SecretId::File(path), .. }
            | Self::Kubernetes { jwt_file: path, .. }
            | Self::Jwt { jwt: Jwt::File(path), .. } => Some(path),
            _ => None,
        }
    }

    /// Whether the first request of a login spends what it shows.
    pub(crate) const fn is_spent_at_once(&self) -> bool {
        matches!(self, Self::AppRole { secret_id: SecretId::Wrapped(_), .. })
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Token(_) => "Token",
            Self::TokenFile(_) => "TokenFile",
            Self::AppRole { .. } => "AppRole",
            Self::Kubernetes { .. } => "Kubernetes",
            Self::Jwt { .. } => "Jwt",
            Self::TlsCertificate { .. } => "TlsCertificate",
        }
    }
}

/// The method alone.
impl fmt::Debug for VaultCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultCredentials::{}([REDACTED])", self.method())
    }
}

/// The secret of a role.
#[non_exhaustive]
pub enum SecretId {
    /// As it is.
    Plain(SecureString),
    /// A wrapping token, to be unwrapped once, at the first login. If somebody else did that before, the
    /// login fails and says so: the secret is no longer one. A login that its caller drops half way goes on
    /// with the next caller, so that no answer is lost.
    Wrapped(SecureString),
    /// In a file, read at every login.
    File(PathBuf),
    /// The role asks for none.
    None,
}

/// A signed token of another issuer.
#[non_exhaustive]
pub enum Jwt {
    /// As it is.
    Plain(SecureString),
    /// In a file, read at every login.
    File(PathBuf),
}

/// Where it is, not what it is.
impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain([REDACTED])"),
            Self::Wrapped(_) => f.write_str("Wrapped([REDACTED])"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::None => f.write_str("None"),
        }
    }
}

/// Where it is, not what it is.
impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain([REDACTED])"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

fn named(name: String) -> Result<String> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(invalid("a login's role has a name, without control characters"));
    }
    Ok(name)
}
