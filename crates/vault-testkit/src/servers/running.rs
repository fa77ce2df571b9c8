//! A started server of whichever kind, for the command line.

use super::{LocalKms, LocalStack, Moto, Postgres, Vault};

/// A server that runs until this is dropped or the process ends.
#[derive(Debug)]
#[non_exhaustive]
pub enum Running {
    /// HashiCorp Vault.
    Vault(Vault),
    /// LocalStack.
    LocalStack(LocalStack),
    /// local-kms.
    LocalKms(LocalKms),
    /// moto.
    Moto(Moto),
    /// PostgreSQL.
    Postgres(Postgres),
}

impl Running {
    /// Where it is, for a client.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Vault(server) => server.url(),
            Self::LocalStack(server) => server.url(),
            Self::LocalKms(server) => server.url(),
            Self::Moto(server) => server.url(),
            Self::Postgres(server) => server.url(),
        }
    }

    /// The variables by which clients find it and log in. Three servers stand for AWS: LocalStack has
    /// the variables that every client of AWS reads, the others have one of their own.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Vault(server) => {
                vec![("VAULT_ADDR", server.url()), ("VAULT_TOKEN", server.root_token().to_owned())]
            }
            Self::LocalStack(server) => {
                let login = server.login();
                vec![
                    ("AWS_ENDPOINT_URL", server.url()),
                    ("AWS_ACCESS_KEY_ID", login.access_key_id.to_owned()),
                    ("AWS_SECRET_ACCESS_KEY", login.secret_access_key.to_owned()),
                    ("AWS_REGION", login.region.to_owned()),
                    ("AWS_DEFAULT_REGION", login.region.to_owned()),
                ]
            }
            Self::LocalKms(server) => vec![("VAULTKIT_LOCAL_KMS_URL", server.url())],
            Self::Moto(server) => vec![("VAULTKIT_MOTO_URL", server.url())],
            Self::Postgres(server) => vec![("VAULTKIT_POSTGRES_URL", server.url())],
        }
    }
}
