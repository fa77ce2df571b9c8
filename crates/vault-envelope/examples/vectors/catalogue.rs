//! All test vectors, file by file. Keys and salts come from the vectors' names, so that no two share
//! one and every run gives the same bytes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a generator of test data, where a panic is the report"
)]

mod compact;
mod fixed_kms;
mod headers;
mod keys;
mod padding;
mod raw;
mod records;
mod slots;
mod streams;
mod vector;

pub(crate) use fixed_kms::{FixedKms, KEY_ID};
use vector::render;

/// The files of docs/vectors: name and text.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let mut headers = headers::vectors();
    headers.extend(slots::vectors());
    vec![
        ("compact.json", render(&compact::vectors())),
        ("headers.json", render(&headers)),
        ("keys.json", render(&keys::vectors())),
        ("padding.json", render(&padding::vectors())),
        ("records.json", render(&records::vectors())),
        ("streams.json", render(&streams::vectors())),
    ]
}
