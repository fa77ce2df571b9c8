//! What the tests share: a folder with a store, a wall clock moved by hand, short names for errors.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::{
    Clock, ErrorKind, KeyId, Result, Scope, SecureBytes, SecureString, Sleep, SystemClock,
    WrapContext,
};
use vault_kms_local::{LocalKms, LocalKmsConfig};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A wall clock that stands still until it is moved; waiting for a lock takes real time.
#[derive(Debug, Clone)]
pub(crate) struct WallClock(Arc<Mutex<SystemTime>>);

impl WallClock {
    pub(crate) fn new() -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self(Arc::new(Mutex::new(start)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for WallClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    fn monotonic(&self) -> Duration {
        SystemClock::new().monotonic()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        SystemClock::new().sleep(duration)
    }
}

/// A store in a folder of its own.
pub(crate) struct Store {
    folder: TempDir,
    pub(crate) clock: WallClock,
}

impl Store {
    /// With its initial key `default`.
    pub(crate) fn new() -> (Self, LocalKms) {
        let store = Self::absent();
        let (kms, _) = LocalKms::open_or_create(store.config()).unwrap();
        (store, kms)
    }

    pub(crate) fn absent() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), clock: WallClock::new() }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> LocalKmsConfig {
        LocalKmsConfig::new(self.dir())
            .with_clock(Arc::new(self.clock.clone()))
            .with_passphrase_cost(cheap())
    }

    pub(crate) fn open(&self) -> Result<LocalKms> {
        LocalKms::open(self.config())
    }
}

/// The least that is taken, so that tests are quick.
pub(crate) fn cheap() -> Argon2Params {
    Argon2Params::new(19_456, 2, 1)
}

pub(crate) fn passphrase(text: &str) -> SecureString {
    SecureString::new(text)
}

pub(crate) fn key(name: &str) -> KeyId {
    KeyId::new(name)
}

pub(crate) fn scope(tenant: &str) -> Scope {
    Scope::new([("tenant", tenant)]).unwrap()
}

pub(crate) fn acme() -> WrapContext {
    WrapContext::data_key(scope("acme"))
}

pub(crate) fn secret(bytes: &[u8]) -> SecureBytes {
    SecureBytes::new(bytes.to_vec())
}

/// The kind of a failure; fails the test on success.
pub(crate) fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("this must fail"),
        Err(error) => error.kind(),
    }
}

/// The sentence of a failure.
pub(crate) fn sentence<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("this must fail"),
        Err(error) => error.to_string(),
    }
}

/// The names in the store's folder, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
