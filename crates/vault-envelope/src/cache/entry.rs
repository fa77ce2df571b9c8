//! One cached data key: what stands before its messages, its handle into locked memory, and its times.

use std::fmt;

use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
use vault_crypto_core::header::{COMPACT_MAGIC, MESSAGE_ID_LEN, PREFIX_LEN, Suite, parse};
use vault_crypto_core::locked::{Locked, LockedPool};
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{
    CryptoError, HmacSha512Key, Operation, Result, Scope, SecureBytes, constant_time_eq,
};

use super::lease::Purse;
use super::source::SourcedKey;
use super::store::{Kept, Role};
use super::sync::{Arc, AtomicBool, AtomicU8, AtomicU64, Ordering};
use super::time::Nanos;
use crate::body::{BodyRef, chunk_algorithm};
use crate::chunks::ChunkKeyRef;
use crate::record::Frame;
use crate::{Invalidation, OpenedBy};

/// Where the message id stands in a header.
const MESSAGE_ID_AT: usize = PREFIX_LEN + 28;
/// Where four well-mixed bytes stand in a front: in the data key id, or the compact record's id.
const HEADER_ID_AT: usize = PREFIX_LEN + 12;
const COMPACT_ID_AT: usize = 8;

/// A data key that was vouched for, as threads share it. It holds no key bytes.
pub(crate) struct CachedKey {
    /// What stands before every body under it, whole.
    front: Box<[u8]>,
    common: Arc<Common>,
    /// Which allowed key opened it; `None` where this envelope may seal with it and not open.
    opened_by: Option<Arc<OpenedBy>>,
    key: KeptKey,
    /// When sealing with it began.
    made: Nanos,
    /// What is left of its budget, where it is for sealing.
    pub(crate) purse: Option<Box<Purse>>,
    /// When its KMS last vouched for it.
    vouched: AtomicU64,
    /// Before this nobody asks for the next key again.
    retry_at: AtomicU64,
    roles: AtomicU8,
    opening: Marks,
    sealing: Marks,
    /// Another key seals in its place.
    retired: AtomicBool,
}

/// What threads leave behind in one role.
#[derive(Default)]
struct Marks {
    touched: AtomicBool,
    /// Somebody is asking for the next key.
    refreshing: AtomicBool,
}

/// What the entries of one scope, suite and padding have in common.
pub(crate) struct Common {
    pub(crate) scope: Scope,
    pub(crate) suite: Suite,
    pub(crate) padded: bool,
    /// B without the context's pairs.
    pub(crate) context_prefix: Vec<u8>,
    pub(crate) backend: AeadBackend,
}

enum KeptKey {
    Xaes(Locked<XaesKey>),
    Chunked(Locked<HmacSha512Key>),
}

/// The AEAD backend of a suite, where none is named.
pub(crate) fn backend_of(suite: Suite, named: Option<AeadBackend>) -> AeadBackend {
    named.unwrap_or_else(|| {
        AeadBackend::fastest(match suite {
            Suite::KcXaes256Gcm => AeadAlgorithm::Aes256Gcm,
            _ => chunk_algorithm(suite),
        })
    })
}

impl KeptKey {
    fn store(pool: &LockedPool, sourced: &SourcedKey, backend: AeadBackend) -> Result<Self> {
        let body_key = || sourced.secret.body_key(sourced.suite);
        Ok(match sourced.suite {
            Suite::KcXaes256Gcm => {
                Self::Xaes(pool.store_with(|| XaesKey::new(&body_key(), backend))?)
            }
            _ => Self::Chunked(pool.store_with(|| HmacSha512Key::new(body_key().as_slice()))?),
        })
    }

    fn wipe(&self) {
        match self {
            Self::Xaes(key) => key.wipe(),
            Self::Chunked(key) => key.wipe(),
        }
    }

    fn is_wiped(&self) -> bool {
        match self {
            Self::Xaes(key) => key.is_wiped(),
            Self::Chunked(key) => key.is_wiped(),
        }
    }
}

impl CachedKey {
    /// Puts the key into the pool. `asked` is when the question was asked.
    ///
    /// # Errors
    /// As [`LockedPool::store`]: let go of a key and try again.
    pub(crate) fn store(
        pool: &LockedPool,
        sourced: &SourcedKey,
        common: Arc<Common>,
        opened_by: Option<Arc<OpenedBy>>,
        asked: Nanos,
    ) -> Result<Self> {
        Ok(Self {
            key: KeptKey::store(pool, sourced, common.backend)?,
            front: sourced.front.as_slice().into(),
            common,
            opened_by,
            made: asked,
            purse: None,
            vouched: AtomicU64::new(asked.0),
            retry_at: AtomicU64::new(0),
            roles: AtomicU8::new(0),
            opening: Marks::default(),
            sealing: Marks::default(),
            retired: AtomicBool::new(false),
        })
    }

    /// Gives it a budget: it is for sealing.
    pub(crate) fn with_purse(mut self, purse: Purse) -> Self {
        self.purse = Some(Box::new(purse));
        self
    }

    pub(crate) fn front(&self) -> &[u8] {
        &self.front
    }

    pub(crate) fn common(&self) -> &Common {
        &self.common
    }

    /// Whether it was taken away.
    pub(crate) fn is_wiped(&self) -> bool {
        self.key.is_wiped()
    }

    pub(crate) fn opened_by(&self) -> Option<&OpenedBy> {
        self.opened_by.as_deref()
    }

    pub(crate) fn made(&self) -> Nanos {
        self.made
    }

    pub(crate) fn vouched(&self) -> Nanos {
        Nanos(self.vouched.load(Ordering::Relaxed))
    }

