//! `KmsProvider`: using keys. Data keys are made here and wrapped there, by RSA-OAEP-256.
//!
//! Left to others: what a key is (`describe`), what binds the scope (`binding`), what an answer of the
//! service means (`error`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::credentials::TokenCredential as _;
use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::json::to_json;
use azure_core::time::parse_rfc7231;
use azure_security_keyvault_keys::KeyClient;
use azure_security_keyvault_keys::models::GetRandomBytesParameters;
use vault_crypto_core::{
    Capabilities, Clock, CryptoError, DATA_KEY_LEN, DataKey, ErrorKind, HealthStatus, KeyId,
    KeyInfo, KmsProvider, Operation, RandomSource, Result, Scope, SecureBytes, WrapContext,
    WrappedKey,
};

use crate::binding::MAX_PAYLOAD_LEN;
use crate::client;
use crate::config::AzureKmsConfig;
use crate::credentials::principal;
use crate::error::{Fault, classify};
use crate::login::Login;
use crate::names::{KeyName, Vault};

/// Shortest time for which a vault keeps a deleted key, in days.
pub(crate) const MIN_WINDOW_DAYS: u32 = 7;
/// A name that nobody gives a key: asking for it shows that the vault answers.
const PROBE: &str = "vaultkit-health-probe";
const DATE: HeaderName = HeaderName::from_static("date");
/// Most random bytes that a Managed HSM gives in one answer, and most that are asked for in all.
const MAX_RANDOM_LEN: usize = 128;
const MAX_RANDOM_TOTAL: usize = 1_024;

/// The keys of one Azure Key Vault.
///
/// It needs a tokio runtime. Cloning is cheap and shares connections and token.
#[derive(Clone)]
pub struct AzureKmsProvider {
    pub(crate) client: Arc<KeyClient>,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) call_timeout: Duration,
    #[cfg(feature = "admin")]
    pub(crate) hsm_keys: bool,
    random: Arc<dyn RandomSource>,
    /// `None` if the client logs in by itself.
    login: Option<Login>,
}

impl AzureKmsProvider {
    /// A provider for the vault that `config` names. Nothing is sent yet, and no login is tried.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is no vault's, roots that are no certificates, a proxy that is no URL,
    /// a configuration without credentials.
    #[expect(clippy::unused_async, reason = "the siblings' clients have to ask the network here")]
    pub async fn connect(config: AzureKmsConfig) -> Result<Self> {
        let vault = Vault::parse(&config.vault_url)?;
        let login = login_of(&config)?;
        let options = client::key_options(&config, &vault, login.clone())?;
        let client = KeyClient::new(vault.origin(), Arc::new(login.clone()), Some(options))
            .map_err(|_| client::unusable_settings())?;
        Ok(Self::assemble(config, vault, Some(login), client))
    }

    /// The same over a client that the caller has built, with a configuration made by
    /// [`AzureKmsConfig::for_client`]. Its retries should be off; its login, the care for its token, time-outs for
    /// connecting and reading, roots, proxy and pool are its own.
    ///
    /// # Errors
    /// `InvalidInput` if the client speaks to another vault than `config` names, or if `config` has credentials, a
    /// cloud, roots, addresses or a proxy, which the client would not heed.
    pub fn with_client(client: KeyClient, config: AzureKmsConfig) -> Result<Self> {
        config.check_beside_client()?;
        let vault = Vault::parse(&config.vault_url)?;
        if Vault::parse(client.endpoint().as_str())? != vault {
            return Err(client::invalid(
                "the client speaks to another vault than the configuration names",
            ));
        }
        Ok(Self::assemble(config, vault, None, client))
    }

    fn assemble(
        config: AzureKmsConfig,
        vault: Vault,
        login: Option<Login>,
        client: KeyClient,
    ) -> Self {
        Self {
            client: Arc::new(client),
            vault,
            clock: config.clock,
            call_timeout: config.call_timeout,
            #[cfg(feature = "admin")]
            hsm_keys: config.hsm_keys,
            random: config.random,
            login,
        }
    }

