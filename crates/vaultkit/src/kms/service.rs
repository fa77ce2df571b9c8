//! The services across the network: their schemes, the form of their URIs, and the options of each.

/// A key management service across the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Service {
    /// AWS KMS.
    Aws,
    /// Transit of HashiCorp Vault or OpenBao.
    HashiCorp,
    /// Azure Key Vault.
    Azure,
    /// Google Cloud KMS.
    Gcp,
}

/// What every service can be told.
const COMMON: &[&str] = &["ca_file", "proxy", "timeout"];

impl Service {
    /// Every service that there is.
    pub const ALL: &[Self] = &[Self::Aws, Self::HashiCorp, Self::Azure, Self::Gcp];

    /// The scheme of its URIs, and its provider's `provider_type`.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Aws => "aws-kms",
            Self::HashiCorp => "hcvault",
            Self::Azure => "azurekeyvault",
            Self::Gcp => "gcp-kms",
        }
    }

    /// How its URIs are written, as a sentence of an error.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Aws => {
                "write aws-kms://ARN, or aws-kms://alias/NAME?region=REGION, without spaces or %"
            }
            Self::HashiCorp => {
                "write hcvault://HOST:PORT/MOUNT/KEY, with the token elsewhere, without spaces or %"
            }
            Self::Azure => {
                "write azurekeyvault://VAULT.vault.azure.net/keys/KEY, without a version"
            }
            Self::Gcp => {
                "write gcp-kms://projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version"
            }
        }
    }

    /// The feature of this crate that brings it.
    #[must_use]
    pub const fn feature(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::HashiCorp => "hashicorp",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }

    /// The names of the options that its URI, and its table in a configuration file, may have.
    pub fn options(self) -> impl Iterator<Item = &'static str> {
        let own: &[&str] = match self {
            Self::Aws => &[
                "dual_stack",
                "endpoint",
                "external_id",
                "fips",
                "profile",
                "region",
                "role_arn",
                "session_name",
                "sts_endpoint",
                "web_identity_token_file",
            ],
            Self::HashiCorp => &[
                "auth_mount",
                "client_cert_file",
                "client_key_file",
                "jwt_file",
                "login",
                "name",
                "namespace",
                "plain_http",
                "role",
                "role_id",
                "scope_binding",
                "secret_id_file",
                "token_file",
            ],
            Self::Azure => {
                &["address", "authority", "client_id", "client_secret_file", "login", "tenant_id"]
            }
            Self::Gcp => &["credentials_file", "endpoint", "login"],
        };
        COMMON.iter().chain(own).copied()
    }
}
