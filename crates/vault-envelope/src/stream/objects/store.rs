//! Every store of the crate `object_store` as a place for messages.
//!
//! An entity tag pins what is read. Errors keep no words of a server and no address, which may hold a
//! signature: the caller's own store can log those.

mod error;
mod header;
mod open;
mod part;
mod upload;
mod writer;

pub use header::HeaderObject;
pub use open::StoreObject;
pub use writer::ObjectWriter;
