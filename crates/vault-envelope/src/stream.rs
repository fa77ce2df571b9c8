//! Streams: messages of any length in constant memory. A sealer or opener knows the message's key;
//! readers, writers and parallel runs are made from it.

mod io;
mod opener;
mod parallel;
#[cfg(unix)]
mod positioned;
mod ranges;
mod reader;
mod segment;
mod writer;

pub use opener::StreamOpener;
pub use ranges::{RangeReader, ReadAt};
pub use reader::OpenReader;
pub use segment::Workers;
pub use writer::{SealWriter, StreamSealer};
