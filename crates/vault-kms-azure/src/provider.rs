//! `KmsProvider`: using keys. Data keys are made here and wrapped there, by RSA-OAEP-256.
//!
//! Left to others: what a key is (`describe`), what binds the scope (`binding`), what an answer of the
//! service means (`error`).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::RequestContent;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::json::to_json;
use azure_core::time::parse_rfc7231;
use azure_security_keyvault_keys::KeyClient;
use azure_security_keyvault_keys::models::{
    EncryptionAlgorithm, GetRandomBytesParameters, KeyOperationParameters, KeyOperationResult,
};
use vault_crypto_core::{
    Capabilities, Clock, CryptoError, DATA_KEY_LEN, DataKey, ErrorKind, HealthStatus, KeyId, KeyInfo,
    KeyVersion, KmsProvider, Operation, RandomSource, Result, Scope, SecureBytes, WrapContext, WrappedKey,
};
use zeroize::Zeroize as _;

use crate::binding::{self, MAX_PAYLOAD_LEN};
use crate::client;
use crate::config::AzureKmsConfig;
use crate::credentials::{Login, principal};
use crate::error::{Fault, classify};
use crate::names::{KeyName, Vault, can_be_asked};

/// Shortest time for which a vault keeps a deleted key, in days.
pub(crate) const MIN_WINDOW_DAYS: u32 = 7;
/// A name that nobody gives a key: asking for it shows that the vault answers.
const PROBE: &str = "vaultkit-health-probe";
const DATE: HeaderName = HeaderName::from_static("date");
/// Most random bytes that a Managed HSM gives in one answer.
const MAX_RANDOM_LEN: usize = 128;

/// The keys of one Azure Key Vault.
///
/// It needs a tokio runtime. Cloning is cheap and shares connections and token.
#[derive(Clone)]
pub struct AzureKmsProvider {
    pub(crate) client: Arc<KeyClient>,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) call_timeout: Duration,
    pub(crate) hsm_keys: bool,
    random: Arc<dyn RandomSource>,
    login: Arc<dyn TokenCredential>,
}

/// Which of the service's two pairs of operations: each has its own right.
#[derive(Clone, Copy)]
enum Use {
    DataKey,
    Payload,
}

impl AzureKmsProvider {
    /// A provider for the vault that `config` names. Nothing is sent yet, and no login is tried.
    ///
    /// # Errors
    /// `InvalidInput` for an address that is no vault's, roots that are no certificates, a proxy that is no URL.
    #[expect(clippy::unused_async, reason = "the siblings' clients have to ask the network here")]
    pub async fn connect(config: AzureKmsConfig) -> Result<Self> {
        let vault = Vault::parse(&config.vault_url)?;
        let options = client::key_options(&config, &vault)?;
        Self::assemble(config, vault, |vault, login| {
            KeyClient::new(vault.origin(), login, Some(options)).map_err(|_| client::unusable_settings())
        })
    }

    /// The same over a client that the caller has built. Its retries should be off, and its credential be the
    /// one in `config`; time-outs for connecting and reading, roots and proxy are its own.
    ///
    /// # Errors
    /// `InvalidInput` if the client speaks to another vault than `config` names, or as [`connect`](Self::connect).
    pub fn with_client(client: KeyClient, config: AzureKmsConfig) -> Result<Self> {
        let vault = Vault::parse(&config.vault_url)?;
        if Vault::parse(client.endpoint().as_str())? != vault {
            return Err(client::invalid("the client speaks to another vault than the configuration names"));
        }
        Self::assemble(config, vault, |_, _| Ok(client))
    }

    fn assemble(
        config: AzureKmsConfig,
        vault: Vault,
        client: impl FnOnce(&Vault, Arc<dyn TokenCredential>) -> Result<KeyClient>,
    ) -> Result<Self> {
        let options = client::login_options(&config)?;
        let login: Arc<dyn TokenCredential> = Arc::new(Login::new(config.credentials, options));
        Ok(Self {
            client: Arc::new(client(&vault, Arc::clone(&login))?),
            vault,
            clock: config.clock,
            call_timeout: config.call_timeout,
            hsm_keys: config.hsm_keys,
            random: config.random,
            login,
        })
    }

