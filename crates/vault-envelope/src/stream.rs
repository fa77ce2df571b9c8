//! Streams: messages of any length in constant memory. A sealer or opener knows the message's key;
//! readers, writers and parallel runs are made from it.

#[cfg(feature = "async")]
mod asynchronous;
mod head;
mod incoming;
mod io;
mod opener;
mod outgoing;
mod parallel;
#[cfg(unix)]
mod positioned;
mod ranges;
mod reader;
mod segment;
mod writer;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncOpenReader, AsyncSealWriter, Job, Spawner};
pub use opener::StreamOpener;
pub use ranges::{RangeReader, ReadAt};
pub use reader::OpenReader;
pub use segment::Workers;
pub use writer::{SealWriter, StreamSealer};
