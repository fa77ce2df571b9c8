//! The integration tests of the envelope, one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, where a panic is the report"
)]

mod it {
    mod allowed;
    mod branch;
    #[cfg(feature = "async")]
    mod asynchronous;
    #[cfg(feature = "hazmat")]
    #[path = "../../examples/vectors/catalogue.rs"]
    mod catalogue;
    mod cache;
    mod cache_faults;
    mod clouds;
    mod compact;
    mod conformance;
    mod hedging;
    mod hostile;
    #[cfg(feature = "hazmat")]
    mod interop;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod key_pairs;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod people;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod producer;
    #[cfg(all(feature = "object-store", feature = "hazmat"))]
    mod objects;
    mod records;
    #[cfg(all(feature = "hazmat", feature = "async"))]
    mod redaction;
    mod recipients;
    #[cfg(all(feature = "passphrase", feature = "hpke"))]
    mod recipients_people;
    mod rewrap;
    mod shares;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod slot_vectors;
    mod streams;
    mod support;
    #[cfg(feature = "hazmat")]
    mod vectors;
}
