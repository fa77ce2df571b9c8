//! For operators: a new version of a branch key, which branches there are, and moving their entries to
//! the current version of the KMS's key.
//!
//! Left to others: when to do so (a schedule), and whom the entries are for (`recipients`).

use std::fmt;
use std::sync::Arc;

use vault_crypto_core::derive::branch_name;
use vault_crypto_core::header::{Header, parse};
use vault_crypto_core::storage::{Expected, Stored};
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, KeyVersion, Operation, Result, Scope};

use super::memory::Memory;
use super::place::{self, Name, ROOT};
use super::{BranchStats, Branches, entry};
use crate::{EnvelopeEncryption, Invalidation, Rewrapped};

/// Names per page while entries are rewrapped.
const PAGE: usize = 100;
/// How often an entry is tried again that somebody else changes at the same time.
const TRIES: usize = 4;

/// One stored version of a branch key, as its entry says. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Branch {
    /// The branch's name, which follows from its scope: 32 hexadecimal digits.
    pub name: String,
    /// Which version of the branch key.
    pub version: u32,
    /// The scope it serves; `None` if the envelope does not store scopes.
    pub scope: Option<Scope>,
    /// The keys that wrap it, and their versions as stored.
    pub wrapped_by: Vec<(KeyId, KeyVersion)>,
}

/// Some of the stored branch keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchPage {
    /// Ascending by name and version.
    pub branches: Vec<Branch>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// What became of one entry.
#[derive(Debug)]
#[non_exhaustive]
pub struct BranchRewrap {
    /// The branch's name.
    pub name: String,
    /// Which version of the branch key.
    pub version: u32,
    /// Whether it was moved; an entry that failed is as it was.
    pub outcome: Result<Rewrapped<()>>,
}

/// How many entries there were of which kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BranchRewraps {
    /// Moved to the current version.
    pub moved: u64,
    /// Current already, as the KMS confirmed.
    pub unchanged: u64,
    /// Failed, and as they were.
    pub failed: u64,
    /// Of scopes outside this envelope's or sealed for other keys, and as they were.
    pub elsewhere: u64,
}

impl EnvelopeEncryption {
    /// Makes a new version of this scope's branch key and answers its number. Of several who rotate at
    /// once one makes it, and all get its number.
    ///
    /// This envelope seals under it at once, other processes when they next look. Records of older
    /// versions stay as they are, and open as long as their entries are kept.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] without [`branch_keys`](crate::EnvelopeBuilder::branch_keys),
    /// [`ErrorKind::StoreDamaged`] for a storage that was put back in time, or the error of storage or KMS.
    /// After `TimedOut` or `Unavailable` the new version may be there.
    pub async fn rotate_branch(&self) -> Result<u32> {
        let branches = self.branches_or_refuse()?;
        let name = branch_name(&self.scope);
        let seen = branches.memory()?.newest_seen(&name);
        let newest = branches.newest_version(&name, seen).await?.unwrap_or(0);
        if newest < seen {
            return Err(super::source::put_back());
        }
        let next = newest.checked_add(1).ok_or_else(|| {
            CryptoError::new(ErrorKind::LimitExceeded, Operation::RotateKey)
                .with_detail("the branch has 2^32 - 1 versions")
        })?;
        let key = branches.make_version(self, &name, next).await?;
        let now = self.shared.clock.monotonic();
        branches.memory()?.postpone(&name, now + branches.settings.refresh);
        // The data keys alone: their branch key stays at hand for what is already sealed.
        if let Some(holdings) = self.shared.cache.holdings() {
            holdings.invalidate(&Invalidation::Scope(self.scope.clone()));
        }
        Ok(key.version)
    }

    /// Which branch keys the storage has, at most `limit` (1 to 1,000) of them: those of all scopes of
    /// all envelopes that share it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] without [`branch_keys`](crate::EnvelopeBuilder::branch_keys) or for a bad
    /// limit, or the storage's error.
    pub async fn branches(&self, after: Option<&str>, limit: usize) -> Result<BranchPage> {
        let branches = self.branches_or_refuse()?;
        let page = branches.page(ROOT, after, limit).await?;
        let next = page.entries.last().filter(|_| page.more).map(|last| last.key.clone());
        let mut found = Vec::new();
        for stored in page.entries {
            let Some((name, version)) = place::parse(&stored.key) else { continue };
            let Some(bytes) = branches.read(&name, version).await? else { continue };
            let header = parse(&bytes).ok().map(|parsed| parsed.header);
            found.push(describe(&name, version, header));
        }
        Ok(BranchPage { branches: found, next })
    }

    /// Moves the entries of all branches in this envelope's scope and narrower ones to the current
    /// version of the keys that wrap them, and says through `each` what became of each. No record
    /// changes, and no branch key.
    ///
    /// This is what a rotation at the KMS asks of a fleet that uses branch keys. It can be stopped and
    /// begun again at any time; an entry is replaced as a whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] without [`branch_keys`](crate::EnvelopeBuilder::branch_keys), or the
    /// storage's error when it cannot be listed. What fails for one entry is in its `outcome`.
    pub async fn rewrap_branches(
        &self,
        each: impl FnMut(BranchRewrap) + Send,
    ) -> Result<BranchRewraps> {
        self.rewrap_all(false, each).await
    }

    /// As [`rewrap_branches`](Self::rewrap_branches), and entries that this envelope can open but does
    /// not seal for move to its own keys: that opens *every* record of these branches to whoever may
    /// use the new keys.
    ///
    /// # Errors
    /// As [`rewrap_branches`](Self::rewrap_branches).
    pub async fn move_branches(
        &self,
        each: impl FnMut(BranchRewrap) + Send,
    ) -> Result<BranchRewraps> {
        self.rewrap_all(true, each).await
    }

