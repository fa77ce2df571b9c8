//! [`CloudKmsClient`]: everything of Cloud KMS that goes beyond wrapping data keys, by the names of Google's
//! resources: rings, symmetric and RSA keys, versions, rotation schedules, IAM policies.
//!
//! Ciphertexts made here are bound to no scope, so that `gcloud kms decrypt` opens them. Left to others: data
//! keys, which [`GcpKmsProvider`] wraps.

mod audit;
mod iam;
mod keys;
mod types;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::{KeyId, Operation, Result, SecureBytes};

pub use audit::AuditLogEntry;
pub use iam::{IamBinding, IamPolicy, IamResource};
pub use types::{CryptographicKey, EncryptedData, KeyRing, KeyVersion};

use crate::client::Call;
use crate::error::invalid;
use crate::names::{KeyName, RingName};
use crate::{GcpCredentials, GcpKmsConfig, GcpKmsProvider};
use audit::AuditLog;

/// The service takes no more.
const MAX_PLAINTEXT_LEN: usize = 64 * 1_024;

/// Settings of a [`CloudKmsClient`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "applications write it out, as the documents of origin do"
)]
pub struct KmsConfig {
    /// The project's id or number.
    pub project_id: String,
    /// The location of rings and keys: `global`, `us-central1`, ...
    pub location: String,
    /// The key file of a service account; without it, application default credentials.
    pub credentials_path: Option<String>,
    /// Longest time for a whole call.
    pub timeout: Duration,
    /// Whether this client remembers what it called ([`CloudKmsClient::get_audit_log`]).
    pub audit_logging: bool,
}

/// A client of Cloud KMS in one project and location.
///
/// It needs a tokio runtime, and stays on the one that made it.
pub struct CloudKmsClient {
    provider: Arc<GcpKmsProvider>,
    project: String,
    location: String,
    log: AuditLog,
}

impl CloudKmsClient {
    /// A client of Google's endpoint. The first call connects.
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work, `Io` for a key file that cannot be read.
    pub async fn new(config: KmsConfig) -> Result<Self> {
        let credentials = match &config.credentials_path {
            Some(path) => GcpCredentials::ServiceAccountKeyFile(path.into()),
            None => GcpCredentials::ApplicationDefault,
        };
        let KmsConfig { project_id, location, timeout, .. } = &config;
        let connection = GcpKmsConfig::new(format!(
            "projects/{project_id}/locations/{location}/keyRings/default"
        ))
        .with_credentials(credentials)
        .with_read_timeout(*timeout)
        .with_call_timeout(*timeout);
        Self::over(GcpKmsProvider::connect(connection).await?, config)
    }

    /// A client over a provider's connection: another endpoint, login, proxy. Of `config` it takes project,
    /// location and `audit_logging`.
    ///
    /// # Errors
    /// `InvalidInput` for a project or location that is no name.
    pub fn over(provider: impl Into<Arc<GcpKmsProvider>>, config: KmsConfig) -> Result<Self> {
        let provider = provider.into();
        RingName::new(&config.project_id, &config.location, "default")?;
        let log = AuditLog::new(config.audit_logging, Arc::clone(&provider.clock));
        Ok(Self { provider, project: config.project_id, location: config.location, log })
    }

    /// Encrypts up to 64 KiB with the key's primary version, bound to nothing but the key.
    ///
    /// # Errors
    /// `InvalidInput` for an empty or longer plaintext, `KeyNotFound`, `KeyUnusable`, or what the service says.
    pub async fn encrypt(
        &self,
        key_ring: &str,
        key: &str,
        plaintext: impl AsRef<[u8]>,
    ) -> Result<EncryptedData> {
        let plaintext = plaintext.as_ref();
        self.on_key("Encrypt", Operation::Encrypt, (key_ring, key), async |call, name| {
            if !(1..=MAX_PLAINTEXT_LEN).contains(&plaintext.len()) {
                return Err(invalid(
                    "Cloud KMS takes 1 to 65536 bytes; seal longer data with an envelope",
                ));
            }
            let sealed = call.encrypt(name, plaintext, b"").await?;
            Ok(EncryptedData::new(name, sealed))
        })
        .await
    }

    /// Decrypts what [`encrypt`](Self::encrypt) gave, or `gcloud kms encrypt` without additional data.
    ///
    /// # Errors
    /// `AuthenticationFailed` for altered bytes or another key's, else as [`encrypt`](Self::encrypt).
    pub async fn decrypt(
        &self,
        key_ring: &str,
        key: &str,
        encrypted: &EncryptedData,
    ) -> Result<SecureBytes> {
        self.on_key("Decrypt", Operation::Decrypt, (key_ring, key), async |call, name| {
            call.decrypt(name, &encrypted.ciphertext, b"").await
        })
        .await
    }

    /// What this client called, oldest first: the last 1,000 calls, with names and outcomes and nothing
    /// else. Google's own record is Cloud Audit Logs.
    ///
    /// # Errors
    /// None today; the log may move out of the process.
    #[expect(clippy::unused_async, reason = "the documents of origin await it")]
    pub async fn get_audit_log(&self) -> Result<Vec<AuditLogEntry>> {
        Ok(self.log.entries())
    }

    fn ring_name(&self, key_ring: &str) -> Result<RingName> {
        RingName::new(&self.project, &self.location, key_ring)
    }

    /// Runs `work` as one call; the log and the error say its name, operation and key.
    async fn on_key<T>(
        &self,
        method: &'static str,
        operation: Operation,
        (key_ring, key): (&str, &str),
        work: impl AsyncFnOnce(Call<'_>, &KeyName) -> Result<T>,
    ) -> Result<T> {
        let name = self.ring_name(key_ring).and_then(|ring| ring.key(key));
        let name = name.map_err(|error| error.in_operation(operation))?;
        self.logged(method, operation, name.as_str(), async |call| work(call, &name).await).await
    }

    async fn logged<T>(
        &self,
        method: &'static str,
        operation: Operation,
        resource: &str,
        work: impl AsyncFnOnce(Call<'_>) -> Result<T>,
    ) -> Result<T> {
        let begun = self.provider.clock.monotonic();
        let outcome =
            work(self.provider.client.call()).await.map_err(|error| match error.operation() {
                Operation::LogIn => error.with_key_id(&KeyId::new(resource)),
                _ => error.in_operation(operation).with_key_id(&KeyId::new(resource)),
            });
        let took = self.provider.clock.monotonic().saturating_sub(begun);
        self.log.add(method, resource, outcome.as_ref().err().map(|error| error.kind()), took);
        outcome
    }
}

impl fmt::Debug for CloudKmsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudKmsClient")
            .field("project", &self.project)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
