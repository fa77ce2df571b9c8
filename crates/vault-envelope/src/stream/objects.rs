//! Messages as objects in a store: parts of them with one ranged request each, and uploads.
//!
//! What a store is, says [`RangeSource`]; with the feature `object-store` every store of the crate
//! `object_store` is one. Left to others: connecting to a store, retrying its requests, and cleaning
//! up after a process that died in the middle of an upload (stores have life-cycle rules for that).

mod collect;
mod object;
mod options;
mod plaintext;
mod seek;
mod source;
#[cfg(feature = "object-store")]
mod store;
#[cfg(feature = "hazmat")]
pub(crate) mod synthetic;

pub use object::SealedObject;
pub use options::ObjectOptions;
pub use plaintext::PlaintextStream;
pub use seek::ObjectReader;
pub use source::{ByteStream, FirstBytes, ObjectVersion, RangeSource, single};
#[cfg(feature = "object-store")]
pub use store::{HeaderObject, ObjectWriter, StoreObject};