    async fn rewrap_all(
        &self,
        may_move: bool,
        mut each: impl FnMut(BranchRewrap) + Send,
    ) -> Result<BranchRewraps> {
        let branches = self.branches_or_refuse()?;
        let mut counts = BranchRewraps::default();
        let mut after: Option<String> = None;
        loop {
            let page = branches.page(ROOT, after.as_deref(), PAGE).await?;
            for stored in &page.entries {
                let Some((name, version)) = place::parse(&stored.key) else { continue };
                let outcome = self.rewrap_branch(branches, &name, version, may_move).await;
                if let Some(outcome) = counts.count(outcome) {
                    each(BranchRewrap { name: place::hex(&name), version, outcome });
                }
            }
            match page.entries.into_iter().next_back() {
                Some(last) if page.more => after = Some(last.key),
                _ => return Ok(counts),
            }
        }
    }

    /// What storage and KMS were asked for branch keys so far; zeros without branch keys.
    #[must_use]
    pub fn branch_stats(&self) -> BranchStats {
        let branches = self.shared.branches.as_ref();
        branches
            .map(|all| all.counts.read(all.memory().map_or(0, Memory::held)))
            .unwrap_or_default()
    }

    pub(super) fn branches_or_refuse(&self) -> Result<&Arc<Branches>> {
        self.shared.branches.as_ref().ok_or_else(|| {
            CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(
                "this envelope keeps no branch keys; build it with EnvelopeBuilder::branch_keys",
            )
        })
    }

    /// One entry; `None` if its scope is not within this envelope's, or its keys are none of ours.
    async fn rewrap_branch(
        &self,
        branches: &Branches,
        name: &Name,
        version: u32,
        may_move: bool,
    ) -> Result<Option<Rewrapped<()>>> {
        let place = place::of(name, version);
        let storage = &branches.settings.storage;
        for _ in 0..TRIES {
            branches.counts.gets.add_one();
            // Deleted meanwhile.
            let Some(Stored { value, version: expected, .. }) = storage.get(&place).await? else {
                return Ok(None);
            };
            let parsed = entry::parse_entry(&value, name, version)?;
            let Some(scope) = self.scope_of(&parsed.header, name)? else { return Ok(None) };
            let own = Self { shared: self.shared.clone(), scope };
            let ours = self.is_recipient(&parsed.header).await?;
            let rewrapped = match (ours, may_move) {
                (true, _) => own.rewrap_header(&value).await,
                (false, true) => own.rewrap_shared(&value, &own.scope).await,
                (false, false) => return Ok(None),
            };
            let new = match rewrapped {
                Ok(Rewrapped::Changed(new)) => new,
                Ok(Rewrapped::Unchanged) => return Ok(Some(Rewrapped::Unchanged)),
                // Of somebody who shares the storage: none of its keys may open here.
                Err(error) if !ours && error.kind() == ErrorKind::KeyNotAllowed => return Ok(None),
                Err(error) => return Err(error),
            };
            branches.counts.puts.add_one();
            match storage.put(&place, &new, Expected::Version(expected)).await {
                Ok(_) => return Ok(Some(Rewrapped::Changed(()))),
                // Somebody else rewraps too, or a first answer was lost: look again.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(CryptoError::new(ErrorKind::Conflict, Operation::Rewrap)
            .with_detail("the entry is being changed by others; try again"))
    }

    /// Whether an entry has a slot for a key that this envelope seals for.
    async fn is_recipient(&self, header: &Header) -> Result<bool> {
        for recipient in self.shared.recipients.all_kms() {
            let key_id = recipient.canonical_id().await?;
            if header.slots.iter().any(|slot| recipient.owns(slot, &key_id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The scope of an entry, if it is within this envelope's. The stored one is verified with the
    /// header's MAC, by whoever opens it under it.
    fn scope_of(&self, header: &Header, name: &Name) -> Result<Option<Scope>> {
        let scope = match header.stored_scope() {
            Some(scope) => scope,
            None if branch_name(&self.scope) == *name => self.scope.clone(),
            None if branch_name(&Scope::empty()) == *name => Scope::empty(),
            None => {
                return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Rewrap)
                    .with_detail("the entry does not say its scope; rewrap it from that scope"));
            }
        };
        if branch_name(&scope) != *name {
            return Err(entry::damaged("a branch key's entry says another scope than its place"));
        }
        let within = self.scope.pairs().all(|pair| scope.pairs().any(|other| other == pair));
        Ok(within.then_some(scope))
    }
}

impl BranchRewraps {
    /// Counts one entry; what is elsewhere is nobody's news.
    fn count(&mut self, outcome: Result<Option<Rewrapped<()>>>) -> Option<Result<Rewrapped<()>>> {
        let counter = match &outcome {
            Ok(None) => &mut self.elsewhere,
            Ok(Some(Rewrapped::Unchanged)) => &mut self.unchanged,
            Ok(Some(Rewrapped::Changed(()))) => &mut self.moved,
            Err(_) => &mut self.failed,
        };
        *counter += 1;
        outcome.transpose()
    }
}

fn describe(name: &Name, version: u32, header: Option<Header>) -> Branch {
    let scope = header.as_ref().and_then(Header::stored_scope);
    let slots = header.map(|header| header.slots).unwrap_or_default();
    Branch {
        name: place::hex(name),
        version,
        scope,
        wrapped_by: slots
            .into_iter()
            .map(|slot| (KeyId::from(slot.key_id_text()), slot.version))
            .collect(),
    }
}

impl fmt::Display for BranchRewraps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moved, unchanged, failed, elsewhere } = self;
        write!(f, "{moved} moved, {unchanged} unchanged, {failed} failed, {elsewhere} elsewhere")
    }
}
