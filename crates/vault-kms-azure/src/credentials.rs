//! Who this program is to the vault: the ways of logging in, and whom a token names.
//!
//! Left to others: when to log in, and the token's life (`login`).

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use azure_core::Value;
use azure_core::base64::decode_url_safe;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::ClientOptions;
use azure_core::json::from_json;
use azure_identity::{
    AzureCliCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use vault_crypto_core::SecureString;
use zeroize::Zeroizing;

use crate::error::login::Door;

/// The file of a federated token, and how many bytes of it are looked at.
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const MAX_TOKEN_LEN: u64 = 1 << 16;
/// Longest claim of a token that is shown.
const MAX_CLAIM_LEN: usize = 256;

/// How to log in to Microsoft Entra ID.
#[non_exhaustive]
pub enum AzureCredentials {
    /// The identity of the virtual machine, App Service or function that this runs on.
    ManagedIdentity {
        /// Client id of a user-assigned identity; `None` for the system-assigned one.
        client_id: Option<String>,
    },
    /// A Kubernetes service account, as the environment variables `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
    /// `AZURE_FEDERATED_TOKEN_FILE` say.
    WorkloadIdentity,
    /// A service principal with a secret.
    ClientSecret {
        /// Directory of the service principal.
        tenant_id: String,
        /// Its application id.
        client_id: String,
        /// Its secret.
        client_secret: SecureString,
    },
    /// Whoever is logged in to the `az` program: for people, not for services.
    Cli,
    /// A login that the caller has made ready.
    Injected(Arc<dyn TokenCredential>),
}

impl AzureCredentials {
    pub(crate) fn door(&self) -> Door {
        match self {
            Self::ManagedIdentity { .. } => Door::ManagedIdentity,
            Self::WorkloadIdentity => Door::WorkloadIdentity,
            Self::ClientSecret { .. } => Door::ClientSecret,
            Self::Cli => Door::Cli,
            Self::Injected(_) => Door::Injected,
        }
    }

    /// What tells these credentials from those before where they can change by themselves: a federated token's
    /// file is written anew by whoever gives it.
    pub(crate) fn proof(&self) -> Option<Vec<u8>> {
        match self {
            Self::WorkloadIdentity => proof_in(&std::env::var_os(TOKEN_FILE)?),
            _ => None,
        }
    }

    /// The SDK's login, made anew: what it keeps beside its token would bring a revoked one back.
    /// `client_options` carries transport and cloud.
    pub(crate) fn to_sdk(
        &self,
        client_options: ClientOptions,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        Ok(match self {
            Self::ManagedIdentity { client_id } => {
                let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
                let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
                ManagedIdentityCredential::new(Some(options))?
            }
            Self::WorkloadIdentity => {
                let credential_options = ClientAssertionCredentialOptions { client_options };
                let options =
                    WorkloadIdentityCredentialOptions { credential_options, ..Default::default() };
                WorkloadIdentityCredential::new(Some(options))?
            }
            Self::ClientSecret { tenant_id, client_id, client_secret } => {
                ClientSecretCredential::new(
                    tenant_id,
                    client_id.clone(),
                    Secret::new(client_secret.as_str().to_owned()),
                    Some(ClientSecretCredentialOptions { client_options }),
                )?
            }
            Self::Cli => AzureCliCredential::new(None)?,
            Self::Injected(credential) => Arc::clone(credential),
        })
    }
}

impl fmt::Debug for AzureCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManagedIdentity { client_id } => {
                f.debug_struct("ManagedIdentity").field("client_id", client_id).finish()
            }
            Self::WorkloadIdentity => f.write_str("WorkloadIdentity"),
            Self::ClientSecret { tenant_id, client_id, .. } => f
                .debug_struct("ClientSecret")
                .field("tenant_id", tenant_id)
                .field("client_id", client_id)
                .finish_non_exhaustive(),
            Self::Cli => f.write_str("Cli"),
            Self::Injected(_) => f.write_str("Injected"),
        }
    }
}

/// A digest of the file's beginning.
fn proof_in(file: &OsStr) -> Option<Vec<u8>> {
    let mut token = Zeroizing::new(Vec::new());
    File::open(file).ok()?.take(MAX_TOKEN_LEN).read_to_end(&mut token).ok()?;
    Some(digest(&SHA256, &token).as_ref().to_vec())
}

/// Whom a token names: its application, object and user, as the token itself says.
pub(crate) fn principal(token: &str) -> Option<String> {
    let claims = decode_url_safe(token.split('.').nth(1)?).ok()?;
    let claims: Value = from_json(&claims).ok()?;
    let claim = |names: &[&str]| {
        let text = names.iter().find_map(|name| claims.get(name)?.as_str())?;
        let shown = text.len() <= MAX_CLAIM_LEN && text.bytes().all(|b| b.is_ascii_graphic());
        shown.then(|| text.to_owned())
    };
    let said = [
        ("user", claim(&["upn", "preferred_username", "unique_name"])),
        ("application", claim(&["appid", "azp"])),
        ("object", claim(&["oid", "sub"])),
        ("tenant", claim(&["tid"])),
    ];
    let said: Vec<String> =
        said.into_iter().filter_map(|(what, who)| Some(format!("{what} {}", who?))).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

#[cfg(test)]
mod tests {
    use azure_core::base64::encode_url_safe;

    use super::*;

    #[test]
    fn a_token_says_whose_it_is() {
        let token = |claims: &str| format!("e30.{}.c2ln", encode_url_safe(claims));
        let said = principal(&token(r#"{"appid":"app-1","oid":"obj-1","tid":"dir-1"}"#));
        assert_eq!(said.unwrap(), "application app-1, object obj-1, tenant dir-1");
        let user = principal(&token(r#"{"upn":"a@b.example","oid":"o"}"#));
        assert_eq!(user.unwrap(), "user a@b.example, object o");
        for strange in [r#"{"oid":"a\nb"}"#, r#"{"oid":7}"#, "{}", "[]", "not json"] {
            assert_eq!(principal(&token(strange)), None);
        }
        assert_eq!(principal("opaque"), None);
    }

    #[test]
    fn a_federated_token_that_was_replaced_is_another_proof() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert_eq!(proof_in(file.as_os_str()), None);
        std::fs::write(&file, "one").unwrap();
        let one = proof_in(file.as_os_str());
        std::fs::write(&file, "one").unwrap();
        assert_eq!(proof_in(file.as_os_str()), one);
        std::fs::write(&file, "two").unwrap();
        assert!(one.is_some() && proof_in(file.as_os_str()) != one);
    }

    #[test]
    fn no_secret_is_printed() {
        let client_secret = SecureString::new("hunter2hunter2");
        let (tenant_id, client_id) = ("t".to_owned(), "c".to_owned());
        let login = AzureCredentials::ClientSecret { tenant_id, client_id, client_secret };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
