//! `KmsProvider`: using keys.

use std::fmt;
use std::sync::Arc;
#[cfg(any(test, feature = "admin"))]
use std::time::Duration;
use std::time::SystemTime;

use async_trait::async_trait;
use gcloud_sdk::google::cloud::kms::v1::{GetKeyRingRequest, KeyRing};
use http::{Request, Response};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tower::Service;
use vault_crypto_core::{
    Capabilities, Clock, CryptoError, DATA_KEY_LEN, DataKey, ErrorKind, HealthStatus, KeyId,
    KeyInfo, KmsProvider, MAX_WRAP_LEN, Operation, RandomSource, Result, Scope, SecureBytes,
    WrapContext, WrappedKey,
};

use crate::client::{Call, Client, Kms};
use crate::error::{Verb, broken_answer, classify, invalid, unsupported};
use crate::names::{self, KeyName, KnownKeys, RingName};
use crate::transport::{self, BoxError, http_date};
use crate::{GcpCredentials, GcpKmsConfig, binding};

/// What the service ever makes of a payload that we take, with room to spare; longer bytes are not its own.
const MAX_CIPHERTEXT_LEN: usize = 64 * 1_024;
const MAX_RANDOM_LEN: usize = 1_024;
/// `cloudkms` destroys no version sooner than after a day.
pub(crate) const MIN_WINDOW_DAYS: u32 = 1;

/// Keys in Google Cloud KMS.
///
/// It needs a tokio runtime, and stays on the one that connected it.
pub struct GcpKmsProvider {
    pub(crate) client: Client,
    pub(crate) ring: RingName,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(feature = "admin")]
    pub(crate) destroy_delay: Option<Duration>,
    #[cfg(feature = "admin")]
    pub(crate) hsm: bool,
    known: KnownKeys,
    random: Arc<dyn RandomSource>,
    credentials: GcpCredentials,
    /// The connection, and so the login, is the caller's own.
    injected: bool,
}

impl GcpKmsProvider {
    /// Takes the settings. The first call connects; only the login may ask its service sooner, from a task
    /// that Google's login library starts.
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work, `Io` for a credentials file that cannot be read.
    #[expect(
        clippy::unused_async,
        reason = "the SDK's logins start tasks: a runtime must be there"
    )]
    pub async fn connect(config: GcpKmsConfig) -> Result<Self> {
        config.check()?;
        config.check_way()?;
        let client = Client::connect(&config)?;
        Self::over(client, config, false)
    }

    /// Over a transport that the caller made: a `tonic` channel, or one in the SDK's
    /// [`GoogleAuthMiddlewareLayer`](crate::sdk::gcloud_sdk::GoogleAuthMiddlewareLayer). Endpoint, login, roots,
    /// proxy and pool are then the caller's own. Who renews tokens there, also replaces refused ones.
    ///
    /// # Errors
    /// `InvalidInput` for settings that cannot work, or would be ignored.
    pub fn with_client<S>(service: S, config: GcpKmsConfig) -> Result<Self>
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        config.check()?;
        config.check_beside_a_client()?;
        let transport = transport::injected(service, Arc::clone(&config.clock));
        let client = Client::over(transport, Vec::new(), None, &config);
        Self::over(client, config, true)
    }

    fn over(client: Client, config: GcpKmsConfig, injected: bool) -> Result<Self> {
        Ok(Self {
            client,
            ring: config.check()?,
            #[cfg(feature = "admin")]
            destroy_delay: config.destroy_delay,
            #[cfg(feature = "admin")]
            hsm: config.hsm,
            clock: config.clock,
            known: KnownKeys::default(),
            random: config.random,
            credentials: config.credentials,
            injected,
        })
    }

    /// The account that asks, after fetching a token as a proof that the login works.
    ///
    /// # Errors
    /// `PermissionDenied` for a refused login, `Unavailable` where the login service does not answer, `Unsupported`
    /// over a connection of the caller's, which logs in by itself.
    pub async fn who_am_i(&self) -> Result<String> {
        let in_login = |error: CryptoError| error.in_operation(Operation::LogIn);
        if self.injected {
            return Err(in_login(unsupported("the caller's own connection knows who logs in")));
        }
        let call = self.client.call();
        call.log_in().await.map_err(in_login)?;
        self.credentials.principal(call.left()).await.map_err(in_login)
    }

    /// What time the service has; `None` where its answer does not say.
    ///
    /// # Errors
    /// Where the service does not answer at all.
    pub async fn server_time(&self) -> Result<Option<SystemTime>> {
        match self.ask().await {
            Ok(answer) => Ok(date(answer.metadata())),
            // A refusal is an answer too, and has a date.
            Err(status) => match date(status.metadata()) {
                Some(time) => Ok(Some(time)),
                None => Err(classify(&status, Verb::Other).in_operation(Operation::HealthCheck)),
            },
        }
    }

    /// The cheapest question that names no key.
    async fn ask(&self) -> std::result::Result<tonic::Response<KeyRing>, Status> {
        let name = self.ring.as_str();
        let message = GetKeyRingRequest { name: name.to_owned() };
        self.client.call().kms(("name", name), message, Kms::get_key_ring).await
    }

    /// Runs `work` with the key's checked name in a call of its own; errors say operation and key.
    pub(crate) async fn on_key<T>(
        &self,
        key_id: &KeyId,
        operation: Operation,
        work: impl AsyncFnOnce(Call<'_>, &KeyName) -> Result<T>,
    ) -> Result<T> {
        let name = self.name(key_id, operation)?;
        let done = work(self.client.call(), &name).await;
        done.map_err(|error| told(error, operation, &name))
    }

    fn name(&self, key_id: &KeyId, operation: Operation) -> Result<KeyName> {
        let name = self.known.parse(key_id, &self.ring);
        name.map_err(|error| error.in_operation(operation))
    }
}

