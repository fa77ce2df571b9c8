//! A whole key management service in memory: a fake that keeps every promise of the traits.
//!
//! What it cannot show: latency, quotas, eventual consistency after a key is made or changed, a
//! service's own limits and error texts, who may call what. Left to others: faults ([`Faults`](crate::Faults)).

mod admin;
mod store;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use vault_crypto_core::{
    Capabilities, Clock, CryptoError, DATA_KEY_LEN, DataKey, ErrorKind, HealthStatus, KeyId,
    KeyInfo, KeyVersion, KmsProvider, MAX_WRAP_LEN, Operation, RandomSource, Result, Scope,
    SecureBytes, SystemClock, SystemRandom, WrapContext, WrappedKey,
};

use crate::CallCounts;
use store::{Key, Store};

/// An in-memory KMS with versioned keys, staged rotation, states, tags and deletion windows.
///
/// **For tests only**: keys live in ordinary memory and die with it. Wrapping is real all the same
/// (KC-XAES-256-GCM, bound to scope, kind and version), so wrong keys, altered bytes and foreign
/// scopes fail as they do at a service. It declares `server_side_rewrap`, playing the service
/// itself: the plaintexts it hands out are counted, and a rewrap hands out none.
///
/// ```
/// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
/// use vault_crypto_core::{KmsProvider as _, Scope, WrapContext};
/// use vault_testkit::{MemoryKms, VirtualClock};
///
/// let kms = MemoryKms::new();
/// let key = kms.add_key("orders")?;
/// let context = WrapContext::data_key(Scope::new([("tenant", "acme")])?);
/// let data_key = VirtualClock::new().run(kms.generate_data_key(&key, &context))?;
/// assert_eq!(data_key.wrapped().key_id, key);
/// # Ok(()) }
/// ```
pub struct MemoryKms {
    store: Mutex<Store>,
    capabilities: Capabilities,
    clock: Arc<dyn Clock>,
    random: Arc<dyn RandomSource>,
    calls: CallCounts,
    plaintexts: AtomicU64,
}

impl MemoryKms {
    /// Without keys, on the system's clock and generator, with a name of its own.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            store: Mutex::new(Store::new(&NEXT.fetch_add(1, Ordering::Relaxed).to_string())),
            capabilities: everything(),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            calls: CallCounts::default(),
            plaintexts: AtomicU64::new(0),
        }
    }

    /// Takes times from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes keys and nonces from `random`: vectors need the same ones every time.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }

    /// Names the store: key ids are `memory:STORE#name`. Two stores of one name are impostors of
    /// each other: the same ids, other keys.
    #[must_use]
    pub fn with_store(self, name: &str) -> Self {
        *self.lock() = Store::new(name);
        self
    }

    /// Plays a service that can do less. `native_rotation`, `named_keys` and `offline` stay true
    /// whatever is given.
    #[must_use]
    pub fn with_capabilities(mut self, mut capabilities: Capabilities) -> Self {
        capabilities.native_rotation = true;
        capabilities.named_keys = true;
        capabilities.offline = true;
        self.capabilities = capabilities;
        self
    }

    /// Makes an enabled key without an executor.
    ///
    /// # Errors
    /// `Conflict` for a name that exists, or the generator's error.
    pub fn add_key(&self, name: &str) -> Result<KeyId> {
        let key =
            Key::new(vault_crypto_core::KeyConfig::new(name), &*self.random, self.clock.now())?;
        self.lock().add(name, key)
    }

    /// How often which operation was called.
    #[must_use]
    pub fn calls(&self) -> &CallCounts {
        &self.calls
    }

    /// How many plaintexts left the service so far: data keys and decrypted payloads.
    #[must_use]
    pub fn plaintexts_handed_out(&self) -> u64 {
        self.plaintexts.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store with due deletions carried out.
    fn counted(&self, operation: Operation) -> MutexGuard<'_, Store> {
        self.calls.count(operation);
        let mut store = self.lock();
        store.destroy_due(self.clock.now());
        store
    }

    fn hand_out(&self, plaintext: SecureBytes) -> SecureBytes {
        self.plaintexts.fetch_add(1, Ordering::Relaxed);
        plaintext
    }

    /// What a wrapped key is bound to.
    fn wrap_binding(&self, context: &WrapContext) -> Vec<u8> {
        if self.capabilities.binds_scope { context.binding() } else { b"wrapped".to_vec() }
    }

    /// What a payload is bound to: never the same as any wrapped key's binding.
    fn payload_binding(&self, scope: &Scope) -> Vec<u8> {
        let mut binding = b"payload\0".to_vec();
        if self.capabilities.binds_scope {
            binding.extend_from_slice(scope.canonical_pairs());
        }
        binding
    }

    fn wrap_with(
        &self,
        key_id: KeyId,
        key: &Key,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Result<WrappedKey> {
        let (bytes, version) = key.seal(plaintext, aad, &*self.random)?;
        Ok(WrappedKey::new(bytes, key_id, self.reported(version)))
    }

    fn reported(&self, version: u32) -> KeyVersion {
        if self.capabilities.reports_version { version.into() } else { KeyVersion::unknown() }
    }

    fn unwrap(
        &self,
        store: &Store,
        wrapped: &WrappedKey,
        aad: &[u8],
        operation: Operation,
    ) -> Result<SecureBytes> {
        let (_, key) = store.usable(&wrapped.key_id, operation)?;
        let (plaintext, version) = key.open(&wrapped.bytes, aad, operation)?;
        let known = wrapped.version.is_known() && self.capabilities.reports_version;
        if known && wrapped.version != KeyVersion::from(version) {
            return Err(CryptoError::authentication_failed(operation));
        }
        Ok(plaintext)
    }
}

