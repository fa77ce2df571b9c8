//! Data keys out of branch keys: for sealing under the newest version, for opening under the version that
//! a record names. Branch keys come from memory, else from the storage and the KMS.

use std::sync::Arc;
use std::time::Duration;

use vault_crypto_core::derive::branch_name;
use vault_crypto_core::header::DATA_KEY_ID_LEN;
use vault_crypto_core::{
    CryptoError, ErrorKind, Operation, RandomSource as _, Result, SystemRandom,
};

use super::memory::{HeldKey, Memory};
use super::place::Name;
use super::{Branches, entry};
use crate::cache::{Fetch, Flights, KeySource, SourcedKey};
use crate::compact::CompactPrefix;
use crate::{EnvelopeEncryption, Invalidation};

/// How often a key is looked up that somebody invalidates at the same time.
const ROUNDS: usize = 3;
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
            for _ in 0..ROUNDS {
                let newest = branches.newest(&envelope).await?;
                let prefix = CompactPrefix {
                    suite: envelope.shared.record_suite,
                    padded: !envelope.shared.padding.is_none(),
                    branch: newest.version,
                    id,
                };
                if let Some(sourced) = sourced(&newest, &prefix, &envelope) {
                    return Ok(sourced);
                }
            }
            Err(wiped())
        })
    }

    fn find(&self, envelope: EnvelopeEncryption, front: Arc<[u8]>) -> Fetch {
        let branches = self.0.clone();
        Box::pin(async move {
            let (prefix, _) = CompactPrefix::split(&front)?;
            check_prefix(&prefix, &envelope)?;
            for _ in 0..ROUNDS {
                let key = branches.version(&envelope, prefix.branch).await?;
                if let Some(sourced) = sourced(&key, &prefix, &envelope) {
                    return Ok(sourced);
                }
            }
            Err(wiped())
        })
    }

    fn invalidate(&self, what: &Invalidation) {
        if let Ok(memory) = self.0.memory() {
            memory.invalidate(what);
        }
    }
}

/// `None` where the branch key was wiped since it was looked up.
fn sourced(
    key: &HeldKey,
    prefix: &CompactPrefix,
    envelope: &EnvelopeEncryption,
) -> Option<SourcedKey> {
    Some(SourcedKey {
        secret: key.data_key(&prefix.id, &envelope.scope)?,
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
        match self.to_seal(envelope, &name)? {
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
        if let Some(key) = self.held(envelope, &name, version)? {
            return Ok(key);
        }
        if self.memory()?.knows_missing(&name, version, envelope.shared.clock.monotonic()) {
            self.counts.refusals.add_one();
            return Err(unknown());
        }
        self.ask(envelope, name, Which::Version(version)).await
    }

    /// The key to seal with, where it is at hand and nobody needs to look for a newer one.
    fn to_seal(&self, envelope: &EnvelopeEncryption, name: &Name) -> Result<Option<Arc<HeldKey>>> {
        let now = envelope.shared.clock.monotonic();
        Ok(self.memory()?.to_seal(name, now).filter(|key| still_allowed(envelope, key)))
    }

    /// A key that is at hand. That it may be used is asked each time: what unwrapped it may not be
    /// allowed any more.
    fn held(
        &self,
        envelope: &EnvelopeEncryption,
        name: &Name,
        version: u32,
    ) -> Result<Option<Arc<HeldKey>>> {
        let now = envelope.shared.clock.monotonic();
        Ok(self.memory()?.key(name, version, now).filter(|key| still_allowed(envelope, key)))
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
        // Between the look of whoever asks and the seat taken another flight may have landed.
        if let Some(key) = self.held(envelope, name, version)? {
            return Ok(key);
        }
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
        if let Some(key) = self.to_seal(envelope, name)? {
            return Ok(key);
        }
        let memory = self.memory()?;
        let looked = loop {
            let seen = memory.newest_seen(name);
            let looked = self.look(envelope, name, seen).await;
            // A record that was opened meanwhile may have named a newer one.
            if !looked.as_ref().is_ok_and(|key| key.version < memory.newest_seen(name)) {
                break looked;
            }
        };
        let now = envelope.shared.clock.monotonic();
        match looked {
            Ok(key) => {
                memory.postpone(name, now + self.settings.refresh);
                Ok(key)
            }
            // A storage or a KMS that is away for a while stops nobody who has a key.
            Err(error) if error.is_retryable() => {
                let held = self.held(envelope, name, memory.newest_seen(name))?;
                let key = held.ok_or(error)?;
                memory.postpone(name, now + LOOK_AGAIN.min(self.settings.refresh));
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
        if let Some(key) = self.held(envelope, name, newest)? {
            return Ok(key);
        }
        self.load(envelope, name, newest).await?.ok_or_else(put_back)
    }
}

fn still_allowed(envelope: &EnvelopeEncryption, key: &HeldKey) -> bool {
    envelope.shared.allowed.still_allow(&key.opened_by)
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
