//! Which process this is, told by a page that the kernel wipes in a forked child.
//!
//! Process ids are reused and cost a system call; the wiped word costs a load, and a raw `clone`
//! that skips every fork handler is noticed too.

/// No wipe-on-fork page is to be had: buffer nothing.
pub(super) const UNKNOWN: u64 = 0;

#[cfg(target_os = "linux")]
pub(super) use linux::process;

#[cfg(not(target_os = "linux"))]
pub(super) fn process() -> u64 {
    UNKNOWN
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "one leaked page, mapped and marked wipe-on-fork")]
mod linux {
    use std::ptr::{NonNull, null_mut};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    use super::UNKNOWN;

    const PAGE_LEN: usize = 4_096;

    /// Counts the processes of this lineage; a child inherits the count and goes on from it.
    static LINEAGE: AtomicU64 = AtomicU64::new(0);
    static PAGE: OnceLock<Option<Page>> = OnceLock::new();

    struct Page(NonNull<AtomicU64>);

    // SAFETY: the page is never unmapped, and all access to it is through an atomic.
    unsafe impl Send for Page {}
    // SAFETY: as above.
    unsafe impl Sync for Page {}

    /// A number that differs between a process and its forked children, or `UNKNOWN`.
    pub(in super::super) fn process() -> u64 {
        let Some(page) = PAGE.get_or_init(Page::map) else { return UNKNOWN };
        // SAFETY: `Page::map` gave a mapped, aligned, zeroed page that lives for ever.
        let word = unsafe { page.0.as_ref() };
        match word.load(Ordering::Relaxed) {
            0 => claim(word),
            known => known,
        }
    }

    #[cold]
    fn claim(word: &AtomicU64) -> u64 {
        let mine = LINEAGE.fetch_add(1, Ordering::Relaxed) + 1;
        match word.compare_exchange(0, mine, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => mine,
            Err(other_thread) => other_thread,
        }
    }

    impl Page {
        fn map() -> Option<Self> {
            // SAFETY: a new private anonymous mapping touches no memory of anybody else.
            let page = unsafe {
                mmap_anonymous(
                    null_mut(),
                    PAGE_LEN,
                    ProtFlags::READ | ProtFlags::WRITE,
                    MapFlags::PRIVATE,
                )
            }
            .ok()?;
            // SAFETY: `page` is the whole mapping made above.
            if unsafe { madvise(page, PAGE_LEN, Advice::LinuxWipeOnFork) }.is_err() {
                // SAFETY: as above, and nobody else knows the page yet.
                let _ = unsafe { munmap(page, PAGE_LEN) };
                return None;
            }
            NonNull::new(page.cast::<AtomicU64>()).map(Self)
        }
    }
}
