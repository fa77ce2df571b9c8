//! Memory for keys that live long: locked, guarded, left out of core dumps, and wiped by a fork.
//!
//! A [`LockedPool`] asks the system for a few pages once and hands out slots in them. A key that
//! several threads use is a [`Locked`]: it is used through a short-lived copy and wiped at once, from
//! any thread. A key with one owner is a [`LockedBox`]: it is used where it lies. In a forked child
//! both are gone, and the pool is empty and works on.
//!
//! The books of the pool lie in pages that a fork wipes, too, and no operation takes a lock: so no
//! thread that the child does not have can hold anything the child needs.
//!
//! Left to others: what to do when the pool is full, and the keys' way through registers, the stack
//! and the backends of ciphers (docs/THREAT-MODEL.md, section "Memory").

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::{CryptoError, Result};

mod books;
mod home;
mod owned;
mod pages;
mod pooled;
mod region;
mod shared;
mod slot;
mod usage;

use home::Home;
pub use owned::LockedBox;
pub use pooled::Pooled;
pub use shared::Locked;
pub use usage::PoolUsage;

/// What [`LockedPool::process`] locks at most, in bytes: leaves room for others under the common
/// limit of 64 KiB.
pub const PROCESS_POOL_BYTES: usize = 48 * 1024;
/// The longest value a slot holds, in bytes.
pub const MAX_SLOT_LEN: usize = 2_048;

/// What to do when the system does not lock as many pages as a pool asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LockPolicy {
    /// Fail. A key is in locked memory or nowhere; a full pool is an error.
    Require,
    /// Go on in pages that are not locked, and count the keys that lie there.
    #[default]
    Prefer,
    /// Lock nothing. Keys still lie in guarded pages that dumps leave out and a fork wipes.
    Off,
}

impl LockPolicy {
    /// A stable name for settings and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Prefer => "prefer",
            Self::Off => "off",
        }
    }
}

/// A pool of locked memory; clones share it.
///
/// ```
/// use vault_crypto_core::locked::{LockPolicy, LockedPool};
/// let pool = LockedPool::new(LockPolicy::Prefer, 16 * 1024)?;
/// println!("{}", pool.usage()); // for the log at start-up
/// let key = pool.store([7_u8; 32])?;
/// assert_eq!(key.with(|bytes| bytes[0]), Some(7));
/// key.wipe();
/// assert_eq!(key.with(|bytes| bytes[0]), None);
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Clone)]
pub struct LockedPool(Arc<Home>);

impl LockedPool {
    /// A pool with room for `bytes` bytes of keys in locked pages, rounded up to whole pages.
    ///
    /// # Errors
    /// Under [`LockPolicy::Require`]: [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded)
    /// where the system does not lock that much, [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)
    /// where it has no such pages at all. Under the others: where there is no memory to be had.
    pub fn new(policy: LockPolicy, bytes: usize) -> Result<Self> {
        Home::new(policy, bytes).map(|home| Self(Arc::new(home)))
    }

    /// The pool of this process: [`LockPolicy::Prefer`], [`PROCESS_POOL_BYTES`]. Made at the first
    /// call; whoever names no pool shares it.
    #[must_use]
    pub fn process() -> Self {
        // No `OnceLock`: a child forked while another thread fills one would wait for ever.
        static PROCESS: AtomicPtr<LockedPool> = AtomicPtr::new(std::ptr::null_mut());
        let known = PROCESS.load(Ordering::Acquire);
        // SAFETY: what is stored below is never freed nor changed.
        if let Some(pool) = unsafe { known.as_ref() } {
            return pool.clone();
        }
        let fresh = Self(Arc::new(Home::preferred(PROCESS_POOL_BYTES)));
        let leaked = Box::into_raw(Box::new(fresh.clone()));
        let stored = PROCESS.compare_exchange(
            std::ptr::null_mut(),
            leaked,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        match stored {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: nobody else has seen `leaked`.
                drop(unsafe { Box::from_raw(leaked) });
                // SAFETY: as above; another thread was first, so it is not null.
                unsafe { other.as_ref() }.map_or(fresh, Self::clone)
            }
        }
    }

    /// What the pool does when it gets no locked page.
    #[must_use]
    pub fn policy(&self) -> LockPolicy {
        self.0.policy()
    }

    /// What the pool got and what of it is in use; printed, it is a sentence for the log.
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        self.0.usage()
    }

    /// Puts `value` into a slot that threads may share.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`](crate::ErrorKind::LimitExceeded): the pool is full. Under
    /// [`LockPolicy::Require`] it is full when its locked pages are: let go of a key and try again.
    pub fn store<T: Pooled>(&self, value: T) -> Result<Locked<T>> {
        self.store_with(|| value)
    }

    /// As [`store`](Self::store), with the value made only when there is a slot for it, so that a
    /// full pool costs nothing and leaves no copy behind.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn store_with<T: Pooled>(&self, make: impl FnOnce() -> T) -> Result<Locked<T>> {
        Locked::store(&self.0, make)
    }

    /// Puts what `make` gives into a slot with one owner, where it is used in place.
    ///
    /// Any type may lie there; what it points to on the heap lies there as before.
    ///
    /// # Errors
    /// As [`store`](Self::store).
    pub fn boxed<T: Send + Sync + 'static>(
        &self,
        make: impl FnOnce() -> T,
    ) -> Result<LockedBox<T>> {
        LockedBox::store(&self.0, make)
    }

    /// As [`boxed`](Self::boxed) for a value at hand, which comes back where there is no slot for it.
    ///
    /// # Errors
    /// As [`store`](Self::store), beside the value.
    pub fn place<T: Send + Sync + 'static>(
        &self,
        value: T,
    ) -> Result<LockedBox<T>, (T, CryptoError)> {
        LockedBox::place(&self.0, value)
    }
}

impl fmt::Debug for LockedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedPool").field("usage", &self.usage()).finish()
    }
}
