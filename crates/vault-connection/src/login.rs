//! The login methods: what each sends, and what all are answered with.
//!
//! Left to others: when to log in, and who waits for it (`session`).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use vault_crypto_core::{SecureString, constant_time_eq};
use zeroize::Zeroizing;

use crate::credentials::{Jwt, SecretId};
use crate::lease::Grant;
use crate::token::Token;
use crate::transport::{Request, Transport};
use crate::{
    VaultAnswer, VaultCredentials, VaultFailure, VaultFailureKind, VaultMount, buffer, namespace,
};

/// A file with a token has less than this; what has more is another file.
const MAX_SECRET_FILE_LEN: u64 = 64 * 1_024;
/// Room enough that reading does not move the text about.
const USUAL_SECRET_FILE_LEN: usize = 8 * 1_024;

/// A token, and for how long, where that was told.
pub(crate) struct Granted {
    pub(crate) token: Token,
    pub(crate) grant: Option<Grant>,
}

/// What one login shows of its credentials, as it lay in their file just now; nothing where they are in no
/// file, and so always the same.
pub(crate) struct Proof(Option<SecureString>);

impl Proof {
    pub(crate) fn is(&self, other: &Self) -> bool {
        constant_time_eq(self.as_str().as_bytes(), other.as_str().as_bytes())
    }

    fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", SecureString::as_str)
    }
}

/// Credentials, and what was unwrapped of them.
pub(crate) struct Login {
    pub(crate) credentials: VaultCredentials,
    unwrapped: OnceLock<SecureString>,
}

impl Login {
    pub(crate) fn new(credentials: VaultCredentials) -> Self {
        Self { credentials, unwrapped: OnceLock::new() }
    }

    /// What the next login will show.
    pub(crate) fn proof(&self) -> Result<Proof, VaultFailure> {
        let read = self.credentials.secret_file().map(read_secret).transpose();
        read.map(Proof).map_err(VaultFailure::while_logging_in)
    }

    /// Gets a token by the method of the credentials.
    pub(crate) async fn perform(
        &self,
        transport: &Transport,
        proof: &Proof,
    ) -> Result<Granted, VaultFailure> {
        let granted = match namespace::prove(transport).await {
            Ok(()) => self.shown(transport, proof).await,
            Err(failure) => Err(failure),
        };
        granted.map_err(VaultFailure::while_logging_in)
    }

    async fn shown(&self, transport: &Transport, proof: &Proof) -> Result<Granted, VaultFailure> {
        match &self.credentials {
            VaultCredentials::Token(token) => given(token.as_str()),
            VaultCredentials::TokenFile(_) => given(proof.as_str()),
            VaultCredentials::AppRole { mount, role_id, secret_id } => {
                let secret_id = match secret_id {
                    SecretId::Plain(secret) => Some(secret.as_str()),
                    SecretId::Wrapped(wrapping) => {
                        Some(self.unwrap(transport, mount, wrapping).await?.as_str())
                    }
                    SecretId::File(_) => Some(proof.as_str()),
                    SecretId::None => None,
                };
                #[derive(Serialize)]
                struct Body<'a> {
                    role_id: &'a str,
                    #[serde(skip_serializing_if = "Option::is_none")]
                    secret_id: Option<&'a str>,
                }
                log_in_at(transport, mount, &Body { role_id, secret_id }).await
            }
            VaultCredentials::Kubernetes { mount, role, .. } => {
                with_jwt(transport, mount, Some(role), proof.as_str()).await
            }
            VaultCredentials::Jwt { mount, role, jwt } => {
                let jwt = match jwt {
                    Jwt::Plain(jwt) => jwt.as_str(),
                    Jwt::File(_) => proof.as_str(),
                };
                with_jwt(transport, mount, role.as_deref(), jwt).await
            }
            VaultCredentials::TlsCertificate { mount, name } => {
                #[derive(Serialize)]
                struct Body<'a> {
                    #[serde(skip_serializing_if = "Option::is_none")]
                    name: Option<&'a str>,
                }
                log_in_at(transport, mount, &Body { name: name.as_deref() }).await
            }
        }
    }

    /// The secret in a wrapping token, which opens once; kept for the next login.
    async fn unwrap(
        &self,
        transport: &Transport,
        mount: &VaultMount,
        wrapping: &SecureString,
    ) -> Result<&SecureString, VaultFailure> {
        #[derive(Deserialize)]
        struct Data<'a> {
            secret_id: &'a str,
        }
        if let Some(secret) = self.unwrapped.get() {
            return Ok(secret);
        }
        let token = Token::new(wrapping.as_str())?;
        wraps_a_secret_id(transport, mount, wrapping).await?;
        let path = VaultMount::system().path(&["wrapping", "unwrap"])?;
        let request =
            Request { method: Method::POST, path, query: None, body: None, namespace: true };
        let sent = transport.send_patiently(&request, Some(&token)).await;
        let answer = VaultAnswer::new(sent?.success().map_err(does_not_open)?);
        let secret = SecureString::new(answer.data::<Data<'_>>()?.secret_id);
        Ok(self.unwrapped.get_or_init(|| secret))
    }
}

