//! A buffered generator for salts and nonces: 4 KiB of ChaCha20 per thread, seeded by the system.
//!
//! A forked child never repeats its parent's bytes: a word in a wipe-on-fork page reads zero there
//! and the buffer is thrown away. A cloned virtual machine repeats at most one second: the buffer is
//! refilled from the system after that. Used bytes are erased from the buffer. Keys do not come from
//! here, they come from the system.

use std::cell::RefCell;
use std::time::Duration;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::{RandomSource, SystemRandom};
use crate::clock::SystemClock;
use crate::{Clock as _, Result};

mod fork;

/// 170 nonces: asking the system for the next seed then costs each of them 2 ns.
const BUFFER_LEN: usize = 4_096;
/// More than this at once comes from the system.
const MAX_FILL: usize = 256;
/// A buffer older than this is thrown away.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The buffered fork-safe generator. Where wipe-on-fork pages are not to be had, every call asks the
/// system.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct BufferedRandom;

impl BufferedRandom {
    /// The buffered generator; its buffers belong to threads, not to this handle.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl RandomSource for BufferedRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        fill_at(SystemClock::new().monotonic(), out)
    }

    #[inline]
    fn nonce(&self, now: Duration) -> Result<[u8; 24]> {
        let mut nonce = [0; 24];
        fill_at(now, &mut nonce)?;
        let reading = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).to_be_bytes();
        nonce.iter_mut().skip(16).zip(reading).for_each(|(byte, mix)| *byte ^= mix);
        Ok(nonce)
    }
}

/// A number that differs between a process and every child that it forks; `None` where the system has
/// no wipe-on-fork pages. Costs a load: budgets and caches ask it before each use.
#[inline]
#[must_use]
pub fn process_word() -> Option<u64> {
    Some(fork::process()).filter(|word| *word != fork::UNKNOWN)
}

struct Buffer {
    bytes: [u8; BUFFER_LEN],
    used: usize,
    process: u64,
    filled_at: Duration,
}

thread_local! {
    static BUFFER: RefCell<Buffer> = const {
        RefCell::new(Buffer {
            bytes: [0; BUFFER_LEN],
            used: BUFFER_LEN,
            process: 0,
            filled_at: Duration::ZERO,
        })
    };
}

// Inlined so that a nonce's fixed length is known where its bytes are copied.
#[inline(always)]
fn fill_at(now: Duration, out: &mut [u8]) -> Result<()> {
    let process = fork::process();
    if out.len() > MAX_FILL || process == fork::UNKNOWN {
        return SystemRandom::new().fill(out);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let stale = buffer.process != process || now.saturating_sub(buffer.filled_at) > MAX_AGE;
        if stale || buffer.used + out.len() > BUFFER_LEN {
            buffer.refill(process, now)?;
        }
        let end = buffer.used + out.len();
        if let Some(fresh) = buffer.bytes.get_mut(buffer.used..end) {
            out.copy_from_slice(fresh);
            fresh.fill(0);
        }
        buffer.used = end;
        Ok(())
    })
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl Buffer {
    fn refill(&mut self, process: u64, now: Duration) -> Result<()> {
        let mut seed = Zeroizing::new([0; 32]);
        self.used = BUFFER_LEN;
        SystemRandom::new().fill(seed.as_mut_slice())?;
        ChaCha20Rng::from_seed(*seed).fill_bytes(&mut self.bytes);
        self.used = 0;
        self.process = process;
        self.filled_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_do_not_repeat_within_and_across_refills() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            assert!(seen.insert(BufferedRandom::new().nonce(Duration::ZERO).unwrap()));
        }
    }

    #[test]
    fn used_bytes_are_erased() {
        let mut out = [0; 24];
        fill_at(Duration::ZERO, &mut out).unwrap();
        BUFFER.with_borrow(|buffer| {
            let used = &buffer.bytes[..buffer.used];
            assert!(used.iter().all(|byte| *byte == 0));
        });
    }

    #[test]
    fn a_buffer_older_than_a_second_is_thrown_away() {
        let mut out = [0; 24];
        fill_at(Duration::from_secs(1), &mut out).unwrap();
        let before = BUFFER.with_borrow(|buffer| buffer.bytes.to_vec());
        fill_at(Duration::from_secs(1) + MAX_AGE + Duration::from_nanos(1), &mut out).unwrap();
        let after = BUFFER.with_borrow(|buffer| buffer.bytes.to_vec());
        assert_ne!(before[500..], after[500..]);
    }
}
