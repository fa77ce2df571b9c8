//! One slot, from the moment it is found to the moment it is wiped.
//!
//! Readers of a shared slot and whoever wipes it agree by the mark, as in a sequence lock: a reader
//! copies the words and then looks whether the mark still has its generation; who changes words marks
//! the slot busy first. Generations never come twice, so a copy with the right mark on both sides is
//! whole.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::books::Kind;
use super::home::Home;
use super::region::{BUSY, Found};
use crate::Result;

/// A slot that holds a value of one generation.
pub(super) struct Slot {
    mark: NonNull<AtomicU64>,
    words: NonNull<AtomicU64>,
    generation: u64,
    /// The process it belongs to where a fork does not wipe it, otherwise 0.
    owner: u32,
    len: u32,
    books: NonNull<AtomicU64>,
    _home: Arc<Home>, // keeps the pages
}

// SAFETY: the pointers lead to atomic words in pages that live as long as `_home`; every thread may
// read and change those.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

/// A slot that is being filled; given back when it is dropped before that is done.
pub(super) struct Claim(Slot);

impl Claim {
    /// A free slot for `len` bytes.
    pub(super) fn new(home: &Arc<Home>, kind: Kind, len: usize) -> Result<Self> {
        home.claim(kind, len, |Found { books, mark, words }, owner| {
            Self(Slot {
                mark: NonNull::from(mark),
                words: NonNull::from(words).cast(),
                generation: home.next_generation(),
                owner,
                len: u32::try_from(words.len()).unwrap_or(0),
                books: NonNull::from(books),
                _home: Arc::clone(home),
            })
        })
    }

    /// The words to fill, of the class's length.
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.0.words()
    }

    /// Makes the value known to readers.
    pub(super) fn publish(self) -> Slot {
        let claim = ManuallyDrop::new(self);
        // SAFETY: `claim` is neither used nor dropped after this.
        let slot = unsafe { std::ptr::read(&claim.0) };
        slot.mark().store(slot.generation, Ordering::Release);
        slot
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Slot {
    /// Whether the value is still there. Says nothing of the next moment, unless the caller is the
    /// only one who can wipe it.
    #[inline]
    pub(super) fn is_live(&self) -> bool {
        self.mark().load(Ordering::Relaxed) == self.generation && self.is_of_this_process()
    }

    /// Lets `copy` read the words; false where they are not, or no longer, those of the value.
    #[inline]
    pub(super) fn copy_out(&self, copy: impl FnOnce(*const AtomicU64)) -> bool {
        if self.mark().load(Ordering::Acquire) != self.generation {
            return false;
        }
        copy(self.words.as_ptr());
        fence(Ordering::Acquire);
        self.mark().load(Ordering::Relaxed) == self.generation && self.is_of_this_process()
    }

    /// Wipes the value, if it is still there, and frees the slot.
    pub(super) fn wipe(&self) {
        let mark = self.mark();
        let busy =
            mark.compare_exchange(self.generation, BUSY, Ordering::AcqRel, Ordering::Relaxed);
        if busy.is_ok() {
            // Whoever reads one of the zeros also sees that the mark changed.
            fence(Ordering::Release);
            self.give_back();
        }
    }

    /// Wipes and frees a slot that is marked busy by the caller.
    fn give_back(&self) {
        self.words().iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.mark().store(0, Ordering::Release);
        // SAFETY: lives as long as `_home`.
        unsafe { self.books.as_ref() }.fetch_sub(1, Ordering::Release);
    }

    /// Where the value lies.
    #[inline]
    pub(super) fn place(&self) -> NonNull<AtomicU64> {
        self.words
    }

    #[inline]
    fn mark(&self) -> &AtomicU64 {
        // SAFETY: lives as long as `_home`.
        unsafe { self.mark.as_ref() }
    }

    #[inline]
    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the `len` words that `Region` found for this slot; they live as long as `_home`.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.len as usize) }
    }

    #[inline]
    fn is_of_this_process(&self) -> bool {
        self.owner == 0 || self.owner == std::process::id()
    }
}