impl Default for MemoryKms {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKms").field("calls", &self.calls).finish_non_exhaustive()
    }
}

#[async_trait]
impl KmsProvider for MemoryKms {
    fn provider_type(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        Some(self.lock().canonical(key_id))
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let store = self.counted(Operation::GenerateDataKey);
        let (key_id, key) = store.usable(key_id, Operation::GenerateDataKey)?;
        let mut plaintext = SecureBytes::zeroed(DATA_KEY_LEN);
        self.random.fill(plaintext.as_mut_slice())?;
        let aad = self.wrap_binding(context);
        let wrapped = self.wrap_with(key_id, key, plaintext.as_slice(), &aad)?;
        DataKey::new(self.hand_out(plaintext), wrapped)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let store = self.counted(Operation::WrapDataKey);
        let (key_id, key) = store.usable(key_id, Operation::WrapDataKey)?;
        check_len(plaintext.as_slice(), Operation::WrapDataKey)?;
        self.wrap_with(key_id, key, plaintext.as_slice(), &self.wrap_binding(context))
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        let store = self.counted(Operation::DecryptDataKey);
        let aad = self.wrap_binding(context);
        let plaintext = self.unwrap(&store, wrapped, &aad, Operation::DecryptDataKey)?;
        Ok(self.hand_out(plaintext))
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let store = self.counted(Operation::RewrapDataKey);
        let aad = self.wrap_binding(context);
        let (to, key) = store.usable(to, Operation::RewrapDataKey)?;
        let mut plaintext = self.unwrap(&store, wrapped, &aad, Operation::RewrapDataKey)?;
        if !self.capabilities.server_side_rewrap {
            plaintext = self.hand_out(plaintext);
        }
        self.wrap_with(to, key, plaintext.as_slice(), &aad)
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let store = self.counted(Operation::Encrypt);
        let (_, key) = store.usable(key_id, Operation::Encrypt)?;
        check_len(plaintext, Operation::Encrypt)?;
        Ok(key.seal(plaintext, &self.payload_binding(scope), &*self.random)?.0)
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let store = self.counted(Operation::Decrypt);
        let (_, key) = store.usable(key_id, Operation::Decrypt)?;
        let binding = self.payload_binding(scope);
        let (plaintext, _) = key.open(ciphertext, &binding, Operation::Decrypt)?;
        Ok(self.hand_out(plaintext))
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let store = self.counted(Operation::DescribeKey);
        let (key_id, key) = store.find(key_id, Operation::DescribeKey)?;
        Ok(key.describe(key_id, &self.capabilities))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        self.calls.count(Operation::HealthCheck);
        Ok(HealthStatus::healthy("memory never fails on its own"))
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        self.calls.count(Operation::RandomBytes);
        if !self.capabilities.random_bytes {
            return Err(admin::unsupported(Operation::RandomBytes));
        }
        if !(1..=1_024).contains(&len) {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::RandomBytes)
                .with_detail("a KMS gives 1 to 1024 random bytes at a time"));
        }
        let mut bytes = SecureBytes::zeroed(len);
        self.random.fill(bytes.as_mut_slice())?;
        Ok(bytes)
    }
}

fn everything() -> Capabilities {
    let mut all = Capabilities::none();
    all.binds_scope = true;
    all.server_side_rewrap = true;
    all.reports_version = true;
    all.native_rotation = true;
    all.staged_rotation = true;
    all.named_keys = true;
    all.tags = true;
    all.deletion_window_days = Some(7);
    all.offline = true;
    all.verifies_version = true;
    all.disabling = true;
    all.descriptions = true;
    all.rotation_period = true;
    all.random_bytes = true;
    all
}

fn check_len(plaintext: &[u8], operation: Operation) -> Result<()> {
    if plaintext.is_empty() || plaintext.len() > MAX_WRAP_LEN {
        return Err(CryptoError::new(ErrorKind::InvalidInput, operation)
            .with_detail("a KMS takes 1 to 4096 bytes"));
    }
    Ok(())
}
