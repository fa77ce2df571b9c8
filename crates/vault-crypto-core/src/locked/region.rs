//! A run of blocks and the words that say which slots are taken; lock-free, and wiped by a fork.
//!
//! The marks' words: the state of locking, then for each block its books and a mark for every slot.
//! A mark is 0 where the slot is free, and else its generation, which never comes twice.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::books::{BLOCK_LEN, BLOCK_WORDS, Books, Class, Kind, MAX_SLOTS};
use super::pages::Pages;

/// Words of marks for each block: its books, and one for every slot it may have.
const STRIDE: usize = 1 + MAX_SLOTS;
/// The mark of a slot that is being filled or wiped.
pub(super) const BUSY: u64 = u64::MAX;

// The state of locking: not tried in this process, being tried, or this plus the locked blocks.
const UNTRIED: u64 = 0;
const TRYING: u64 = 1;
const TRIED: u64 = 2;

pub(super) struct Region {
    pages: Pages,
    blocks: usize,
    may_lock: bool,
    /// Where the last slot was found: the next search starts there.
    hint: AtomicUsize,
}

/// A slot's words, found and marked as being filled.
pub(super) struct Found<'a> {
    pub(super) books: &'a AtomicU64,
    pub(super) mark: &'a AtomicU64,
    pub(super) words: &'a [AtomicU64],
}

/// What a region holds.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) slots: usize,
    pub(super) bytes: usize,
}

impl Region {
    /// Pages of the system for `blocks` blocks.
    pub(super) fn map(blocks: usize, may_lock: bool) -> io::Result<Self> {
        let pages = Pages::map(blocks * BLOCK_WORDS, 1 + blocks * STRIDE)?;
        Ok(Self { pages, blocks, may_lock, hint: AtomicUsize::new(0) })
    }

    /// The same on the heap, for the process `owner`.
    pub(super) fn heap(blocks: usize, owner: u32) -> Self {
        let pages = Pages::heap(blocks * BLOCK_WORDS, 1 + blocks * STRIDE, owner);
        Self { pages, blocks, may_lock: false, hint: AtomicUsize::new(0) }
    }

    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// See [`Pages::owner`].
    pub(super) fn owner(&self) -> u32 {
        self.pages.owner()
    }

    /// Locks all blocks or says why not.
    pub(super) fn lock_all(&self) -> io::Result<()> {
        self.pages.lock(self.blocks * BLOCK_WORDS)
    }

    /// How many of the first blocks are locked. A child inherits no lock, so each process tries at its
    /// first question, with half as much each time that the system refuses.
    pub(super) fn locked_blocks(&self) -> usize {
        let Some(state) = self.pages.marks().first() else { return 0 };
        loop {
            match state.compare_exchange(UNTRIED, TRYING, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let locked = self.lock_what_may_be();
                    state.store(TRIED + locked as u64, Ordering::Release);
                    return locked;
                }
                // Two system calls at most: nothing to sleep for.
                Err(TRYING) => std::thread::yield_now(),
                Err(tried) => return usize::try_from(tried - TRIED).unwrap_or(0),
            }
        }
    }

    fn lock_what_may_be(&self) -> usize {
        let mut blocks = if self.may_lock { self.blocks } else { 0 };
        while blocks > 0 && self.pages.lock(blocks * BLOCK_WORDS).is_err() {
            blocks /= 2;
        }
        blocks
    }

    /// A free slot in one of `blocks`, marked [`BUSY`]. Blocks in use come first.
    pub(super) fn claim(
        &self,
        blocks: Range<usize>,
        kind: Kind,
        class: Class,
    ) -> Option<Found<'_>> {
        let hint = self.hint.load(Ordering::Relaxed).clamp(blocks.start, blocks.end);
        let in_turn = || (hint..blocks.end).chain(blocks.start..hint);
        let block = in_turn()
            .find(|block| self.take(*block, |books| books.one_more(kind, class)))
            .or_else(|| {
                in_turn().find(|block| self.take(*block, |books| books.first(kind, class)))
            })?;
        self.hint.store(block, Ordering::Relaxed);
        self.find(block, class)
    }

    /// Changes a block's books; nothing happens where `change` gives none.
    fn take(&self, block: usize, change: impl Fn(Books) -> Option<Books>) -> bool {
        let Some(books) = self.pages.marks().get(1 + block * STRIDE) else { return false };
        let change = |word| change(Books::from_word(word)).map(Books::word);
        books.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }

    /// A free slot of a block in whose books one is taken for the caller: there always is one, since
    /// a slot is freed before its books say so.
    fn find(&self, block: usize, class: Class) -> Option<Found<'_>> {
        let (books, marks) =
            self.pages.marks().get(1 + block * STRIDE..)?.get(..STRIDE)?.split_first()?;
        let slot_words = class.len() / 8;
        let words = self.pages.keys().get(block * BLOCK_WORDS..)?.get(..BLOCK_WORDS)?;
        loop {
            for (mark, words) in marks.iter().zip(words.chunks_exact(slot_words)) {
                if mark.compare_exchange(0, BUSY, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    // Whoever reads a word of the new value also sees that the mark changed.
                    fence(Ordering::Release);
                    return Some(Found { books, mark, words });
                }
            }
            std::hint::spin_loop();
        }
    }

    /// Counts what is in use in some blocks.
    pub(super) fn tally(&self, blocks: Range<usize>) -> Tally {
        let mut tally = Tally::default();
        for block in blocks {
            let Some(word) = self.pages.marks().get(1 + block * STRIDE) else { break };
            let books = Books::from_word(word.load(Ordering::Relaxed));
            if books.used() > 0 {
                tally.slots += books.used();
                tally.bytes += books.used() * books.class().len();
            }
        }
        tally
    }

    /// Bytes of keys the region has room for.
    pub(super) fn bytes(&self) -> usize {
        self.blocks * BLOCK_LEN
    }
}
