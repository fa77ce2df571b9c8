//! Small values under names, changed only by whoever knows the version that is there: where wrapped
//! branch keys and the cursors of long jobs are kept.
//!
//! A backend sees what it stores, so nothing secret is put into one: keys go in wrapped. Left to others:
//! messages and files, which are streams; search; transactions over several keys.

mod entry;
mod limits;
mod memory;

pub use entry::{Expected, StorageCapabilities, StorageVersion, Stored, StoredEntry, StoredPage};
pub use limits::{
    MAX_STORAGE_KEY_LEN, MAX_STORAGE_PAGE_LEN, MAX_STORED_VALUE_LEN, check_key, check_list,
    check_put, conflict,
};
pub use memory::MemoryStorage;

use async_trait::async_trait;

use crate::Result;

/// Keeps versioned values under keys.
///
/// A key has 1 to [`MAX_STORAGE_KEY_LEN`] bytes of `A-Z a-z 0-9 . _ - / :`; a value has up to
/// [`MAX_STORED_VALUE_LEN`] bytes. Every sentence under `# Behavior` is a case of the conformance suite in
/// `vault-testkit`. What a backend cannot do it declares in [`capabilities`](Self::capabilities).
///
/// A `put` or `delete` whose future was dropped, or that ended with `TimedOut`, `Unavailable` or `Io`, may
/// have happened: read before you repeat. It never happens in part.
#[async_trait]
pub trait StorageBackend: Send + Sync {
    /// A short stable name of the kind of store: `memory`, `redb`, `postgres`.
    fn storage_type(&self) -> &'static str;

    /// What this backend can do.
    fn capabilities(&self) -> StorageCapabilities;

    /// The value under `key`.
    ///
    /// # Behavior
    /// - A key that holds nothing answers `None`.
    /// - It answers the value and version of the last change, whoever made it.
    /// - A key that breaks the rules is `InvalidInput`.
    ///
    /// # Errors
    /// As under `# Behavior`, or what the store says.
    async fn get(&self, key: &str) -> Result<Option<Stored>>;

    /// Stores `value` under `key` if the key holds what is `expected`, and answers the new version.
    ///
    /// # Behavior
    /// - [`Expected::Absent`] makes a key, [`Expected::Version`] replaces the value of that version.
    /// - A key that holds anything else is `Conflict`, and nothing changes.
    /// - Of calls that race with one expectation exactly one succeeds; the others are `Conflict`.
    /// - The versions of a key only grow and none comes twice, even after the key was deleted.
    /// - Up to 65,536 bytes of any kind come back as they were, none at all included.
    /// - A longer value is `LimitExceeded`, and nothing changes; a key that breaks the rules is `InvalidInput`.
    /// - Where [`StorageCapabilities::durable`] holds, what was answered with `Ok` is there for whoever opens the store anew.
    ///
    /// # Errors
    /// As under `# Behavior`, or what the store says.
    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion>;

    /// Removes `key` if it holds the version that is `expected`.
    ///
    /// # Behavior
    /// - Afterwards `get` answers `None`, and the key can be made anew.
    /// - A key that holds another version or nothing is `Conflict`, and nothing changes.
    /// - A key that breaks the rules cannot be deleted: `InvalidInput`.
    ///
    /// # Errors
    /// As under `# Behavior`, or what the store says.
    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()>;

    /// One page of the keys that begin with `prefix`, from the first one after `after`.
    ///
    /// # Behavior
    /// - Walking all pages names every key with the prefix and no other, once, with its version, ascending in the order of bytes.
    /// - The page begins strictly after `after`, whether that key exists, or has the prefix, or not.
    /// - A page has `limit` keys unless it is the last, and `more` is true unless it is the last.
    /// - Keys that stay are named once each, whatever is made and deleted between the pages.
    /// - A limit outside 1 to 1,000, or a prefix or `after` that breaks the rules of keys, is `InvalidInput`; an empty prefix means all keys.
    ///
    /// # Errors
    /// As under `# Behavior`, or what the store says.
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StoredPage>;
}
