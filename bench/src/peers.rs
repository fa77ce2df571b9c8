//! The peers, each called as its own documentation shows, with its data key at hand where it can keep one.
//!
//! What they do differs from ours: docs/PERFORMANCE.md says how. kms-aead is missing, because its releases
//! need a newer compiler than ours.
#![cfg_attr(
    not(feature = "peers"),
    expect(
        unused_variables,
        unused_mut,
        reason = "a build without peers has nobody to give them to"
    )
)]

use crate::cache::threads::Contender;
use crate::timing::Case;

#[cfg(feature = "peers")]
mod bodies;
#[cfg(feature = "peers")]
mod cache;
#[cfg(feature = "esdk")]
mod esdk;
#[cfg(feature = "peers")]
mod fake_aws;
#[cfg(feature = "esdk")]
mod hierarchy;
#[cfg(feature = "peers")]
mod records;

/// Everybody who seals a short value.
pub fn record_sealers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    #[cfg(feature = "peers")]
    cases.extend(records::record_sealers(plaintext));
    #[cfg(feature = "esdk")]
    cases.extend(esdk::record_sealers(plaintext));
    cases
}

/// Everybody who opens a short value that it sealed.
pub fn record_openers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    #[cfg(feature = "peers")]
    cases.extend(records::record_openers(plaintext));
    #[cfg(feature = "esdk")]
    cases.extend(esdk::record_openers(plaintext));
    cases
}

/// Everybody who seals `total` bytes of repeated `piece`.
pub fn body_sealers(piece: &[u8], total: usize) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    #[cfg(feature = "peers")]
    cases.extend(bodies::body_sealers(piece, total));
    cases
}

/// Everybody who opens `total` bytes of repeated `piece` that it sealed.
pub fn body_openers(piece: &[u8], total: usize) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    #[cfg(feature = "peers")]
    cases.extend(bodies::body_openers(piece, total));
    cases
}

/// Everybody who seals a short value under a key that it keeps.
pub fn cache_sealers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    #[cfg(feature = "peers")]
    cases.extend(cache::sealers(plaintext));
    #[cfg(feature = "esdk")]
    cases.extend(hierarchy::sealers(plaintext));
    cases
}

/// Everybody who opens a short value under a key that it keeps, or finds a key and opens nothing.
pub fn cache_openers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let mut cases = Vec::new();
    #[cfg(feature = "peers")]
    cases.extend(cache::openers(plaintext));
    #[cfg(feature = "esdk")]
    cases.extend(hierarchy::openers(plaintext));
    cases
}

/// Everybody whose keys many threads use at once.
pub fn cache_threads(plaintext: &[u8]) -> Vec<Contender<'_>> {
    let mut contenders = Vec::new();
    #[cfg(feature = "peers")]
    contenders.extend(cache::threads(plaintext));
    contenders
}

/// What a herd at one missing key costs, in calls to the service.
pub fn cache_herds() -> Vec<(String, u64)> {
    let mut calls = Vec::new();
    #[cfg(feature = "peers")]
    calls.extend(cache::herds());
    calls
}