    /// Whom the vault sees: the application, object and user that the token names. The token is read, not
    /// verified: it is the vault that verifies it.
    ///
    /// # Errors
    /// What the login says; `Unsupported` where the token tells nothing.
    pub async fn who_am_i(&self) -> Result<String> {
        let scope = format!("{}/.default", self.vault.audience());
        let token = self.ask(self.login.get_token(&[&scope], None)).await;
        let token = token.map_err(|fault| fault.into_error(Operation::LogIn))?;
        principal(token.token.secret()).ok_or_else(|| {
            CryptoError::new(ErrorKind::Unsupported, Operation::LogIn)
                .with_detail("the login's token does not say whose it is")
        })
    }

    /// The vault's time, from its answer's `Date`; `None` where it tells none. One second precise.
    ///
    /// # Errors
    /// What the service says.
    pub async fn server_time(&self) -> Result<Option<SystemTime>> {
        let asked = client::within(&*self.clock, self.call_timeout, self.client.get_key(PROBE, None));
        let told = match asked.await {
            Some(Ok(answer)) => date_of(answer.headers()),
            Some(Err(error)) => match error.kind() {
                SdkErrorKind::HttpResponse { raw_response: Some(answer), .. } => date_of(answer.headers()),
                _ => return Err(classify(&error, &*self.clock).into_error(Operation::HealthCheck)),
            },
            None => return Err(Fault::timed_out().into_error(Operation::HealthCheck)),
        };
        Ok(told)
    }

    /// One call to the service, in time.
    pub(crate) async fn ask<T>(
        &self,
        call: impl Future<Output = azure_core::Result<T>>,
    ) -> Result<T, Fault> {
        match client::within(&*self.clock, self.call_timeout, call).await {
            Some(answer) => answer.map_err(|error| classify(&error, &*self.clock)),
            None => Err(Fault::timed_out()),
        }
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
        let wrapped = self.wrap(Operation::GenerateDataKey, key_id, &plaintext).await?;
        DataKey::new(plaintext, wrapped)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        self.wrap(Operation::WrapDataKey, key_id, plaintext).await
    }

    async fn decrypt_data_key(&self, wrapped: &WrappedKey, _: &WrapContext) -> Result<SecureBytes> {
        self.unwrap(Operation::DecryptDataKey, wrapped).await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        _: &WrapContext,
    ) -> Result<WrappedKey> {
        let plaintext = self.unwrap(Operation::RewrapDataKey, wrapped).await?;
        self.wrap(Operation::RewrapDataKey, to, &plaintext).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let operation = Operation::Encrypt;
        let (name, canonical) = self.named(key_id, operation)?;
        if plaintext.len() > MAX_PAYLOAD_LEN {
            return Err(too_long(operation).with_key_id(&canonical));
        }
        let whole = binding::enclose(plaintext, scope);
        let (bytes, version) = self.seal(operation, &name, whole.as_slice(), Use::Payload).await?;
        binding::pack(&version, &bytes)
            .ok_or_else(|| Fault::not_understood().into_error(operation).with_key_id(&canonical))
    }

