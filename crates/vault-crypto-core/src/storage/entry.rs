//! What a store holds and answers.

use std::fmt;

/// Which state of a key a change was made in. Versions of one key only grow; between them there may be
/// gaps, and nothing follows from a comparison of two keys' versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageVersion(u64);

impl StorageVersion {
    /// The version that a backend counts as `number`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StorageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a key must hold for a `put` to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a backend must decide on every expectation there is")]
pub enum Expected {
    /// Nothing.
    Absent,
    /// A value of this version.
    Version(StorageVersion),
}

impl Expected {
    /// Whether `found`, the version that the key holds, is what is expected.
    #[must_use]
    pub fn is_met_by(self, found: Option<StorageVersion>) -> bool {
        match self {
            Self::Absent => found.is_none(),
            Self::Version(version) => found == Some(version),
        }
    }
}

/// A value and the version that it is.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The bytes.
    pub value: Vec<u8>,
    /// Their version, to be named when they are replaced or deleted.
    pub version: StorageVersion,
}

impl Stored {
    /// `value` in `version`.
    #[must_use]
    pub fn new(value: impl Into<Vec<u8>>, version: StorageVersion) -> Self {
        Self { value: value.into(), version }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value is nobody's business in a log, though it should be no secret.
        f.debug_struct("Stored")
            .field("value", &format_args!("[{} bytes]", self.value.len()))
            .field("version", &self.version)
            .finish()
    }
}

/// A key as a page names it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEntry {
    /// The key.
    pub key: String,
    /// The version that it holds.
    pub version: StorageVersion,
}

impl StoredEntry {
    /// `key` holding `version`.
    #[must_use]
    pub fn new(key: impl Into<String>, version: StorageVersion) -> Self {
        Self { key: key.into(), version }
    }
}

impl fmt::Debug for StoredEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key of a store is a name, and no secret.
        f.debug_struct("StoredEntry")
            .field("key", &self.key)
            .field("version", &self.version)
            .finish()
    }
}

/// Some of a store's keys, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredPage {
    /// The keys.
    pub entries: Vec<StoredEntry>,
    /// Whether there are keys after the last one: ask again with that one as `after`.
    pub more: bool,
}

impl StoredPage {
    /// The first `limit` of `entries`, which a backend reads up to one further to know of more.
    #[must_use]
    pub fn first(entries: impl IntoIterator<Item = StoredEntry>, limit: usize) -> Self {
        let mut entries = entries.into_iter();
        let page = entries.by_ref().take(limit).collect();
        Self { entries: page, more: entries.next().is_some() }
    }
}

/// What a store can do. A test or a policy asks this, never which backend it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StorageCapabilities {
    /// What was answered with `Ok` survives the end of the process, however it ends.
    pub durable: bool,
    /// Other processes may hold the same store open.
    pub shared: bool,
}

impl StorageCapabilities {
    /// Nothing beyond the methods themselves.
    #[must_use]
    pub const fn none() -> Self {
        Self { durable: false, shared: false }
    }

    /// As these, with `durable` as said.
    #[must_use]
    pub const fn with_durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// As these, with `shared` as said.
    #[must_use]
    pub const fn with_shared(mut self, shared: bool) -> Self {
        self.shared = shared;
        self
    }
}
