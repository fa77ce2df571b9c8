//! Which values may lie in a shared slot, and the short-lived copies through which they are used.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MAX_SLOT_LEN;

/// A value that is nothing but its own bytes.
///
/// # Safety
/// A copy of its bytes at any other place is as good as the value, for as long as the copy is only
/// looked at: it holds no pointer to itself, owns nothing outside of its bytes, and has no interior
/// mutability. Its destructor does nothing but wipe: it is never run.
pub unsafe trait Pooled: Send + Sync + 'static {}

// SAFETY: plain bytes.
unsafe impl<const N: usize> Pooled for [u8; N] {}

// SAFETY: an expanded AES schedule, a number and an enum without fields, all in place; the tests
// compare what a copy does with what the original does, on every backend.
#[cfg(feature = "xaes")]
unsafe impl Pooled for crate::xaes::XaesKey {}

// SAFETY: two hash states and a block buffer, all arrays in place; compared in the tests likewise.
#[cfg(feature = "header-mac")]
unsafe impl Pooled for crate::HmacSha512Key {}

/// Whole words with the alignment of a slot; wiped on drop.
#[repr(C, align(16))]
pub(super) struct Copied<T> {
    value: Room<T>,
}

/// `T` with its length rounded up to whole words.
#[repr(C, align(8))]
struct Room<T>(MaybeUninit<T>);

impl<T> Copied<T> {
    /// Bytes that a slot needs for `T`.
    pub(super) const LEN: usize = {
        assert!(size_of::<Room<T>>() <= MAX_SLOT_LEN, "too long for a slot");
        assert!(align_of::<T>() <= 16, "slots are aligned to 16 bytes");
        size_of::<Room<T>>()
    };
    const WORDS: usize = Self::LEN / 8;

    /// Room for a value, not filled.
    #[inline]
    pub(super) const fn blank() -> Self {
        Self { value: Room(MaybeUninit::uninit()) }
    }

    #[inline]
    fn words(&mut self) -> &mut [MaybeUninit<u64>] {
        let start = (&raw mut self.value).cast();
        // SAFETY: `Room` is `WORDS` words long and aligned to words; possibly unfilled words are what
        // `MaybeUninit` is for.
        unsafe { std::slice::from_raw_parts_mut(start, Self::WORDS) }
    }

    /// Puts a value in, so that every byte has a value, padding included.
    pub(super) fn fill(&mut self, value: T) {
        self.words().fill(MaybeUninit::new(0));
        self.value.0.write(value);
        settle((&raw mut self.value).cast());
    }

    /// Copies the words into a slot. Only after [`fill`](Self::fill).
    ///
    /// # Safety
    /// `fill` was called.
    pub(super) unsafe fn copy_into(&mut self, slot: &[AtomicU64]) {
        for (from, to) in self.words().iter().zip(slot) {
            // SAFETY: `fill` has given every byte a value.
            to.store(unsafe { from.assume_init() }, Ordering::Relaxed);
        }
    }

    /// Copies words out of a slot; what they are worth the caller finds out afterwards.
    #[inline]
    pub(super) fn copy_from(&mut self, slot: *const AtomicU64) {
        for (index, to) in self.words().iter_mut().enumerate() {
            // SAFETY: a slot for `T` has at least `WORDS` words (`Claim::new` with `LEN`).
            to.write(unsafe { &*slot.add(index) }.load(Ordering::Relaxed));
        }
    }

    /// The value.
    ///
    /// # Safety
    /// The words are those of a value of `T`.
    #[inline]
    pub(super) unsafe fn get(&self) -> &T {
        // SAFETY: the caller's promise, and `Pooled` says that a copy is as good.
        unsafe { self.value.0.assume_init_ref() }
    }
}

impl<T> Drop for Copied<T> {
    #[inline]
    fn drop(&mut self) {
        self.words().fill(MaybeUninit::new(0));
        // The zeros are looked at, so they cannot be left out.
        zeroize::optimization_barrier(self.words());
    }
}

/// Tells the compiler that all bytes have been written, padding included: what is there stays.
#[inline]
fn settle(start: *mut u8) {
    #[cfg(all(not(miri), any(target_arch = "x86_64", target_arch = "aarch64")))]
    // SAFETY: no instruction. To the compiler it may have written anything the pointer leads to.
    unsafe {
        std::arch::asm!("/* {} */", in(reg) start, options(nostack, preserves_flags));
    }
    #[cfg(not(all(not(miri), any(target_arch = "x86_64", target_arch = "aarch64"))))]
    std::hint::black_box(start);
}
