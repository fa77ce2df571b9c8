//! `KmsProvider`: using keys.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use vault_connection::{VaultConnection, VaultMount};
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo, KeyVersion,
    KmsProvider, MAX_WRAP_LEN, Operation, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};
use zeroize::Zeroizing;

use crate::binding::{Bound, PAYLOAD_LABEL, Role};
use crate::ciphertext::Ciphertext;
use crate::client::{NO_PLAINTEXT, NoAnswer, Sealed, Transit};
use crate::error::{invalid, unexpected};
use crate::fitness::Fitness;
use crate::key::Key;
use crate::names::{Place, SCHEME};
use crate::{ScopeBinding, VaultKmsConfig};

const MAX_RANDOM_LEN: usize = 1_024;

/// Keys in the Transit engine of a HashiCorp Vault or OpenBao server.
///
/// Clone the connection, not this; share this behind an `Arc`. It needs a tokio runtime.
pub struct VaultKmsProvider {
    pub(crate) transit: Transit,
    pub(crate) place: Place,
    pub(crate) binding: ScopeBinding,
    pub(crate) fitness: Fitness,
}

impl VaultKmsProvider {
    /// Checks the settings. Nothing is sent yet; a key is looked at before its first use.
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work.
    pub async fn connect(config: VaultKmsConfig) -> Result<Self> {
        let VaultKmsConfig { connection, mount, binding } = config;
        let connection =
            connection.ok_or_else(|| refused("which server? use `VaultKmsConfig::new`"))?;
        Self::over(VaultConnection::connect(connection).await?, &mount, binding)
    }

    /// The same over a connection that others use too. Its settings are its own, so `config` has none of a
    /// connection ([`VaultKmsConfig::default`]).
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work.
    pub fn with_client(connection: VaultConnection, config: VaultKmsConfig) -> Result<Self> {
        if config.connection.is_some() {
            return Err(refused(
                "the connection is made already; begin its settings with `VaultKmsConfig::default`",
            ));
        }
        Self::over(connection, &config.mount, config.binding)
    }

    fn over(connection: VaultConnection, mount: &str, binding: ScopeBinding) -> Result<Self> {
        let mount = VaultMount::new(mount)?;
        let place = Place::new(connection.server_name(), connection.namespace(), &mount);
        let transit = Transit { connection, mount };
        Ok(Self { transit, place, binding, fitness: Fitness::default() })
    }

    /// The connection that it works over: drive its [`upkeep`](VaultConnection::upkeep).
    #[must_use]
    pub fn connection(&self) -> &VaultConnection {
        &self.transit.connection
    }

    /// Whose token this is, as the server names it, with its policies.
    ///
    /// # Errors
    /// As the server says.
    pub async fn who_am_i(&self) -> Result<String> {
        self.connection().who_am_i().await.map_err(|failure| failure.to_error(Operation::LogIn))
    }

    /// The server's clock, to the second.
    ///
    /// # Errors
    /// As the server says.
    pub async fn server_time(&self) -> Result<Option<SystemTime>> {
        let time = self.connection().server_time().await;
        time.map_err(|failure| failure.to_error(Operation::HealthCheck))
    }

    /// One limit of time for all requests of a call.
    pub(crate) async fn in_time<T>(
        &self,
        operation: Operation,
        key_id: &KeyId,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let late = || {
            CryptoError::new(ErrorKind::TimedOut, operation)
                .with_key_id(key_id)
                .with_detail("no answer in time")
        };
        self.connection().in_time(work).await.unwrap_or_else(|| Err(late()))
    }

    async fn seal(
        &self,
        key: &Key<'_>,
        plaintext: &[u8],
        bound: &Bound,
        operation: Operation,
    ) -> Result<Sealed> {
        let labelled;
        let plaintext = match bound.role {
            Role::Payload => {
                let mut whole = Vec::with_capacity(PAYLOAD_LABEL.len() + plaintext.len());
                whole.extend_from_slice(PAYLOAD_LABEL);
                whole.extend_from_slice(plaintext);
                labelled = Zeroizing::new(whole);
                labelled.as_slice()
            }
            Role::WrappedKey if plaintext.starts_with(PAYLOAD_LABEL) => {
                return Err(invalid(operation, &key.id, "these bytes would open as a payload"));
            }
            Role::WrappedKey | Role::KeptApart => plaintext,
        };
        let sealed = self.transit.encrypt(key.name, plaintext, bound.context.as_deref()).await;
        self.vouched(key, self.answered(sealed, key, operation)?, operation).await
    }