/// Says of an error what failed, on which key. That a login failed is said already.
fn told(error: CryptoError, operation: Operation, key: &KeyName) -> CryptoError {
    match error.operation() {
        Operation::LogIn => error.with_key_id(&key.key_id()),
        _ => error.in_operation(operation).with_key_id(&key.key_id()),
    }
}

async fn wrap(
    call: Call<'_>,
    key: &KeyName,
    plaintext: &SecureBytes,
    aad: &[u8],
) -> Result<WrappedKey> {
    let sealed = call.encrypt(key, plaintext.as_slice(), aad).await?;
    Ok(WrappedKey::new(sealed.ciphertext, key.key_id(), names::version(sealed.version)))
}

async fn open(call: Call<'_>, key: &KeyName, bytes: &[u8], aad: &[u8]) -> Result<SecureBytes> {
    check_ciphertext(bytes)?;
    let opened = call.decrypt(key, bytes, aad).await?;
    // Nothing is sealed here that is empty, and an answer may lack a field without anybody noticing.
    if opened.is_empty() {
        return Err(broken_answer("the service answered without a plaintext"));
    }
    Ok(opened)
}

#[async_trait]
impl KmsProvider for GcpKmsProvider {
    fn provider_type(&self) -> &'static str {
        "gcp-kms"
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::none();
        all.binds_scope = true;
        all.reports_version = true;
        all.native_rotation = true;
        all.staged_rotation = true;
        all.named_keys = true;
        all.tags = true;
        all.deletion_window_days = Some(MIN_WINDOW_DAYS);
        all.max_payload_len = MAX_WRAP_LEN;
        all.disabling = true;
        all.rotation_period = true;
        all.random_bytes = true;
        // Not `verifies_version`: Decrypt does not say which version it used. Not `descriptions`.
        all
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        KeyName::parse(key_id, &self.ring).ok().map(|name| name.key_id())
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        self.on_key(key_id, Operation::GenerateDataKey, async |call, key| {
            let mut plaintext = SecureBytes::zeroed(DATA_KEY_LEN);
            self.random.fill(plaintext.as_mut_slice())?;
            let wrapped = wrap(call, key, &plaintext, &binding::wrapped_key(context)).await?;
            DataKey::new(plaintext, wrapped)
        })
        .await
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.on_key(key_id, Operation::WrapDataKey, async |call, key| {
            check_payload(plaintext.len())?;
            wrap(call, key, plaintext, &binding::wrapped_key(context)).await
        })
        .await
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        self.on_key(&wrapped.key_id, Operation::DecryptDataKey, async |call, key| {
            open(call, key, &wrapped.bytes, &binding::wrapped_key(context)).await
        })
        .await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let (operation, aad) = (Operation::RewrapDataKey, binding::wrapped_key(context));
        // Both names are looked at before anything is opened.
        let target = self.name(to, operation)?;
        self.on_key(&wrapped.key_id, operation, async |call, key| {
            let opened = open(call, key, &wrapped.bytes, &aad).await?;
            let wrapped = wrap(call, &target, &opened, &aad).await;
            wrapped.map_err(|error| told(error, operation, &target))
        })
        .await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        self.on_key(key_id, Operation::Encrypt, async |call, key| {
            check_payload(plaintext.len())?;
            let sealed = call.encrypt(key, plaintext, &binding::payload(scope)).await?;
            Ok(sealed.ciphertext)
        })
        .await
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        self.on_key(key_id, Operation::Decrypt, async |call, key| {
            open(call, key, ciphertext, &binding::payload(scope)).await
        })
        .await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.on_key(key_id, Operation::DescribeKey, async |call, key| {
            call.describe(key).await?.told()
        })
        .await
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        let asked_at = self.clock.monotonic();
        let answer = self.ask().await;
        let latency = self.clock.monotonic().saturating_sub(asked_at);
        let status = match answer {
            Ok(_) => HealthStatus::healthy(format!("Cloud KMS answers for {}", self.ring)),
            // Who may only use keys may not look at their ring, and needs not.
            Err(status) if status.code() == Code::PermissionDenied => HealthStatus::healthy(
                format!("Cloud KMS answers; the account may not read {}", self.ring),
            ),
            Err(status) => {
                let error = classify(&status, Verb::Other);
                return Ok(match error.kind() {
                    ErrorKind::Unavailable | ErrorKind::TimedOut => {
                        HealthStatus::unhealthy(error.to_string())
                    }
                    _ => HealthStatus::unhealthy(error.to_string()).with_latency(latency),
                });
            }
        };
        Ok(status.with_latency(latency))
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let operation = Operation::RandomBytes;
        if !(1..=MAX_RANDOM_LEN).contains(&len) {
            return Err(invalid("1 to 1024 random bytes at a time").in_operation(operation));
        }
        let location = self.ring.location();
        self.client
            .call()
            .random(location, len)
            .await
            .map_err(|error| error.in_operation(operation))
    }
}

impl fmt::Debug for GcpKmsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpKmsProvider")
            .field("key_ring", &self.ring.as_str())
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

fn check_payload(len: usize) -> Result<()> {
    if (1..=MAX_WRAP_LEN).contains(&len) {
        return Ok(());
    }
    Err(invalid("a KMS takes 1 to 4096 bytes; seal longer data with an envelope"))
}

/// The service takes nothing else for a ciphertext, so it is not asked.
fn check_ciphertext(bytes: &[u8]) -> Result<()> {
    if (1..=MAX_CIPHERTEXT_LEN).contains(&bytes.len()) {
        return Ok(());
    }
    Err(CryptoError::new(ErrorKind::Malformed, Operation::Decrypt)
        .with_detail("these bytes were not made by Cloud KMS"))
}

/// The answer's `date`.
fn date(metadata: &MetadataMap) -> Option<SystemTime> {
    http_date(metadata.get("date")?.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_answers_are_read() {
        let mut metadata = MetadataMap::new();
        assert_eq!(date(&metadata), None);
        metadata.insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        let expected = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(784_111_777));
        assert_eq!(date(&metadata), expected);
        metadata.insert("date", "yesterday".parse().unwrap());
        assert_eq!(date(&metadata), None);
    }
}
