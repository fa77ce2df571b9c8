//! The pages themselves: one mapping with guards, or plain heap where the system has no such pages.
//!
//! Both parts, keys and marks, are given as slices of atomic words. Left to others: which word means
//! what.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

const WORD: usize = size_of::<AtomicU64>();
/// Slots start at multiples of this on every kind of page.
const ALIGN: usize = 4_096;

/// Two runs of zeroed words: one for keys, one for the marks that say whose they are.
pub(super) struct Pages {
    keys: NonNull<AtomicU64>,
    keys_len: usize,
    marks: NonNull<AtomicU64>,
    marks_len: usize,
    backing: Backing,
}

enum Backing {
    #[cfg(target_os = "linux")]
    Mapped(linux::Mapping),
    Heap {
        keys: NonNull<[AtomicU64]>,
        marks: NonNull<[AtomicU64]>,
        owner: u32,
    },
}

// SAFETY: the words are atomic, and what else is done with them is the business of `slot`, which
// says why its types may move between threads.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pages of the system: guarded, left out of dumps, wiped by a fork, not locked yet.
    #[cfg(target_os = "linux")]
    pub(super) fn map(keys_len: usize, marks_len: usize) -> io::Result<Self> {
        let mapping = linux::Mapping::new(keys_len * WORD, marks_len * WORD)?;
        let (keys, marks) = (mapping.keys().cast(), mapping.marks().cast());
        Ok(Self { keys, keys_len, marks, marks_len, backing: Backing::Mapped(mapping) })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn map(_: usize, _: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Heap memory with none of these properties; it remembers whose it is.
    pub(super) fn heap(keys_len: usize, marks_len: usize, owner: u32) -> Self {
        let zeroed = |len: usize| -> NonNull<[AtomicU64]> {
            NonNull::from(Box::leak((0..len).map(|_| AtomicU64::new(0)).collect::<Box<_>>()))
        };
        let (all_keys, all_marks) = (zeroed(keys_len + ALIGN / WORD), zeroed(marks_len));
        let start = all_keys.cast::<AtomicU64>();
        let skipped = start.as_ptr().align_offset(ALIGN).min(ALIGN / WORD);
        // SAFETY: at most ALIGN / WORD words in, and that many more were allocated.
        let keys = unsafe { start.add(skipped) };
        let backing = Backing::Heap { keys: all_keys, marks: all_marks, owner };
        Self { keys, keys_len, marks: all_marks.cast(), marks_len, backing }
    }

    /// The words for keys; the first lies on a multiple of 4,096 bytes.
    pub(super) fn keys(&self) -> &[AtomicU64] {
        // SAFETY: `keys_len` zeroed, aligned words that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.keys.as_ptr(), self.keys_len) }
    }

    /// The words for marks.
    pub(super) fn marks(&self) -> &[AtomicU64] {
        // SAFETY: `marks_len` zeroed, aligned words that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.marks.as_ptr(), self.marks_len) }
    }

    /// Locks the first `words` words of keys into memory, in this process.
    pub(super) fn lock(&self, words: usize) -> io::Result<()> {
        match &self.backing {
            #[cfg(target_os = "linux")]
            Backing::Mapped(mapping) => mapping.lock(words.min(self.keys_len) * WORD),
            Backing::Heap { .. } => {
                let _ = words;
                Err(io::ErrorKind::Unsupported.into())
            }
        }
    }

    /// The process whose keys lie here, where a fork does not wipe them; 0 where it does.
    pub(super) fn owner(&self) -> u32 {
        match &self.backing {
            #[cfg(target_os = "linux")]
            Backing::Mapped(_) => 0,
            Backing::Heap { owner, .. } => *owner,
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        match &self.backing {
            #[cfg(target_os = "linux")]
            Backing::Mapped(_) => {} // unmaps itself
            Backing::Heap { keys, marks, .. } => {
                // SAFETY: both came from a box, and no slice outlives `self`.
                unsafe {
                    drop(Box::from_raw(keys.as_ptr()));
                    drop(Box::from_raw(marks.as_ptr()));
                }
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::c_void;
    use std::io;
    use std::ptr::{NonNull, null_mut};

    use rustix::mm::{
        Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap_anonymous, mprotect,
        munmap,
    };

    /// `guard | keys | guard | marks | guard`, the guards without any access.
    pub(super) struct Mapping {
        base: NonNull<c_void>,
        keys: NonNull<c_void>,
        marks: NonNull<c_void>,
        len: usize,
    }

    impl Mapping {
        pub(super) fn new(keys_len: usize, marks_len: usize) -> io::Result<Self> {
            let page = rustix::param::page_size();
            let keys_len = keys_len.next_multiple_of(page);
            let marks_len = marks_len.next_multiple_of(page);
            let len = keys_len + marks_len + 3 * page;
            // SAFETY: a new private anonymous mapping touches no memory of anybody else.
            let base =
                unsafe { mmap_anonymous(null_mut(), len, ProtFlags::empty(), MapFlags::PRIVATE) }?;
            let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
            // SAFETY: both offsets lie inside the mapping.
            let (keys, marks) =
                unsafe { (base.byte_add(page), base.byte_add(page + keys_len + page)) };
            let mapping = Self { base, keys, marks, len }; // unmapped on every way out from here
            open(keys, keys_len)?;
            open(marks, marks_len)?;
            Ok(mapping)
        }

        pub(super) fn keys(&self) -> NonNull<c_void> {
            self.keys
        }

        pub(super) fn marks(&self) -> NonNull<c_void> {
            self.marks
        }

        pub(super) fn lock(&self, len: usize) -> io::Result<()> {
            // SAFETY: the caller keeps `len` within the keys, which start here.
            unsafe { mlock(self.keys.as_ptr(), len) }.map_err(Into::into)
        }
    }

    /// Gives access to whole pages between two guards, keeps them out of dumps and out of children.
    fn open(start: NonNull<c_void>, len: usize) -> io::Result<()> {
        let start = start.as_ptr();
        // SAFETY: `start..start + len` are whole pages of the mapping made above, known to nobody.
        unsafe {
            mprotect(start, len, MprotectFlags::READ | MprotectFlags::WRITE)?;
            madvise(start, len, Advice::LinuxDontDump)?;
            madvise(start, len, Advice::LinuxWipeOnFork)?;
        }
        Ok(())
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the whole mapping, and nothing refers to it any more.
            let _ = unsafe { munmap(self.base.as_ptr(), self.len) };
        }
    }
}
