//! What a suite needs from whoever runs it.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vault_crypto_core::storage::MAX_STORAGE_KEY_LEN;
use vault_crypto_core::{
    AuditEvent, AuditSink, EncryptionProvider, KeyConfig, KeyId, KeyInfo, KmsAdmin, KmsProvider,
    Result, StorageBackend,
};

type Count = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A KMS to hold to the contract of `KmsProvider`.
///
/// The suite rotates `key`, disables and enables it, and schedules and cancels its deletion.
pub struct KmsFixture {
    pub(super) kms: Arc<dyn KmsProvider>,
    pub(super) admin: Arc<dyn KmsAdmin>,
    pub(super) key: KeyId,
    pub(super) other_key: KeyId,
    pub(super) plaintexts: Option<Count>,
}

impl KmsFixture {
    /// `kms` is what is tested; `admin` manages the same keys (the same object, or what stands
    /// below a stack of layers); `key` and `other_key` are enabled and nobody else's.
    #[must_use]
    pub fn new(
        kms: Arc<dyn KmsProvider>,
        admin: Arc<dyn KmsAdmin>,
        key: KeyId,
        other_key: KeyId,
    ) -> Self {
        Self { kms, admin, key, other_key, plaintexts: None }
    }

    /// How many plaintexts the service has handed out to this process so far, counted at the
    /// transport. A backend that declares `server_side_rewrap` must give it.
    #[must_use]
    pub fn with_plaintext_count(mut self, count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.plaintexts = Some(Arc::new(count));
        self
    }
}

impl fmt::Debug for KmsFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsFixture").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A KMS to hold to the contract of `KmsAdmin`. The suite makes its own keys.
pub struct AdminFixture {
    pub(super) admin: Arc<dyn KmsAdmin>,
    prefix: String,
    named: AtomicU64,
    made: Mutex<Vec<KeyId>>,
}

impl AdminFixture {
    /// New keys are named `prefix-1`, `prefix-2`, ...; none of these may exist yet.
    #[must_use]
    pub fn new(admin: Arc<dyn KmsAdmin>, prefix: impl Into<String>) -> Self {
        Self { admin, prefix: prefix.into(), named: AtomicU64::new(0), made: Mutex::default() }
    }

    pub(super) fn fresh_config(&self) -> KeyConfig {
        let number = self.named.fetch_add(1, Ordering::Relaxed) + 1;
        KeyConfig::new(format!("{}-{number}", self.prefix))
    }

    pub(super) async fn create(&self, config: KeyConfig) -> Result<KeyInfo> {
        let info = self.admin.create_key(config).await?;
        self.made().push(info.key_id.clone());
        Ok(info)
    }

    pub(super) async fn fresh_key(&self) -> Result<KeyId> {
        Ok(self.create(self.fresh_config()).await?.key_id)
    }

    /// Schedules the deletion of the keys that the suite made, where the service can.
    pub(super) async fn clean_up(&self) {
        let Some(days) = self.admin.capabilities().deletion_window_days else { return };
        let made = std::mem::take(&mut *self.made());
        for key in made {
            // Some cases end with the deletion pending already; nothing is proved here.
            drop(self.admin.schedule_key_deletion(&key, days).await);
        }
    }

    fn made(&self) -> MutexGuard<'_, Vec<KeyId>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AdminFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminFixture").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// An audit sink to hold to its contract.
pub struct AuditFixture {
    pub(super) sink: Arc<dyn AuditSink>,
    pub(super) read_back: Box<dyn Fn() -> Vec<AuditEvent> + Send + Sync>,
}

impl AuditFixture {
    /// `read_back` reads the log as its reader would after the promised kind of failure: a durable
    /// sink is opened anew from storage.
    #[must_use]
    pub fn new(
        sink: Arc<dyn AuditSink>,
        read_back: impl Fn() -> Vec<AuditEvent> + Send + Sync + 'static,
    ) -> Self {
        Self { sink, read_back: Box::new(read_back) }
    }
}

impl fmt::Debug for AuditFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditFixture")
    }
}

/// An encryption provider to hold to the contract of `EncryptionProvider`.
pub struct ProviderFixture {
    pub(super) provider: Arc<dyn EncryptionProvider>,
    pub(super) impostor: Arc<dyn EncryptionProvider>,
    pub(super) stranger: Arc<dyn EncryptionProvider>,
    pub(super) kms_calls: Count,
}

impl ProviderFixture {
    /// `provider` is what is tested. `impostor` seals under a key with the same id as `provider`'s
    /// but other material (two `MemoryKms` with one store name). `stranger` seals under a key
    /// whose id `provider` does not allow. `kms_calls` counts the calls that `provider` makes.
    #[must_use]
    pub fn new(
        provider: Arc<dyn EncryptionProvider>,
        impostor: Arc<dyn EncryptionProvider>,
        stranger: Arc<dyn EncryptionProvider>,
        kms_calls: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self { provider, impostor, stranger, kms_calls: Arc::new(kms_calls) }
    }
}

impl fmt::Debug for ProviderFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderFixture")
    }
}

type OpenAnew = dyn Fn() -> Opening + Send + Sync;
type Opening = Pin<Box<dyn Future<Output = Result<Arc<dyn StorageBackend>>> + Send>>;

/// A store to hold to the contract of `StorageBackend`. The suite makes its own keys and leaves them.
pub struct StorageFixture {
    pub(super) storage: Arc<dyn StorageBackend>,
    pub(super) other: Arc<dyn StorageBackend>,
    pub(super) open_anew: Option<Box<OpenAnew>>,
    prefix: String,
    named: AtomicU64,
}

impl StorageFixture {
    /// `storage` is what is tested, and `other` is the same store as somebody else has it: a second
    /// connection where there can be one. Every key begins with `prefix`, and none such may exist yet.
    #[must_use]
    pub fn new(
        storage: Arc<dyn StorageBackend>,
        other: Arc<dyn StorageBackend>,
        prefix: impl Into<String>,
    ) -> Self {
        let named = AtomicU64::new(0);
        Self { storage, other, open_anew: None, prefix: prefix.into(), named }
    }

    /// Opens the store as after the end of this process: from what is on disk, or by a new connection.
    /// A backend that declares `durable` must give it.
    #[must_use]
    pub fn with_open_anew<F>(mut self, open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Arc<dyn StorageBackend>>> + Send + 'static,
    {
        self.open_anew = Some(Box::new(move || Box::pin(open())));
        self
    }

    pub(super) fn fresh(&self, name: &str) -> String {
        let number = self.named.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}{number}-{name}", self.prefix)
    }

    pub(super) fn longest(&self) -> String {
        let key = self.fresh("longest-");
        let missing = MAX_STORAGE_KEY_LEN.saturating_sub(key.len());
        key + &"k".repeat(missing)
    }
}

impl fmt::Debug for StorageFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageFixture").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
