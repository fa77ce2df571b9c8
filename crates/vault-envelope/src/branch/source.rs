//! Data keys out of branch keys: for sealing under the newest version, for opening under the version that
//! a record names. Branch keys come from memory, else from the storage and the KMS.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::derive::branch_name;
use vault_crypto_core::header::DATA_KEY_ID_LEN;
use vault_crypto_core::locked::{Locked, LockedPool};
use vault_crypto_core::{
    CryptoError, DATA_KEY_LEN, ErrorKind, Operation, RandomSource as _, Result, SystemRandom,
};

use super::entry::Opened;
use super::memory::{HeldKey, Memory};
use super::place::Name;
use super::store::Written;
use super::{Branches, entry};
use crate::cache::{Fetch, Flights, KeySource, SourcedKey};
use crate::compact::CompactPrefix;
use crate::{EnvelopeEncryption, Invalidation};

/// After a failed look for a newer version, the one in memory serves this much longer.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long a list of versions is believed when unknown ones are asked for.
const BELIEVE_LIST: Duration = Duration::from_secs(1);

/// The branch keys of an envelope as a source of data keys.
#[derive(Debug, Clone)]
pub(crate) struct BranchSource(pub(crate) Arc<Branches>);

impl KeySource for BranchSource {
    fn make(&self, envelope: EnvelopeEncryption) -> Fetch {
        let branches = self.0.clone();
        Box::pin(async move {
            let mut id = [0; DATA_KEY_ID_LEN];
            SystemRandom::new().fill(&mut id)?;
            let newest = branches.newest(&envelope).await?;
            let prefix = CompactPrefix {
                suite: envelope.shared.record_suite,
                padded: !envelope.shared.padding.is_none(),
                branch: newest.version,
                id,
            };
            sourced(&newest, &prefix, &envelope)
        })
    }

    fn find(&self, envelope: EnvelopeEncryption, front: Arc<[u8]>) -> Fetch {
        let branches = self.0.clone();
        Box::pin(async move {
            let (prefix, _) = CompactPrefix::split(&front)?;
            check_prefix(&prefix, &envelope)?;
            let key = branches.version(&envelope, prefix.branch).await?;
            sourced(&key, &prefix, &envelope)
        })
    }

    fn invalidate(&self, what: &Invalidation) {
        if let Ok(memory) = self.0.memory() {
            memory.invalidate(what);
        }
    }
}

fn sourced(
    key: &HeldKey,
    prefix: &CompactPrefix,
    envelope: &EnvelopeEncryption,
) -> Result<SourcedKey> {
    Ok(SourcedKey {
        secret: key.data_key(&prefix.id, &envelope.scope).ok_or_else(wiped)?,
        front: prefix.encode().to_vec(),
        suite: prefix.suite,
        padded: prefix.padded,
        opened_by: Some(key.opened_by.clone()),
    })
}

/// What a reader refuses before it asks anybody (docs/FORMAT.md section 8.2).
fn check_prefix(prefix: &CompactPrefix, envelope: &EnvelopeEncryption) -> Result<()> {
    let refused = |kind, why| Err(CryptoError::new(kind, Operation::Open).with_detail(why));
    if !envelope.shared.suites.contains(&prefix.suite) {
        let why = "the message's suite is not among the allowed ones";
        return refused(ErrorKind::Unsupported, why);
    }
    if prefix.branch == 0 {
        let why = "the record was sealed under a stored key; open it with that";
        return refused(ErrorKind::KeyNotAllowed, why);
    }
    Ok(())
}

/// What one process has of the branch keys.
pub(super) struct Own {
    pub(super) memory: Memory,
    flights: Arc<Flights<Question, Answer>>,
}

/// Which version of which branch is asked for, and after how many invalidations: who asks after one
/// does not join those who asked before.
type Question = (Name, Which, u64);
type Answer = Result<Arc<HeldKey>, Arc<CryptoError>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    /// To seal with.
    Newest,
    /// To open with.
    Version(u32),
}

impl Own {
    pub(super) fn new() -> Self {
        Self { memory: Memory::default(), flights: Flights::new(|| Err(Arc::new(wiped()))) }
    }
}

impl Branches {
    /// This process's.
    pub(super) fn own(&self) -> Result<&Own> {
        self.own.get().ok_or_else(|| {
            CryptoError::new(ErrorKind::Unsupported, Operation::KeyStore)
                .with_detail("forks are nested too deep; build the envelope anew in this process")
        })
    }

    pub(super) fn memory(&self) -> Result<&Memory> {
        Ok(&self.own()?.memory)
    }

    /// The key to seal with in the scope of `envelope`.
    pub(super) async fn newest(
        self: &Arc<Self>,
        envelope: &EnvelopeEncryption,
    ) -> Result<Arc<HeldKey>> {
        let name = branch_name(&envelope.scope);
        match self.memory()?.to_seal(&name, envelope.shared.clock.monotonic()) {
            Some(key) => Ok(key),
            None => self.ask(envelope, name, Which::Newest).await,
        }
    }

    /// The key of one version in the scope of `envelope`.
    pub(super) async fn version(
        self: &Arc<Self>,
        envelope: &EnvelopeEncryption,
        version: u32,
    ) -> Result<Arc<HeldKey>> {
        let name = branch_name(&envelope.scope);
        let (memory, now) = (self.memory()?, envelope.shared.clock.monotonic());
        if let Some(key) = memory.key(&name, version, now) {
            return Ok(key);
        }
        if memory.knows_missing(&name, version, now) {
            self.counts.refusals.add_one();
            return Err(unknown());
        }
        self.ask(envelope, name, Which::Version(version)).await
    }