    /// Its KMS vouched for it again, asked at `asked`.
    pub(crate) fn vouch(&self, asked: Nanos) {
        self.vouched.fetch_max(asked.0, Ordering::Relaxed);
    }

    /// Whether it is time again to ask for the next key.
    pub(crate) fn may_ask(&self, now: Nanos) -> bool {
        now.0 >= self.retry_at.load(Ordering::Relaxed)
    }

    pub(crate) fn ask_not_before(&self, at: Nanos) {
        self.retry_at.store(at.0, Ordering::Relaxed);
    }

    /// Whether it is for exactly these messages.
    #[inline]
    pub(crate) fn is_for(&self, front: &[u8], scope: &Scope) -> bool {
        *self.front == *front && self.is_of(scope)
    }

    #[inline]
    pub(crate) fn is_of(&self, scope: &Scope) -> bool {
        self.common.scope.canonical_pairs() == scope.canonical_pairs()
    }

    /// Seals no more: another key does.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// Remembers a use. The flag is written once, then only read.
    #[inline]
    pub(crate) fn touch(&self, role: Role) {
        let touched = &self.marks(role).touched;
        if !touched.load(Ordering::Relaxed) {
            touched.store(true, Ordering::Relaxed);
        }
    }

    /// Takes it upon oneself to ask for the next key; `false` if somebody has.
    pub(crate) fn claim_refresh(&self, role: Role) -> bool {
        !self.marks(role).refreshing.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn end_refresh(&self, role: Role) {
        self.marks(role).refreshing.store(false, Ordering::Release);
    }

    /// Whether a key that is due may be used as if nothing were: somebody asks for the next one, or did and
    /// was told to wait.
    pub(crate) fn is_cared_for(&self, role: Role, now: Nanos) -> bool {
        self.marks(role).refreshing.load(Ordering::Relaxed) || !self.may_ask(now)
    }

    fn marks(&self, role: Role) -> &Marks {
        match role {
            Role::Opening => &self.opening,
            Role::Sealing => &self.sealing,
        }
    }

    /// Runs `f` with the key; `None` where it was taken away meanwhile.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(BodyRef<'_>) -> R) -> Option<R> {
        match &self.key {
            KeptKey::Xaes(key) => key.with(|key| f(BodyRef::Xaes(key))),
            KeptKey::Chunked(key) => key.with(|state| {
                f(BodyRef::Chunked(ChunkKeyRef {
                    state,
                    algorithm: chunk_algorithm(self.common.suite),
                    backend: self.common.backend,
                }))
            }),
        }
    }

    /// What all its messages have in common.
    #[inline]
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame {
            front: &self.front,
            context_prefix: &self.common.context_prefix,
            suite: self.common.suite,
            padded: self.common.padded,
        }
    }

    /// Opens the record `sealed`, which starts with this front.
    #[inline]
    pub(crate) fn open(
        &self,
        body: BodyRef<'_>,
        sealed: &[u8],
        pairs: &[u8],
    ) -> Result<SecureBytes> {
        check_message_id(sealed, self.front.len())?;
        self.frame().open(body, sealed, pairs)
    }
}

/// docs/FORMAT.md section 9, step 3: a message id that is not zero equals the body's first bytes.
#[inline]
pub(crate) fn check_message_id(sealed: &[u8], front_len: usize) -> Result<()> {
    if sealed.first() == COMPACT_MAGIC.first() {
        return Ok(());
    }
    let at = |from: usize| sealed.get(from..).and_then(|rest| rest.first_chunk());
    let named: &[u8; MESSAGE_ID_LEN] = at(MESSAGE_ID_AT).ok_or_else(altered)?;
    let found: &[u8; MESSAGE_ID_LEN] = at(front_len).ok_or_else(altered)?;
    if *named == [0; MESSAGE_ID_LEN] || constant_time_eq(named, found) {
        Ok(())
    } else {
        Err(altered())
    }
}

#[cold]
fn altered() -> CryptoError {
    CryptoError::authentication_failed(Operation::Open)
}

/// Bytes of a front that differ from data key to data key: where to look in a thread's own table.
#[inline]
pub(crate) fn mark_of(front: &[u8]) -> u64 {
    let at = if front.first() == COMPACT_MAGIC.first() { COMPACT_ID_AT } else { HEADER_ID_AT };
    let bytes = front.get(at..).and_then(|rest| rest.first_chunk::<8>());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Kept for CachedKey {
    type Order = Invalidation;

    fn take_touch(&self, role: Role) -> bool {
        self.marks(role).touched.swap(false, Ordering::Relaxed)
    }

    fn is_named_by(&self, order: &Invalidation) -> bool {
        match order {
            Invalidation::Everything => true,
            Invalidation::Scope(scope) => self.is_of(scope),
            Invalidation::Key(key_id) => {
                self.opened_by().is_some_and(|by| by.is_of(key_id))
                    || parse(&self.front).is_ok_and(|parsed| {
                        let slots = &parsed.header.slots;
                        slots.iter().any(|slot| slot.key_id == key_id.as_str().as_bytes())
                    })
            }
        }
    }

    fn take_on(&self, role: Role) {
        self.roles.fetch_or(bit(role), Ordering::AcqRel);
    }

    fn let_go(&self, role: Role) {
        if role == Role::Sealing {
            self.retire();
        }
        let before = self.roles.fetch_and(!bit(role), Ordering::AcqRel);
        // Wiped in its slot: whoever holds a handle, on whatever thread, has nothing from here on.
        if before & !bit(role) == 0 {
            self.key.wipe();
        }
    }
}

fn bit(role: Role) -> u8 {
    match role {
        Role::Opening => 1,
        Role::Sealing => 2,
    }
}

impl fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedKey").field("suite", &self.common.suite).finish_non_exhaustive()
    }
}
