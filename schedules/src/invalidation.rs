//! What whoever invalidates is promised.

use shuttle::future::block_on;
use shuttle::thread;

use crate::Property;
use crate::cache::sync::Arc;
use crate::model::{Cache, PRINT};

pub const ALL: &[Property] = &[
    ("an invalidation beats the fills under way", an_invalidation_beats_fills),
    ("whoever asks after an invalidation gets nothing from before it", nothing_from_before),
    ("what is kept is not wiped, and what was let go is", wiped_or_kept),
];

fn asking(cache: &Arc<Cache>) -> thread::JoinHandle<()> {
    let cache = cache.clone();
    thread::spawn(move || drop(block_on(cache.key(PRINT)).unwrap()))
}

/// Broken by admitting without asking `Orders::named_since`, by asking before the shelf is locked, and by
/// sweeping before the order is given.
fn an_invalidation_beats_fills() {
    let cache = Cache::new(4);
    let fills = [asking(&cache), asking(&cache)];
    let era = cache.change();
    for fill in fills {
        fill.join().unwrap();
    }
    assert!(cache.store.get(PRINT).is_none_or(|key| key.era >= era));
}

/// Broken by giving a flight's key no number, so that whoever comes later takes a seat in it.
fn nothing_from_before() {
    let cache = Cache::new(4);
    let early = asking(&cache);
    let other = {
        let cache = cache.clone();
        thread::spawn(move || {
            let era = cache.change();
            assert!(block_on(cache.key(PRINT)).unwrap().use_it().is_none_or(|used| used >= era));
        })
    };
    let era = cache.change();
    assert!(block_on(cache.key(PRINT)).unwrap().era >= era);
    early.join().unwrap();
    other.join().unwrap();
}

/// Broken by dropping what was swept off a shelf, or had to make room there, without letting go of it.
fn wiped_or_kept() {
    let cache = Cache::new(1);
    let threads = [PRINT, PRINT + 1].map(|print| {
        let cache = cache.clone();
        thread::spawn(move || (print, block_on(cache.key(print)).unwrap()))
    });
    cache.change();
    for (print, key) in threads.map(|thread| thread.join().unwrap()) {
        let kept = cache.store.get(print).is_some_and(|kept| Arc::ptr_eq(&kept, &key));
        // What was never kept is good for those who waited for it, until they are done.
        let usable = kept || !key.was_shelved();
        assert_eq!(key.use_it().is_some(), usable, "kept: {kept}");
    }
    assert!(cache.store.len() <= 1);
}