/// Whoever caught a wrapping token can open it and wrap another secret for us. The server tells what made
/// the token in hand, and only the role makes one around its own secret.
async fn wraps_a_secret_id(
    transport: &Transport,
    mount: &VaultMount,
    wrapping: &SecureString,
) -> Result<(), VaultFailure> {
    #[derive(Serialize)]
    struct Body<'a> {
        token: &'a str,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        creation_path: &'a str,
    }
    let path = VaultMount::system().path(&["wrapping", "lookup"])?;
    let body = buffer::json(&Body { token: wrapping.as_str() });
    let request = Request { method: Method::POST, path, query: None, body, namespace: true };
    let answer = transport.send(&request, None).await?.success().map_err(does_not_open)?;
    let answer = VaultAnswer::new(answer);
    let Data { creation_path } = answer.data()?;
    if is_a_roles(creation_path, mount, transport.namespace()) {
        return Ok(());
    }
    Err(VaultFailure::new(
        VaultFailureKind::PermissionDenied,
        "the wrapping token holds no secret of a role at this mount: somebody may have opened the right one and \
         wrapped another secret; find out who, and issue a new one",
    ))
}

/// Whether a role at `mount` makes its secrets at `path`: exactly there, for whoever mounts an engine may choose what
/// else a path has in it.
fn is_a_roles(path: &str, mount: &VaultMount, namespace: Option<&str>) -> bool {
    // The namespace may stand before it.
    let inside = namespace.and_then(|namespace| path.strip_prefix(namespace)?.strip_prefix('/'));
    let roles = format!("{}/role/", mount.auth());
    let made_at = |path: &str| {
        let made = path.strip_prefix(roles.as_str()).and_then(|role| role.split_once('/'));
        made.is_some_and(|(role, what)| {
            !role.is_empty() && matches!(what, "secret-id" | "custom-secret-id")
        })
    };
    made_at(path) || inside.is_some_and(made_at)
}

fn does_not_open(failure: VaultFailure) -> VaultFailure {
    match failure.kind() {
        VaultFailureKind::Rejected | VaultFailureKind::PermissionDenied => failure.explained(
            "the wrapped secret does not open: it has expired, or somebody else has unwrapped it, or an answer to \
             this process was lost; find out which, and issue a new one",
        ),
        _ => failure,
    }
}

/// Prolongs a token.
pub(crate) async fn renew(transport: &Transport, token: &Token) -> Result<Granted, VaultFailure> {
    let path = VaultMount("auth/token".to_owned()).path(&["renew-self"])?;
    let body = buffer::json(&serde_json::Map::new());
    let request = Request { method: Method::POST, path, query: None, body, namespace: true };
    let answer = VaultAnswer::new(transport.send(&request, Some(token)).await?.success()?);
    let auth = answer.auth()?;
    let ttl = Duration::from_secs(auth.lease_duration);
    Ok(Granted { token: token.clone(), grant: Some(Grant { ttl, renewable: auth.renewable }) })
}

