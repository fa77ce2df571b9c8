//! Any store with faults in front.
//!
//! What it cannot show: how a real store classifies its own failures; that is each backend's test.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use vault_crypto_core::storage::{
    Expected, StorageCapabilities, StorageVersion, Stored, StoredPage,
};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, StorageBackend};

use crate::Faults;

/// A store with [`Faults`] in front: `FaultyStorage::new(storage, faults.clone())`.
///
/// [`Fault::FailAfter`](crate::Fault::FailAfter) on a `put` is a change that happened and whose answer
/// was lost.
pub struct FaultyStorage<S: ?Sized = dyn StorageBackend> {
    faults: Faults,
    storage: Arc<S>,
}

impl<S: StorageBackend + ?Sized> FaultyStorage<S> {
    /// `storage` as seen through `faults`, which clones share.
    #[must_use]
    pub fn new(storage: Arc<S>, faults: Faults) -> Self {
        Self { faults, storage }
    }
}

fn error(operation: Operation) -> impl Fn(ErrorKind) -> CryptoError {
    move |kind| CryptoError::new(kind, operation)
}

#[async_trait]
impl<S: StorageBackend + ?Sized> StorageBackend for FaultyStorage<S> {
    fn storage_type(&self) -> &'static str {
        self.storage.storage_type()
    }

    fn capabilities(&self) -> StorageCapabilities {
        self.storage.capabilities()
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let operation = Operation::StorageGet;
        self.faults.meet(operation, error(operation), || self.storage.get(key)).await
    }

    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion> {
        let operation = Operation::StoragePut;
        let put = || self.storage.put(key, value, expected);
        self.faults.meet(operation, error(operation), put).await
    }

    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()> {
        let operation = Operation::StorageDelete;
        self.faults.meet(operation, error(operation), || self.storage.delete(key, expected)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StoredPage> {
        let operation = Operation::StorageList;
        let list = || self.storage.list(prefix, after, limit);
        self.faults.meet(operation, error(operation), list).await
    }
}

impl<S: ?Sized> fmt::Debug for FaultyStorage<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStorage").field("faults", &self.faults).finish_non_exhaustive()
    }
}