    async fn decrypt(&self, key_id: &KeyId, ciphertext: &[u8], scope: &Scope) -> Result<SecureBytes> {
        let operation = Operation::Decrypt;
        let (name, canonical) = self.named(key_id, operation)?;
        let (version, bytes) = binding::unpack(ciphertext).ok_or_else(|| {
            CryptoError::new(ErrorKind::Malformed, operation)
                .with_key_id(&canonical)
                .with_detail("this is no payload that vaultkit has encrypted under a Key Vault key")
        })?;
        let whole = self.open(operation, &name, &version, bytes, Use::Payload).await?;
        binding::disclose(&whole, scope)
            .ok_or_else(|| CryptoError::authentication_failed(operation).with_key_id(&canonical))
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let (name, canonical) = self.named(key_id, Operation::DescribeKey)?;
        let described = self.describe(&name).await;
        described.map_err(|fault| fault.into_error(Operation::DescribeKey).with_key_id(&canonical))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        let began = self.clock.monotonic();
        let answer = self.ask(self.client.get_key(PROBE, None)).await;
        let latency = self.clock.monotonic().saturating_sub(began);
        let vault = self.vault.host();
        let status = match answer {
            Ok(_) => HealthStatus::healthy(format!("{vault} answers")),
            Err(fault) if fault.is_not_found() => HealthStatus::healthy(format!("{vault} answers")),
            // Without the right to look at keys; every vault that sees whom it refuses is there.
            Err(fault) if fault.is_refused_by_right() => {
                HealthStatus::healthy(format!("{vault} answers, and does not let this login look at keys"))
            }
            Err(fault) => {
                HealthStatus::unhealthy(fault.into_error(Operation::HealthCheck).to_string())
            }
        };
        Ok(status.with_latency(latency))
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let operation = Operation::RandomBytes;
        if !self.vault.is_managed_hsm() {
            return Err(CryptoError::new(ErrorKind::Unsupported, operation)
                .with_detail("a vault gives no random bytes, a Managed HSM does; take the system's"));
        }
        let count = i32::try_from(len).ok().filter(|len| (1..=1_024).contains(len));
        let count = count.ok_or_else(|| {
            client::invalid("1 to 1024 random bytes can be asked for").in_operation(operation)
        })?;
        let failed = |fault: Fault| fault.into_error(operation);
        // A Managed HSM gives at most 128 at a time.
        let mut all = SecureBytes::zeroed(len);
        for piece in all.as_mut_slice().chunks_mut(MAX_RANDOM_LEN) {
            let asked = i32::try_from(piece.len()).unwrap_or(count);
            let parameters = GetRandomBytesParameters { count: Some(asked) };
            let body = to_json(&parameters).map_err(|error| failed(classify(&error, &*self.clock)))?;
            let answer = self.ask(self.client.get_random_bytes(body.into(), None)).await;
            let told = answer.map_err(failed)?.into_model().ok().and_then(|told| told.value);
            let told = SecureBytes::new(told.unwrap_or_default());
            if told.len() != piece.len() {
                return Err(failed(Fault::not_understood()));
            }
            piece.copy_from_slice(told.as_slice());
        }
        Ok(all)
    }
}

impl AzureKmsProvider {
    async fn wrap(
        &self,
        operation: Operation,
        key_id: &KeyId,
        plaintext: &SecureBytes,
    ) -> Result<WrappedKey> {
        let (name, canonical) = self.named(key_id, operation)?;
        if plaintext.is_empty() || plaintext.len() > MAX_PAYLOAD_LEN {
            return Err(too_long(operation).with_key_id(&canonical));
        }
        if binding::is_payload(plaintext.as_slice()) {
            return Err(client::invalid("these bytes begin as a payload does, and no key does")
                .in_operation(operation)
                .with_key_id(&canonical));
        }
        let (bytes, version) = self.seal(operation, &name, plaintext.as_slice(), Use::DataKey).await?;
        Ok(WrappedKey::new(bytes, canonical, version))
    }

    async fn unwrap(&self, operation: Operation, wrapped: &WrappedKey) -> Result<SecureBytes> {
        let (name, canonical) = self.named(&wrapped.key_id, operation)?;
        let plaintext =
            self.open(operation, &name, &wrapped.version, &wrapped.bytes, Use::DataKey).await?;
        if binding::is_payload(plaintext.as_slice()) {
            return Err(CryptoError::authentication_failed(operation).with_key_id(&canonical));
        }
        Ok(plaintext)
    }

    /// What the service made of `plaintext`, and the version that made it.
    async fn seal(
        &self,
        operation: Operation,
        name: &KeyName,
        plaintext: &[u8],
        of: Use,
    ) -> Result<(Vec<u8>, KeyVersion)> {
        let told = match self.call_seal(name, plaintext, of).await {
            Ok(told) => told,
            Err(fault) => {
                let fault = self.explain(fault, name, None).await;
                return Err(fault.into_error(operation).with_key_id(&self.vault.key_id(name)));
            }
        };
        // Another key's answer must not be stored as this one's: nobody could open it.
        let version = told.kid.as_deref().and_then(|kid| self.vault.version_in(kid, name));
        match (told.result, version) {
            (Some(bytes), Some(version)) if binding::is_rsa_len(bytes.len()) => Ok((bytes, version)),
            _ => Err(CryptoError::authentication_failed(operation).with_key_id(&self.vault.key_id(name))),
        }
    }

