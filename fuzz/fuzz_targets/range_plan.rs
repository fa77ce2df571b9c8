//! A plan fetches the chunks of its range, whole, and no other; lengths go there and back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_envelope::{CHUNK_LEN, SEALED_CHUNK_LEN, body_len, plaintext_len, plan_range};
use vaultkit_fuzz::Input;

const CHUNK: u64 = CHUNK_LEN as u64;
const SEALED: u64 = SEALED_CHUNK_LEN as u64;
const PROLOGUE: u64 = 56;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let shift = input.byte() % 64;
    let (stored, start, end) = (input.u64() >> shift, input.u64() >> shift, input.u64() >> shift);
    if let Ok(body) = body_len(stored) {
        assert_eq!(plaintext_len(body).expect("ours"), stored);
    }
    let Ok(total) = plaintext_len(stored) else {
        assert!(plan_range(stored, start..end).is_err());
        return;
    };
    assert_eq!(body_len(total).expect("a length that a body has"), stored);
    let Ok(plan) = plan_range(stored, start..end) else {
        assert!(end < start);
        return;
    };
    assert!(start <= end);
    let (from, to) = (start.min(total), end.min(total));
    assert_eq!(plan.len, to - from);
    assert_eq!(plan.prologue, 0..PROLOGUE);
    assert_eq!(plan.chunks.start, PROLOGUE + plan.first_chunk * SEALED);
    assert!(plan.chunks.start < plan.chunks.end && plan.chunks.end <= stored);
    assert_eq!(plan.includes_last, plan.chunks.end == stored);
    assert!(plan.includes_last || (plan.chunks.end - plan.chunks.start) % SEALED == 0);
    assert_eq!(plan.last_chunk, PROLOGUE + total / CHUNK * SEALED..stored);
    // The range lies in the fetched chunks, and no chunk before or after it is fetched.
    let first = plan.first_chunk * CHUNK;
    assert_eq!(first + plan.skip as u64, from);
    let fetched = (plan.chunks.end - plan.chunks.start).div_ceil(SEALED);
    assert!(to <= first + fetched * CHUNK);
    assert!(fetched == 1 || to > first + (fetched - 1) * CHUNK);
    assert!(plan.skip < CHUNK_LEN || from == total);
});
