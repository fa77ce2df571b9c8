//! A key with one owner: used where it lies.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::books::Kind;
use super::home::Home;
use super::pooled::Copied;
use super::slot::{Claim, Slot};
use crate::{CryptoError, Result, wipe_stack};

/// A value in a slot of a [`LockedPool`](super::LockedPool) that nobody but its owner can wipe.
///
/// Dropped and wiped with its owner. A forked child finds it gone and drops nothing.
pub struct LockedBox<T: Send + Sync + 'static> {
    slot: Slot,
    value: PhantomData<T>,
}

impl<T: Send + Sync + 'static> LockedBox<T> {
    pub(super) fn store(home: &Arc<Home>, make: impl FnOnce() -> T) -> Result<Self> {
        Self::claim(home).map(|claim| Self::filled(claim, make))
    }

    pub(super) fn place(home: &Arc<Home>, value: T) -> Result<Self, (T, CryptoError)> {
        match Self::claim(home) {
            Ok(claim) => Ok(Self::filled(claim, || value)),
            Err(error) => Err((value, error)),
        }
    }

    fn claim(home: &Arc<Home>) -> Result<Claim> {
        Claim::new(home, Kind::Owned, Copied::<T>::LEN)
    }

    fn filled(claim: Claim, make: impl FnOnce() -> T) -> Self {
        fill(&claim, make);
        wipe_stack(); // what `make` left, and its value on the way here
        Self { slot: claim.publish(), value: PhantomData }
    }

    /// The value; `None` in a process forked from the one that stored it.
    ///
    /// Do not fork while the reference is in use: in the child it then shows zeros.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: written by `store`; only `drop` ends it, and that needs the box.
        self.slot.is_live().then(|| unsafe { self.slot.place().cast::<T>().as_ref() })
    }

    /// The value, to be changed; `None` as with [`get`](Self::get).
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: as above, and `&mut self` is the only way to it.
        self.slot.is_live().then(|| unsafe { self.slot.place().cast::<T>().as_mut() })
    }
}

/// In a frame of its own, so that it can be wiped when it is done.
#[inline(never)]
fn fill<T>(claim: &Claim, make: impl FnOnce() -> T) {
    let place = std::ptr::from_ref(claim.words()).cast::<T>().cast_mut();
    // SAFETY: `LEN` bytes, aligned, in atomic words that nobody else has; blocks of this kind have no
    // late readers.
    unsafe { place.write(make()) };
}

impl<T: Send + Sync + 'static> Drop for LockedBox<T> {
    fn drop(&mut self) {
        if self.slot.is_live() {
            // SAFETY: the value is there, and nobody sees it after this.
            unsafe { self.slot.place().cast::<T>().drop_in_place() };
        }
        self.slot.wipe();
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for LockedBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedBox([REDACTED])")
    }
}