    /// Whom the vault sees: the application, object and user that the token names. The token is read, not
    /// verified: it is the vault that verifies it.
    ///
    /// # Errors
    /// What the login says; `Unsupported` where the token tells nothing, and over a client of the caller's, whose
    /// login is not known here.
    pub async fn who_am_i(&self) -> Result<String> {
        let unsupported = |says: &'static str| {
            CryptoError::new(ErrorKind::Unsupported, Operation::LogIn).with_detail(says)
        };
        let Some(login) = &self.login else {
            return Err(unsupported("the client that was given logs in by itself"));
        };
        let scope = format!("{}/.default", self.vault.audience());
        let scopes = [scope.as_str()];
        let asked = self.ask(login.get_token(&scopes, None));
        let token = self.in_time(Fault::timed_out(), asked).await;
        let token = token.map_err(|fault| fault.into_error(Operation::LogIn))?;
        principal(token.token.secret())
            .ok_or_else(|| unsupported("the login's token does not say whose it is"))
    }

    /// The vault's time, from its answer's `Date`; `None` where it tells none. One second precise.
    ///
    /// # Errors
    /// What the service says.
    pub async fn server_time(&self) -> Result<Option<SystemTime>> {
        let asked = async {
            match self.client.get_key(PROBE, None).await {
                Ok(answer) => Ok(date_of(answer.headers())),
                Err(error) => match error.kind() {
                    SdkErrorKind::HttpResponse { raw_response: Some(answer), .. } => {
                        Ok(date_of(answer.headers()))
                    }
                    _ => Err(classify(&error, &*self.clock)),
                },
            }
        };
        let told = self.in_time(Fault::timed_out(), asked).await;
        told.map_err(|fault| fault.into_error(Operation::HealthCheck))
    }

    /// One call to the service, as part of what is timed as a whole.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = azure_core::Result<T>>,
    ) -> Result<T, Fault> {
        call.await.map_err(|error| classify(&error, &*self.clock))
    }

    /// All calls behind one of a trait's, logins among them, in the time for one call; `late` is told if they
    /// are not done then.
    pub(crate) async fn in_time<T>(
        &self,
        late: Fault,
        calls: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let calls = async {
            match &self.login {
                Some(login) => login.beside(calls).await,
                None => calls.await,
            }
        };
        client::within(&*self.clock, self.call_timeout, calls).await.unwrap_or(Err(late))
    }

    /// The same for the operations on a key, which say more of their errors.
    async fn timed<T>(
        &self,
        operation: Operation,
        key_id: &KeyId,
        calls: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let calls = async { Ok(calls.await) };
        self.in_time(Fault::timed_out(), calls).await.unwrap_or_else(|late| {
            let error = late.into_error(operation);
            Err(match self.canonical_key_id(key_id) {
                Some(canonical) => error.with_key_id(&canonical),
                None => error,
            })
        })
    }

    /// The name that `key_id` stands for, with its canonical id.
    pub(crate) fn named(&self, key_id: &KeyId, operation: Operation) -> Result<(KeyName, KeyId)> {
        let name = self.vault.name_in(key_id).map_err(|error| error.in_operation(operation))?;
        let canonical = self.vault.key_id(&name);
        Ok((name, canonical))
    }
}

impl fmt::Debug for AzureKmsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureKmsProvider").field("vault", &self.vault).finish_non_exhaustive()
    }
}

fn login_of(config: &AzureKmsConfig) -> Result<Login> {
    let credentials = config.credentials.clone().ok_or_else(|| {
        client::invalid("a configuration without credentials is for a ready client alone")
    })?;
    let options = client::login_options(config, &credentials)?;
    let clock = Arc::clone(&config.clock);
    let random = Arc::clone(&config.random);
    Ok(Login::new(credentials, options, clock, random, config.call_timeout))
}

fn date_of(headers: &Headers) -> Option<SystemTime> {
    headers.get_optional_str(&DATE).and_then(|date| parse_rfc7231(date).ok()).map(SystemTime::from)
}

