//! Streams: messages of any length in constant memory. A sealer or opener knows the message's key;
//! readers, writers and parallel runs are made from it.

#[cfg(feature = "async")]
mod asynchronous;
#[cfg(feature = "bytes")]
mod byte_streams;
mod extent;
mod head;
mod incoming;
mod io;
mod key;
#[cfg(feature = "bytes")]
mod objects;
mod opener;
mod outgoing;
mod parallel;
#[cfg(unix)]
mod positioned;
mod ranges;
mod read_at;
mod reader;
mod segment;
mod writer;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncOpenReader, AsyncSealWriter, Job, Spawner};
#[cfg(feature = "bytes")]
pub use byte_streams::{OpenBytes, SealBytes};
#[cfg(all(feature = "bytes", feature = "hazmat"))]
pub(crate) use objects::synthetic;
#[cfg(feature = "bytes")]
pub use objects::{
    ByteStream, FirstBytes, ObjectOptions, ObjectReader, ObjectVersion, PlaintextStream,
    RangeSource, SealedObject, single,
};
#[cfg(feature = "object-store")]
pub use objects::{HeaderObject, ObjectWriter, StoreObject};
pub use opener::StreamOpener;
pub use ranges::{OpenSeekReader, RangeReader};
pub use read_at::{ReadAt, Seeking};
pub use reader::OpenReader;
pub use segment::Workers;
pub use writer::{SealWriter, StreamSealer};