/// How long a token that was given will last; `None` for one that never ends.
pub(crate) async fn look_up(
    transport: &Transport,
    token: &Token,
) -> Result<Option<Grant>, VaultFailure> {
    #[derive(Deserialize)]
    struct Data {
        ttl: u64,
        #[serde(default)]
        renewable: bool,
    }
    let answer = look_up_self(transport, token).await?;
    let Data { ttl, renewable } = answer.data()?;
    Ok((ttl > 0).then_some(Grant { ttl: Duration::from_secs(ttl), renewable }))
}

pub(crate) async fn look_up_self(
    transport: &Transport,
    token: &Token,
) -> Result<VaultAnswer, VaultFailure> {
    let path = VaultMount("auth/token".to_owned()).path(&["lookup-self"])?;
    let request = Request { method: Method::GET, path, query: None, body: None, namespace: true };
    Ok(VaultAnswer::new(transport.send(&request, Some(token)).await?.success()?))
}

async fn with_jwt(
    transport: &Transport,
    mount: &VaultMount,
    role: Option<&str>,
    jwt: &str,
) -> Result<Granted, VaultFailure> {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<&'a str>,
        jwt: &'a str,
    }
    log_in_at(transport, mount, &Body { role, jwt }).await
}

async fn log_in_at(
    transport: &Transport,
    mount: &VaultMount,
    body: &impl Serialize,
) -> Result<Granted, VaultFailure> {
    let path = mount.auth().path(&["login"])?;
    let body = buffer::json(body);
    let request = Request { method: Method::POST, path, query: None, body, namespace: true };
    let answer = VaultAnswer::new(transport.send_patiently(&request, None).await?.success()?);
    let auth = answer.auth()?;
    let ttl = Duration::from_secs(auth.lease_duration);
    // A grant of no length is one without an end.
    let grant = (!ttl.is_zero()).then_some(Grant { ttl, renewable: auth.renewable });
    Ok(Granted { token: Token::new(auth.client_token)?, grant })
}

fn given(token: &str) -> Result<Granted, VaultFailure> {
    Ok(Granted { token: Token::new(token)?, grant: None })
}

/// The line in a file, without its end.
fn read_secret(path: &Path) -> Result<SecureString, VaultFailure> {
    let refused = |detail| VaultFailure::new(VaultFailureKind::InvalidInput, detail);
    let mut text = Zeroizing::new(String::with_capacity(USUAL_SECRET_FILE_LEN));
    let file = File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_LEN + 1).read_to_string(&mut text));
    match file {
        Err(error) => Err(refused("the login's file cannot be read")
            .with_source(std::io::Error::from(error.kind()))),
        Ok(length) if length as u64 > MAX_SECRET_FILE_LEN => {
            Err(refused("the login's file has more than 64 KiB"))
        }
        Ok(_) => Ok(SecureString::new(text.trim_end_matches(['\n', '\r']))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_role_of_the_mount_makes_its_secrets() {
        let mount = VaultMount::new("approle").unwrap();
        let is = |path: &str, namespace: Option<&str>| is_a_roles(path, &mount, namespace);
        for kind in ["secret-id", "custom-secret-id"] {
            let path = format!("auth/approle/role/app/{kind}");
            assert!(is(&path, None) && is(&path, Some("team-a")));
            let inside = format!("team-a/{path}");
            assert!(is(&inside, Some("team-a")) && !is(&inside, None));
            for elsewhere in ["team-b", "team", "a", "team-a/x", "x/team-a", ""] {
                assert!(!is(&format!("{elsewhere}/{path}"), Some("team-a")), "{elsewhere}");
            }
        }
        for path in [
            "secret/data/auth/approle/role/app/secret-id",
            "auth/approle/role/app/secret-id/secret-id",
            "auth/approle/role//secret-id",
            "auth/approle/role/secret-id",
            "auth/approle/role/app/secret-id-accessor",
            "auth/other/role/app/secret-id",
            "team-aauth/approle/role/app/secret-id",
            "sys/wrapping/wrap",
            "",
        ] {
            assert!(!is(path, None) && !is(path, Some("team-a")), "{path}");
        }
    }
}
