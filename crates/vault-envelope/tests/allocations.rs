//! Own binary: it counts every allocation.
//!
//! What a cache hit allocates, and what a cached key costs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, where a panic is the report"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use vault_crypto_core::{EncryptedData, EncryptionContext};
use vault_envelope::EnvelopeEncryption;
use vault_testkit::MemoryKms;

/// The system's allocator, counting what this thread asks it for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

fn note(allocations: u64, bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    LIVE_BYTES.set(LIVE_BYTES.get() + bytes);
}

#[expect(unsafe_code, reason = "an allocator is unsafe by nature; this one passes everything on")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The output of a future that never waits.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn envelope(kms: &Arc<MemoryKms>) -> vault_envelope::EnvelopeBuilder {
    let scope = [("tenant", "acme"), ("table", "cards")];
    EnvelopeEncryption::builder(kms.clone(), "app").scope(scope)
}

fn allocations<T>(run: impl FnOnce() -> T) -> u64 {
    let before = ALLOCATIONS.get();
    let output = run();
    let made = ALLOCATIONS.get() - before;
    drop(output);
    made
}

#[test]
fn a_hit_allocates_nothing_but_its_output() {
    let kms = Arc::new(MemoryKms::new());
    kms.add_key("app").unwrap();
    let envelope = envelope(&kms).build().unwrap();
    let pairs = [("table", "cards"), ("row", "42"), ("column", "number"), ("version", "7")];
    let context = EncryptionContext::from(pairs);
    let value = [7; 1_024];
    let sealed = at_once(envelope.encrypt(&value, &context)).unwrap();
    at_once(envelope.decrypt(&sealed, &context)).unwrap();
    for _ in 0..3_000 {
        assert_eq!(allocations(|| at_once(envelope.encrypt(&value, &context)).unwrap()), 1);
        assert_eq!(allocations(|| at_once(envelope.decrypt(&sealed, &context)).unwrap()), 1);
    }
}

#[test]
fn a_cached_key_costs_at_most_512_bytes_beside_its_place_in_the_pool() {
    const KEYS: i64 = 1_000;
    let kms = Arc::new(MemoryKms::new());
    kms.add_key("app").unwrap();
    let context = EncryptionContext::new();
    let alone = envelope(&kms).without_cache().build().unwrap();
    let seal = |_| at_once(alone.encrypt(b"value", &context)).unwrap();
    let records: Vec<EncryptedData> = (0..KEYS).map(seal).collect();
    let envelope = envelope(&kms).build().unwrap();
    at_once(envelope.encrypt(b"value", &context)).unwrap();
    let before = LIVE_BYTES.get();
    for record in &records {
        at_once(envelope.decrypt(record, &context)).unwrap();
    }
    let each = (LIVE_BYTES.get() - before) / KEYS;
    // As many as fit with two of a thousand pushed out by the unevenness of the shelves.
    assert!(envelope.cache().stats().opening_keys as i64 > KEYS * 9 / 10);
    assert!(each <= 512, "{each} bytes, of which the header has {}", records[0].len() - 77);
}