    async fn open(
        &self,
        key: &Key<'_>,
        ciphertext: Ciphertext<'_>,
        bound: &Bound,
        operation: Operation,
    ) -> Result<SecureBytes> {
        let opened = self.transit.decrypt(key.name, ciphertext, bound.context.as_deref()).await;
        let plaintext = self.answered(opened, key, operation)?;
        let labelled = plaintext.as_slice().strip_prefix(PAYLOAD_LABEL);
        match (bound.role, labelled) {
            (Role::KeptApart, _) | (Role::WrappedKey, None) => Ok(plaintext),
            (Role::Payload, Some([])) => Err(unexpected(operation, &key.id, NO_PLAINTEXT)),
            (Role::Payload, Some(payload)) => Ok(SecureBytes::new(payload.to_vec())),
            (Role::Payload, None) | (Role::WrappedKey, Some(_)) => {
                Err(CryptoError::authentication_failed(operation).with_key_id(&key.id))
            }
        }
    }

    /// How the server is, and whether it takes the login: a sealed one takes none, and a standby without a leader
    /// can ask nobody.
    async fn health(&self) -> Result<HealthStatus> {
        let health = match self.connection().health().await {
            Ok(health) => health,
            Err(failure) => return Ok(HealthStatus::unhealthy(failure.to_string())),
        };
        let server = format!("{} {}", health.product.as_str(), health.version);
        let why = match (health.initialized, health.sealed) {
            (false, _) => Some("is not initialized".to_owned()),
            (true, true) => Some("is sealed".to_owned()),
            (true, false) if self.connection().namespace().is_some() && !health.namespaces => {
                Some("has no namespaces, and one is configured".to_owned())
            }
            (true, false) => {
                let refused = self.connection().log_in().await.err();
                refused.map(|failure| format!("takes no login or token: {failure}"))
            }
        };
        let status = match why {
            Some(why) => HealthStatus::unhealthy(format!("{server} {why}")),
            None if health.standby => HealthStatus::healthy(format!("{server}, standing by")),
            None => HealthStatus::healthy(server),
        };
        Ok(status.with_latency(health.latency))
    }

    fn checked_len(key: &Key<'_>, len: usize, operation: Operation) -> Result<()> {
        if (1..=MAX_WRAP_LEN).contains(&len) {
            return Ok(());
        }
        Err(invalid(operation, &key.id, "a KMS takes 1 to 4096 bytes"))
    }
}

fn refused(what: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(what)
}

/// Reads a wrapped key, and compares the version in it with the stored one.
fn stated<'a>(
    wrapped: &'a WrappedKey,
    key: &Key<'_>,
    operation: Operation,
) -> Result<Ciphertext<'a>> {
    let same = |parsed: &Ciphertext<'_>| {
        !wrapped.version.is_known() || KeyVersion::from(parsed.version) == wrapped.version
    };
    let failed = || CryptoError::authentication_failed(operation).with_key_id(&key.id);
    Ciphertext::parse(&wrapped.bytes).filter(same).ok_or_else(failed)
}

fn wrapped(sealed: Sealed, key: Key<'_>) -> WrappedKey {
    WrappedKey::new(sealed.text.into_bytes(), key.id, KeyVersion::from(sealed.version))
}

