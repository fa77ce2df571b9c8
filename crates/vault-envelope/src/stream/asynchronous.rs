//! Streams over `futures-io`: under any executor, without one of our own.
//!
//! Readers and writers take turns: after some work without a pause they wake their task and return
//! `Pending` once, so that an input or output that is always ready does not starve other tasks.
//! Left to the caller: which threads do the ciphering of whole streams (a [`Spawner`]).

mod io;
mod oneshot;
mod opener;
mod parallel;
mod pipeline;
mod reader;
mod turn;
mod writer;

#[cfg(feature = "bytes")]
pub(super) use oneshot::{Receiver, channel};
pub use parallel::{Job, Spawner};
pub use reader::AsyncOpenReader;
#[cfg(feature = "bytes")]
pub(super) use turn::Turn;
pub use writer::AsyncSealWriter;
