//! A key that threads share: used through a copy, wiped at once from any of them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::books::Kind;
use super::home::Home;
use super::pooled::{Copied, Pooled};
use super::slot::{Claim, Slot};
use crate::{Result, wipe_stack};

/// A value in a slot of a [`LockedPool`](super::LockedPool), for threads to share (in an `Arc`).
///
/// [`with`](Self::with) takes no lock and changes no shared memory. Wiped when it is wiped, when it is
/// dropped, and in a forked child.
pub struct Locked<T: Pooled> {
    slot: Slot,
    value: PhantomData<T>,
}

impl<T: Pooled> Locked<T> {
    pub(super) fn store(home: &Arc<Home>, make: impl FnOnce() -> T) -> Result<Self> {
        let claim = Claim::new(home, Kind::Shared, Copied::<T>::LEN)?;
        fill(&claim, make);
        wipe_stack(); // what `make` left, and its value on the way here
        Ok(Self { slot: claim.publish(), value: PhantomData })
    }

    /// Runs `f` on a copy of the value, which is wiped afterwards, also when `f` panics. `None` where
    /// the value is gone: wiped, or of the process that this one was forked from.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        let mut copy = Copied::<T>::blank();
        if self.slot.copy_out(|words| copy.copy_from(words)) {
            // SAFETY: between two looks at the mark that found this value's generation, the words
            // were the value's.
            Some(f(unsafe { copy.get() }))
        } else {
            None
        }
    }

    /// Wipes the value now. Whoever is just using a copy of it finishes with that.
    pub fn wipe(&self) {
        self.slot.wipe();
    }

    /// Whether the value is gone.
    #[inline]
    #[must_use]
    pub fn is_wiped(&self) -> bool {
        !self.slot.is_live()
    }
}

/// In a frame of its own, so that it can be wiped when it is done.
#[inline(never)]
fn fill<T: Pooled>(claim: &Claim, make: impl FnOnce() -> T) {
    let mut copy = Copied::blank();
    copy.fill(make());
    // SAFETY: filled in the line above.
    unsafe { copy.copy_into(claim.words()) };
}

impl<T: Pooled> Drop for Locked<T> {
    fn drop(&mut self) {
        self.slot.wipe();
    }
}

impl<T: Pooled> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked([REDACTED])")
    }
}