#[async_trait]
impl KmsProvider for AzureKmsProvider {
    fn provider_type(&self) -> &'static str {
        "azurekeyvault"
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::none();
        // Not `binds_scope`, nor `server_side_rewrap`: RSA takes no associated data, and Key Vault has no rewrap.
        all.reports_version = true;
        all.verifies_version = true;
        all.native_rotation = true;
        all.named_keys = true;
        all.tags = true;
        all.descriptions = true;
        all.disabling = true;
        all.rotation_period = true;
        all.deletion_window_days = Some(MIN_WINDOW_DAYS);
        all.max_payload_len = MAX_PAYLOAD_LEN;
        all.random_bytes = self.vault.is_managed_hsm();
        all
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        let name = self.vault.name_in(key_id).ok()?;
        Some(self.vault.key_id(&name))
    }

    async fn generate_data_key(&self, key_id: &KeyId, _: &WrapContext) -> Result<DataKey> {
        let mut plaintext = SecureBytes::zeroed(DATA_KEY_LEN);
        self.random.fill(plaintext.as_mut_slice())?;
        let operation = Operation::GenerateDataKey;
        let wrapping = self.wrap(operation, key_id, &plaintext);
        let wrapped = self.timed(operation, key_id, wrapping).await?;
        DataKey::new(plaintext, wrapped)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        let operation = Operation::WrapDataKey;
        self.timed(operation, key_id, self.wrap(operation, key_id, plaintext)).await
    }

    async fn decrypt_data_key(&self, wrapped: &WrappedKey, _: &WrapContext) -> Result<SecureBytes> {
        let operation = Operation::DecryptDataKey;
        self.timed(operation, &wrapped.key_id, self.unwrap(operation, wrapped)).await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        let operation = Operation::RewrapDataKey;
        let rewrapping = async {
            let plaintext = self.unwrap(operation, wrapped).await?;
            self.wrap(operation, to, &plaintext).await
        };
        self.timed(operation, &wrapped.key_id, rewrapping).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let encrypting = self.encrypt_payload(key_id, plaintext, scope);
        self.timed(Operation::Encrypt, key_id, encrypting).await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let decrypting = self.decrypt_payload(key_id, ciphertext, scope);
        self.timed(Operation::Decrypt, key_id, decrypting).await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let operation = Operation::DescribeKey;
        let (name, canonical) = self.named(key_id, operation)?;
        let described = self.in_time(Fault::timed_out(), self.describe(&name)).await;
        described.map_err(|fault| fault.into_error(operation).with_key_id(&canonical))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        let began = self.clock.monotonic();
        let asked = self.ask(self.client.get_key(PROBE, None));
        let answer = self.in_time(Fault::timed_out(), asked).await;
        let latency = self.clock.monotonic().saturating_sub(began);
        let vault = self.vault.host();
        let status = match answer {
            Ok(_) => HealthStatus::healthy(format!("{vault} answers")),
            Err(fault) if fault.is_not_found() => HealthStatus::healthy(format!("{vault} answers")),
            // Without the right to look at keys; every vault that sees whom it refuses is there.
            Err(fault) if fault.is_refused_by_right() => HealthStatus::healthy(format!(
                "{vault} answers, and does not let this login look at keys"
            )),
            Err(fault) => {
                HealthStatus::unhealthy(fault.into_error(Operation::HealthCheck).to_string())
            }
        };
        Ok(status.with_latency(latency))
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let operation = Operation::RandomBytes;
        if !self.vault.is_managed_hsm() {
            return Err(CryptoError::new(ErrorKind::Unsupported, operation).with_detail(
                "a vault gives no random bytes, a Managed HSM does; take the system's",
            ));
        }
        if !(1..=MAX_RANDOM_TOTAL).contains(&len) {
            let wrong = client::invalid("1 to 1024 random bytes can be asked for");
            return Err(wrong.in_operation(operation));
        }
        let drawn = self.in_time(Fault::timed_out(), self.draw(len)).await;
        drawn.map_err(|fault| fault.into_error(operation))
    }
}

impl AzureKmsProvider {
    /// A Managed HSM gives at most 128 bytes at a time.
    async fn draw(&self, len: usize) -> Result<SecureBytes, Fault> {
        let mut all = SecureBytes::zeroed(len);
        for piece in all.as_mut_slice().chunks_mut(MAX_RANDOM_LEN) {
            let count = i32::try_from(piece.len()).ok();
            let body = to_json(&GetRandomBytesParameters { count });
            let body = body.map_err(|error| classify(&error, &*self.clock))?;
            let answer = self.ask(self.client.get_random_bytes(body.into(), None)).await?;
            let told = answer.into_model().ok().and_then(|told| told.value);
            let told = SecureBytes::new(told.unwrap_or_default());
            if told.len() != piece.len() {
                return Err(Fault::not_understood());
            }
            piece.copy_from_slice(told.as_slice());
        }
        Ok(all)
    }
}
