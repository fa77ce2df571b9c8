//! The range planner: from a stored length and a wanted range to the bytes to fetch, without a key
//! and without I/O. Every length error shows before a key is asked for.

use std::ops::Range;

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use crate::chunks::{CHUNK_LEN, PROLOGUE_LEN, SEALED_CHUNK_LEN, body_len, plaintext_len};

/// What to fetch for a range of plaintext, counted from the start of the body (behind the header).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RangePlan {
    /// Salt and commitment: needed once per message.
    pub prologue: Range<u64>,
    /// The sealed chunks that hold the range.
    pub chunks: Range<u64>,
    /// Number of the first of them.
    pub first_chunk: u64,
    /// Whether the last of them ends the message.
    pub includes_last: bool,
    /// Bytes to drop from the front of the opened chunks.
    pub skip: usize,
    /// Bytes of plaintext to give.
    pub len: u64,
    /// The last chunk: opening it authenticates the message's length.
    pub last_chunk: Range<u64>,
}

/// Plans how to read `wanted` (plaintext bytes) of a body of `stored_len` bytes.
///
/// A range that reaches beyond the end is cut at it; one that starts beyond is empty. Either has the
/// last chunk in its plan, because only that one can tell that the message ends there.
///
/// # Errors
/// [`ErrorKind::AuthenticationFailed`] for a length that no body has,
/// [`ErrorKind::InvalidInput`] for a range that ends before it starts.
pub fn plan_range(stored_len: u64, wanted: Range<u64>) -> Result<RangePlan> {
    if wanted.end < wanted.start {
        return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Open)
            .with_detail("the range ends before it starts"));
    }
    let total = plaintext_len(stored_len)?;
    debug_assert_eq!(body_len(total).ok(), Some(stored_len));
    let start = wanted.start.min(total);
    let end = wanted.end.min(total);
    let last = total / CHUNK_LEN as u64;
    let first_chunk = (start / CHUNK_LEN as u64).min(last);
    // The chunk after the last wanted byte; at least one chunk is fetched.
    let end_chunk = if wanted.end > total { last + 1 } else { end.div_ceil(CHUNK_LEN as u64) };
    let end_chunk = end_chunk.max(first_chunk + 1).min(last + 1);
    let offset = |chunk: u64| PROLOGUE_LEN as u64 + chunk * SEALED_CHUNK_LEN as u64;
    Ok(RangePlan {
        prologue: 0..PROLOGUE_LEN as u64,
        chunks: offset(first_chunk)..offset(end_chunk).min(stored_len),
        first_chunk,
        includes_last: end_chunk == last + 1,
        skip: usize::try_from(start - first_chunk * CHUNK_LEN as u64).unwrap_or(usize::MAX),
        len: end - start,
        last_chunk: offset(last)..stored_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_covers_its_range_and_no_chunk_more() {
        let chunk = CHUNK_LEN as u64;
        for total in [0, 1, chunk - 1, chunk, chunk + 1, 5 * chunk + 7] {
            let stored = body_len(total).unwrap();
            for start in [0, 1, chunk - 1, chunk, 3 * chunk, total] {
                for len in [0, 1, chunk, 2 * chunk + 5, u64::MAX / 2] {
                    let plan = plan_range(stored, start..start + len).unwrap();
                    let first = plan.first_chunk * chunk;
                    let got = plan.chunks.end - plan.chunks.start;
                    let chunks = got.div_ceil(SEALED_CHUNK_LEN as u64);
                    assert!(chunks >= 1 && plan.chunks.end <= stored);
                    assert_eq!(plan.len, total.min(start + len) - total.min(start));
                    assert!(first + plan.skip as u64 + plan.len <= first + chunks * chunk);
                    assert!(plan.skip as u64 + plan.len + chunk > (chunks - 1) * chunk);
                    assert_eq!(plan.includes_last, plan.chunks.end == stored);
                    assert!(plan.includes_last || start + len <= total, "a cut is verified");
                }
            }
        }
    }

    #[test]
    fn a_backward_range_and_an_impossible_length_are_refused() {
        #[expect(clippy::reversed_empty_ranges, reason = "that is the case")]
        let backward = 5..4;
        assert!(plan_range(body_len(10).unwrap(), backward).is_err());
        assert!(plan_range(10, 0..1).is_err());
    }
}
