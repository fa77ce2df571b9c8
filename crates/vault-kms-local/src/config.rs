//! Which store to open and with what: folder, master secret, time and randomness.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::locked::LockedPool;
use vault_crypto_core::{Clock, RandomSource, SystemClock, SystemRandom};

use crate::MasterSource;

/// Settings of a [`LocalKms`](crate::LocalKms).
///
/// By default the master secret is a file in the folder, and a store that is made gets a key named
/// `default`.
pub struct LocalKmsConfig {
    pub(crate) dir: PathBuf,
    pub(crate) master: MasterSource,
    pub(crate) initial_key: Option<String>,
    pub(crate) cost: Argon2Params,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn RandomSource>,
    pub(crate) memory: LockedPool,
}

impl LocalKmsConfig {
    /// The store in the folder `dir`, which is the store's alone.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            master: MasterSource::File,
            initial_key: Some("default".to_owned()),
            cost: Argon2Params::default(),
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom::new()),
            memory: LockedPool::process(),
        }
    }

    /// Takes the master secret from `master`.
    #[must_use]
    pub fn with_master(mut self, master: MasterSource) -> Self {
        self.master = master;
        self
    }

    /// Names the key that a new store begins with; `None` for an empty store.
    #[must_use]
    pub fn with_initial_key(mut self, name: Option<String>) -> Self {
        self.initial_key = name;
        self
    }

    /// What a guess at the passphrase of a new store or backup costs: Argon2id with at least 19 MiB and
    /// 2 passes, at most 1 GiB, 16 passes and 16 lanes. The default is 64 MiB, 3 passes, 4 lanes.
    #[must_use]
    pub fn with_passphrase_cost(mut self, cost: Argon2Params) -> Self {
        self.cost = cost;
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where the keys lie while the store is open: the master secret, and every version of every key. By
    /// default the pool of the process, which envelopes share.
    ///
    /// A pool that requires locked memory needs room for them three times over, since a changed key file
    /// is read beside the keys that are in use: 32 bytes each.
    #[must_use]
    pub fn with_memory(mut self, pool: LockedPool) -> Self {
        self.memory = pool;
        self
    }

    /// Draws keys and nonces. It must be as good as the system's generator.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn RandomSource>) -> Self {
        self.random = random;
        self
    }
}

impl fmt::Debug for LocalKmsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKmsConfig")
            .field("dir", &self.dir)
            .field("master", &self.master)
            .field("initial_key", &self.initial_key)
            .field("cost", &self.cost)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}
