//! The concurrent core of the cache of data keys, in thousands of orders of its threads' steps.
//!
//! The files are the cache's own, with shuttle's locks and atomics under them: each step of one is a place
//! where another thread may go on. `model` puts a small cache together from them; the other modules are
//! what it promises. Not shown: weaker memory than sequential (shuttle has none), time, and the parts of
//! the cache that only one thread sees.
//!
//! Each property was seen to fail on a core that was broken for it; its comment says by which change.

mod budget;
mod flights;
mod invalidation;
mod model;

#[expect(dead_code, unused_imports, reason = "the whole cache uses more of them than its core")]
#[path = "../../crates/vault-envelope/src/cache"]
mod cache {
    pub(crate) mod flight;
    pub(crate) mod lease;
    pub(crate) mod order;
    pub(crate) mod shelf;
    pub(crate) mod store;
    pub(crate) mod sync;
}

/// A sentence, and what shows it.
type Property = (&'static str, fn());

/// Changes of thread that the second half of the runs make at least, so that a bug which needs as many is
/// met with a known probability (Burckhardt and others, 2010).
const DEPTH: usize = 3;
/// Runs of each property unless `VAULTKIT_SCHEDULES` says otherwise.
const RUNS: usize = 5_000;

fn main() {
    let runs = match std::env::var("VAULTKIT_SCHEDULES") {
        Ok(text) => text.parse().expect("VAULTKIT_SCHEDULES is a number"),
        Err(_) => RUNS,
    };
    let only = std::env::args().nth(1);
    for (sentence, run) in [flights::ALL, invalidation::ALL, budget::ALL].concat() {
        if only.as_ref().is_some_and(|part| !sentence.contains(part.as_str())) {
            continue;
        }
        println!("{sentence}");
        shuttle::check_random(run, runs);
        shuttle::check_pct(run, runs, DEPTH);
    }
}
