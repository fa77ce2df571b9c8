//! How objects are read: how much at first, and where chunks are opened.

use std::fmt;
use std::sync::Arc;

use vault_crypto_core::header::PREFIX_LEN;

use crate::stream::{Job, Spawner};

/// Bytes of the first request. A header and its body's beginning are nearly always in it, and small
/// objects whole; a range of 1 MiB still costs less than 1.05 MiB in all.
const FIRST_REQUEST: u64 = 32 << 10;
/// Ranges that are no further apart are one request: cheaper than another round trip.
const GAP: u64 = 64 << 10;

/// How [`SealedObject`](super::SealedObject)s are read. The defaults suit stores across a network.
#[derive(Clone)]
#[must_use]
pub struct ObjectOptions {
    pub(super) first_request: u64,
    pub(super) gap: u64,
    pub(super) spawner: Arc<dyn Spawner>,
    pub(super) in_flight: usize,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        let inline = |job: Job| job();
        let spawner = Arc::new(inline);
        Self { first_request: FIRST_REQUEST, gap: GAP, spawner, in_flight: 1 }
    }
}

impl ObjectOptions {
    /// Bytes of the first request; 32 KiB by default, at least 12. Where a header is longer, its rest takes
    /// another one.
    pub fn with_first_request(mut self, bytes: u64) -> Self {
        self.first_request = bytes.max(PREFIX_LEN as u64);
        self
    }

    /// How many unwanted bytes may lie between two wanted ranges that are fetched with one request;
    /// 64 KiB by default.
    pub fn with_gap(mut self, bytes: u64) -> Self {
        self.gap = bytes;
        self
    }

    /// Opens chunks on `spawner`, at most `in_flight` segments of 256 KiB at once (zero counts as
    /// one); by default in the task that reads.
    pub fn with_spawner(mut self, spawner: Arc<dyn Spawner>, in_flight: usize) -> Self {
        self.spawner = spawner;
        self.in_flight = in_flight.max(1);
        self
    }
}

impl fmt::Debug for ObjectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectOptions")
            .field("first_request", &self.first_request)
            .field("gap", &self.gap)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}