#[async_trait]
impl KmsProvider for VaultKmsProvider {
    fn provider_type(&self) -> &'static str {
        SCHEME
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::none();
        all.binds_scope = self.binding == ScopeBinding::DerivedKey;
        // Within one key; to another one it decrypts and encrypts here.
        all.server_side_rewrap = true;
        all.reports_version = true;
        all.native_rotation = true;
        all.named_keys = true;
        all.verifies_version = true;
        all.rotation_period = true;
        all.random_bytes = true;
        all
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        Some(self.place.key_id(self.place.name_in(key_id).ok()?))
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let operation = Operation::GenerateDataKey;
        self.in_time(operation, key_id, async {
            let key = self.usable_key(key_id, operation).await?;
            let bound = self.binding.of_key(context);
            let made = self.transit.data_key(key.name, bound.context.as_deref()).await;
            let (plaintext, sealed) = self.answered(made, &key, operation)?;
            let sealed = self.vouched(&key, sealed, operation).await?;
            DataKey::new(plaintext, wrapped(sealed, key))
        })
        .await
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let operation = Operation::WrapDataKey;
        Self::checked_len(&self.key(key_id, operation)?, plaintext.len(), operation)?;
        self.in_time(operation, key_id, async {
            let key = self.usable_key(key_id, operation).await?;
            let bound = self.binding.of_key(context);
            let sealed = self.seal(&key, plaintext.as_slice(), &bound, operation).await?;
            Ok(wrapped(sealed, key))
        })
        .await
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        let operation = Operation::DecryptDataKey;
        self.in_time(operation, &wrapped.key_id, async {
            let key = self.usable_key(&wrapped.key_id, operation).await?;
            let ciphertext = stated(wrapped, &key, operation)?;
            self.open(&key, ciphertext, &self.binding.of_key(context), operation).await
        })
        .await
    }

    async fn rewrap_data_key(
        &self,
        old: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let operation = Operation::RewrapDataKey;
        self.in_time(operation, &old.key_id, async {
            let from = self.usable_key(&old.key_id, operation).await?;
            let to = self.usable_key(to, operation).await?;
            let ciphertext = stated(old, &from, operation)?;
            let bound = self.binding.of_key(context);
            if from.name == to.name {
                let context = bound.context.as_deref();
                let sealed = self.transit.rewrap(to.name, ciphertext, context).await;
                let sealed = self.answered(sealed, &to, operation)?;
                return Ok(wrapped(self.vouched(&to, sealed, operation).await?, to));
            }
            let plaintext = self.open(&from, ciphertext, &bound, operation).await?;
            let sealed = self.seal(&to, plaintext.as_slice(), &bound, operation).await?;
            Ok(wrapped(sealed, to))
        })
        .await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let operation = Operation::Encrypt;
        Self::checked_len(&self.key(key_id, operation)?, plaintext.len(), operation)?;
        self.in_time(operation, key_id, async {
            let key = self.usable_key(key_id, operation).await?;
            let bound = self.binding.of_payload(scope);
            let sealed = self.seal(&key, plaintext, &bound, operation).await?;
            Ok(sealed.text.into_bytes())
        })
        .await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let operation = Operation::Decrypt;
        self.in_time(operation, key_id, async {
            let key = self.usable_key(key_id, operation).await?;
            let ciphertext = Ciphertext::parse(ciphertext).ok_or_else(|| {
                // Not told from altered bytes of ours: a flipped bit can lie in the prefix too.
                CryptoError::authentication_failed(operation).with_key_id(&key.id)
            })?;
            self.open(&key, ciphertext, &self.binding.of_payload(scope), operation).await
        })
        .await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let operation = Operation::DescribeKey;
        let key = self.key(key_id, operation)?;
        let described = self.described(&key, operation).await?;
        described.info(key.id.clone()).ok_or_else(|| {
            CryptoError::new(ErrorKind::Unsupported, operation)
                .with_key_id(&key.id)
                .with_detail("this key neither wraps data keys nor is an RSA key")
        })
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        let late = || Ok(HealthStatus::unhealthy("no answer in time"));
        self.connection().in_time(self.health()).await.unwrap_or_else(late)
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let operation = Operation::RandomBytes;
        if !(1..=MAX_RANDOM_LEN).contains(&len) {
            return Err(CryptoError::new(ErrorKind::InvalidInput, operation)
                .with_detail("a service gives 1 to 1024 random bytes at once"));
        }
        self.transit.random(len).await.map_err(|no_answer| match no_answer {
            NoAnswer::Failed(failure) => failure.to_error(operation),
            NoAnswer::Unexpected(what) => {
                CryptoError::new(ErrorKind::Unavailable, operation).with_detail(what)
            }
        })
    }
}

impl fmt::Debug for VaultKmsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultKmsProvider")
            .field("connection", &self.transit.connection)
            .field("mount", &self.transit.mount)
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}