    async fn call_seal(
        &self,
        name: &KeyName,
        plaintext: &[u8],
        of: Use,
    ) -> Result<KeyOperationResult, Fault> {
        let body = self.body(plaintext)?;
        let answer = match of {
            Use::DataKey => self.ask(self.client.wrap_key(name.as_str(), body, None)).await?,
            Use::Payload => self.ask(self.client.encrypt(name.as_str(), body, None)).await?,
        };
        answer.into_model().map_err(|error| classify(&error, &*self.clock))
    }

    /// The stored version is asked. One that the vault does not have is looked at a second time with the
    /// current version: if that opens the bytes, what was stored is not true; else it was, and is gone.
    async fn open(
        &self,
        operation: Operation,
        name: &KeyName,
        version: &KeyVersion,
        bytes: &[u8],
        of: Use,
    ) -> Result<SecureBytes> {
        let canonical = self.vault.key_id(name);
        let failed = || CryptoError::authentication_failed(operation).with_key_id(&canonical);
        if !binding::is_rsa_len(bytes.len()) {
            return Err(failed());
        }
        let first = if can_be_asked(version) || !version.is_known() {
            self.call_open(name, version, bytes, of).await
        } else {
            Err(Fault::no_such_version())
        };
        let fault = match first {
            Ok(Some(plaintext)) => return Ok(plaintext),
            Ok(None) => return Err(failed()),
            Err(fault) => fault,
        };
        if fault.is_bad_parameter() {
            return Err(failed());
        }
        if fault.is_not_found() && version.is_known() {
            let second = self.call_open(name, &KeyVersion::unknown(), bytes, of).await;
            return Err(match second {
                Ok(_) => failed(),
                // The version is inside what `encrypt` gave: bytes like any other of it.
                Err(fault) if fault.is_bad_parameter() && matches!(of, Use::Payload) => failed(),
                Err(fault) if fault.is_bad_parameter() => {
                    Fault::no_such_version().into_error(operation).with_key_id(&canonical)
                }
                Err(fault) => {
                    let fault = self.explain(fault, name, None).await;
                    fault.into_error(operation).with_key_id(&canonical)
                }
            });
        }
        let fault = self.explain(fault, name, Some(version)).await;
        Err(fault.into_error(operation).with_key_id(&canonical))
    }

    /// `None` if the answer is of another key or version than the one asked.
    async fn call_open(
        &self,
        name: &KeyName,
        version: &KeyVersion,
        bytes: &[u8],
        of: Use,
    ) -> Result<Option<SecureBytes>, Fault> {
        let body = self.body(bytes)?;
        let (name_text, asked) = (name.as_str(), version.as_str());
        let answer = match of {
            Use::DataKey => self.ask(self.client.unwrap_key(name_text, asked, body, None)).await?,
            Use::Payload => self.ask(self.client.decrypt(name_text, asked, body, None)).await?,
        };
        let told = answer.into_model().map_err(|error| classify(&error, &*self.clock))?;
        let plaintext = told.result.map(SecureBytes::new);
        let told = told.kid.as_deref().and_then(|kid| self.vault.version_in(kid, name));
        let same = told.is_some_and(|told| {
            !version.is_known() || told.as_str().eq_ignore_ascii_case(version.as_str())
        });
        match plaintext {
            Some(plaintext) if same => Ok(Some(plaintext)),
            Some(_) => Ok(None),
            None => Err(Fault::not_understood()),
        }
    }

    /// The request's body; the copy that the SDK's model takes is wiped.
    fn body(&self, bytes: &[u8]) -> Result<RequestContent<KeyOperationParameters>, Fault> {
        let mut parameters = KeyOperationParameters {
            algorithm: Some(EncryptionAlgorithm::RsaOaep256),
            value: Some(bytes.to_vec()),
            ..KeyOperationParameters::default()
        };
        let body = to_json(&parameters);
        parameters.value.zeroize();
        body.map(Into::into).map_err(|error| classify(&error, &*self.clock))
    }
}

fn too_long(operation: Operation) -> CryptoError {
    client::invalid("Key Vault wraps and encrypts 1 to 138 bytes (RSA-OAEP-256 under 2048 bits, less what binds)")
        .in_operation(operation)
}
