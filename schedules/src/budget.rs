//! What a budget is promised.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use shuttle::thread;

use crate::Property;
use crate::cache::lease::{Lease, Purse};
use crate::cache::sync::Arc;

pub const ALL: &[Property] = &[
    ("leases never spend more than the budget", never_overspent),
    ("what was not spent can be spent by another", all_of_it),
];

const MESSAGES: u64 = 5;
const BYTES: u64 = 40;

/// Spends what it can get, `len` bytes a message, and gives the rest back.
fn spend(purse: &Purse, len: u64, most: usize) -> u64 {
    let mut lease = Lease::default();
    let mut spent = 0;
    for _ in 0..most {
        if !lease.spend(len) {
            purse.give_back(std::mem::take(&mut lease));
            match purse.lease(len, 0) {
                Some(next) => lease = next,
                None => break,
            }
            assert!(lease.spend(len), "a lease covers what it was asked for");
        }
        spent += 1;
    }
    purse.give_back(lease);
    spent
}

/// Broken by taking with a load and a store in place of an exchange.
fn never_overspent() {
    let purse = Arc::new(Purse::new(MESSAGES, BYTES, 80));
    let bytes = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = [3_u64, 10, 17]
        .into_iter()
        .map(|len| {
            let (purse, bytes) = (purse.clone(), bytes.clone());
            thread::spawn(move || {
                let spent = if len == 10 {
                    purse.reserve([len, len, len].into_iter(), 3)
                } else {
                    spend(&purse, len, 4)
                };
                bytes.fetch_add(spent * len, SeqCst);
                spent
            })
        })
        .collect();
    let messages: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(messages <= MESSAGES, "{messages} messages");
    assert!(bytes.load(SeqCst) <= BYTES, "{} bytes", bytes.load(SeqCst));
}

/// Broken by not giving back the messages of a lease whose bytes could not be had.
fn all_of_it() {
    let purse = Arc::new(Purse::new(MESSAGES, BYTES, 80));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let purse = purse.clone();
            thread::spawn(move || {
                // Longer than what is left: gets nothing and must take nothing.
                assert_eq!(spend(&purse, BYTES + 1, 1), 0);
                spend(&purse, 1, 1)
            })
        })
        .collect();
    let spent: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(spent, 2);
    assert_eq!(spend(&purse, 1, 100), MESSAGES - spent);
}