    /// Storage and KMS are asked once, however many wait.
    async fn ask(
        self: &Arc<Self>,
        envelope: &EnvelopeEncryption,
        name: Name,
        which: Which,
    ) -> Result<Arc<HeldKey>> {
        let own = self.own()?;
        let question = (name, which, own.memory.invalidations());
        let (seat, _) = own.flights.join(question, || {
            let (branches, envelope) = (self.clone(), envelope.clone());
            Box::pin(async move {
                let answer = match which {
                    Which::Newest => branches.refresh(&envelope, &name).await,
                    Which::Version(version) => branches.fetch(&envelope, &name, version).await,
                };
                answer.map_err(Arc::new)
            })
        });
        seat.await.map_err(|error| error.duplicate())
    }

    async fn fetch(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
    ) -> Result<Arc<HeldKey>> {
        if let Some(key) = self.load(envelope, name, version).await? {
            return Ok(key);
        }
        // So that a flood of made-up versions costs one list a second, not a question each.
        if let Some(versions) = self.all_versions(name).await? {
            let until = envelope.shared.clock.monotonic() + BELIEVE_LIST;
            self.memory()?.list(name, versions, until);
        }
        Err(unknown())
    }

    /// Looks for the newest version, and makes the first one where there is none.
    async fn refresh(&self, envelope: &EnvelopeEncryption, name: &Name) -> Result<Arc<HeldKey>> {
        let seen = self.memory()?.newest_seen(name);
        let now = envelope.shared.clock.monotonic();
        self.memory()?.sweep(now);
        match self.look(envelope, name, seen).await {
            Ok(key) => {
                self.memory()?.postpone(name, now + self.settings.refresh);
                Ok(key)
            }
            // A storage or a KMS that is away for a while stops nobody who has a key.
            Err(error) if error.is_retryable() => {
                let key = self.memory()?.key(name, seen, now).ok_or(error)?;
                let wait = LOOK_AGAIN.min(self.settings.refresh);
                self.memory()?.postpone(name, now + wait);
                Ok(key)
            }
            Err(error) => Err(error),
        }
    }

    async fn look(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        seen: u32,
    ) -> Result<Arc<HeldKey>> {
        let newest = match self.newest_version(name, seen).await? {
            None if seen == 0 => return self.make_version(envelope, name, 1).await,
            Some(newest) if newest >= seen => newest,
            _ => return Err(put_back()),
        };
        let now = envelope.shared.clock.monotonic();
        if let Some(key) = self.memory()?.key(name, newest, now) {
            return Ok(key);
        }
        self.load(envelope, name, newest).await?.ok_or_else(put_back)
    }

    /// Makes a version that nobody has made; if somebody was first, takes theirs.
    pub(super) async fn make_version(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
    ) -> Result<Arc<HeldKey>> {
        let began = self.memory()?.invalidations();
        self.counts.made.add_one();
        let (made, entry) = envelope.new_branch_entry(name, version).await?;
        // Stored before its first use: nothing is sealed under a key that nobody can find.
        let opened = match self.write(name, version, &entry).await? {
            Written::Ours => made,
            Written::Theirs(entry) => self.open(envelope, &entry, name, version).await?,
        };
        self.keep(envelope, name, version, opened, began)
    }

    async fn load(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
    ) -> Result<Option<Arc<HeldKey>>> {
        let began = self.memory()?.invalidations();
        let Some(entry) = self.read(name, version).await? else { return Ok(None) };
        let opened = self.open(envelope, &entry, name, version).await?;
        self.keep(envelope, name, version, opened, began).map(Some)
    }

    async fn open(
        &self,
        envelope: &EnvelopeEncryption,
        entry: &[u8],
        name: &Name,
        version: u32,
    ) -> Result<Opened> {
        self.counts.unwraps.add_one();
        envelope.open_branch_entry(entry, name, version).await
    }

    fn keep(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
        opened: Opened,
        began: u64,
    ) -> Result<Arc<HeldKey>> {
        let mut draw = [0];
        envelope.shared.random.fill(&mut draw)?;
        let [draw] = draw;
        let max_age = self.settings.max_age;
        let less = max_age / 2_560 * u32::from(draw);
        let key = Arc::new(HeldKey {
            version,
            opened_by: opened.opened_by,
            key: self.place(&opened.key)?,
            expires: envelope.shared.clock.monotonic() + (max_age - less),
        });
        self.memory()?.admit(name, &key, began, self.settings.capacity);
        Ok(key)
    }

    /// Puts a branch key into locked memory; in a full pool older ones give way.
    fn place(&self, key: &[u8; DATA_KEY_LEN]) -> Result<Locked<[u8; DATA_KEY_LEN]>> {
        let pool = LockedPool::process();
        loop {
            match pool.store_with(|| *key) {
                Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                    if !self.memory()?.evict() {
                        return Err(error);
                    }
                }
                stored => return stored,
            }
        }
    }
}

#[cold]
fn unknown() -> CryptoError {
    CryptoError::new(ErrorKind::KeyNotFound, Operation::Open)
        .with_detail("the storage has no such version of the scope's branch key")
}

#[cold]
pub(super) fn put_back() -> CryptoError {
    entry::damaged(
        "the storage has lost a version of the branch key that this process has seen: it was put back \
         in time; nothing is sealed under an older version",
    )
    .in_operation(Operation::Seal)
}

/// Invalidated between two lines of this file, or this process was forked there.
#[cold]
pub(super) fn wiped() -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, Operation::KeyStore)
        .with_detail("the branch key was invalidated just now; try again")
}
