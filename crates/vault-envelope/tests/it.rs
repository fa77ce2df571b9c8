//! The integration tests of the envelope, one binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, where a panic is the report"
)]

mod it {
    mod allowed;
    #[cfg(feature = "async")]
    mod asynchronous;
    mod branch;
    mod cache;
    mod cache_faults;
    #[cfg(feature = "hazmat")]
    #[path = "../../examples/vectors/catalogue.rs"]
    mod catalogue;
    mod clouds;
    mod compact;
    mod conformance;
    mod hedging;
    mod hostile;
    #[cfg(feature = "hazmat")]
    mod interop;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod key_pairs;
    #[cfg(all(feature = "object-store", feature = "hazmat"))]
    mod objects;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod people;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod producer;
    mod recipients;
    #[cfg(all(feature = "passphrase", feature = "hpke"))]
    mod recipients_people;
    mod records;
    #[cfg(all(feature = "hazmat", feature = "object-store"))]
    mod redaction;
    mod rewrap;
    mod shares;
    #[cfg(all(feature = "passphrase", feature = "hpke", feature = "rsa"))]
    mod slot_vectors;
    mod streams;
    mod support;
    #[cfg(feature = "hazmat")]
    mod vectors;
}
