//! Randomness that is not random: the same bytes on every run, for vectors and tests.
//!
//! **Never for a key, a salt or anything else that leaves a test.** Whoever knows the seed, or 8 bytes
//! of output, knows all the rest.

use std::sync::Mutex;
use std::sync::PoisonError;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, RandomSource, Result};

/// Predictable bytes from a 64-bit seed. **Not a random generator: everybody can predict it.**
///
/// The bytes are `SplitMix64` outputs (Steele, Lea, Flood 2014), each as 8 little-endian bytes, one
/// endless string from which every call takes the next part. A reader in another language makes
/// them in five lines, and vectors made from them stay the same.
#[derive(Debug)]
pub struct SeededRandom {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counter: u64,
    word: [u8; 8],
    used: usize,
}

impl SeededRandom {
    /// Begins the string that belongs to `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: Mutex::new(State { counter: seed, word: [0; 8], used: 8 }) }
    }
}

impl RandomSource for SeededRandom {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        out.fill_with(|| state.next_byte());
        Ok(())
    }
}

impl State {
    fn next_byte(&mut self) -> u8 {
        if self.used >= self.word.len() {
            self.word = self.next_word().to_le_bytes();
            self.used = 0;
        }
        let byte = self.word.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }

    fn next_word(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.counter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A generator that always fails, as a system's may.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct FailingRandom;

impl FailingRandom {
    /// Fails from the first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl RandomSource for FailingRandom {
    fn fill(&self, _: &mut [u8]) -> Result<()> {
        Err(CryptoError::new(ErrorKind::Internal, Operation::Primitive)
            .with_detail("this random generator always fails"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_is_splitmix64_and_does_not_depend_on_how_it_is_cut() {
        let mut whole = [0; 24];
        SeededRandom::new(1_234_567).fill(&mut whole).unwrap();
        // Published outputs of SplitMix64 for seed 1234567.
        let words =
            [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(whole.to_vec(), words.map(u64::to_le_bytes).concat());

        let pieces = SeededRandom::new(1_234_567);
        let mut cut = [0; 24];
        for piece in cut.chunks_mut(5) {
            pieces.fill(piece).unwrap();
        }
        assert_eq!(cut, whole);
    }
}
