#![doc = include_str!("../README.md")]

mod audit;
mod calls;
mod clock;
pub mod conformance;
#[cfg(feature = "proxy")]
mod date;
#[cfg(target_os = "linux")]
mod dump;
#[cfg(any(feature = "fake-azure", feature = "fake-google"))]
pub mod fakes;
mod faults;
mod faulty_storage;
#[cfg(feature = "logs")]
mod listener;
mod memory_kms;
#[cfg(feature = "proxy")]
pub mod proxy;
mod random;
pub mod redaction;
#[cfg(all(unix, feature = "servers"))]
pub mod servers;
#[cfg(feature = "proxy")]
pub mod tls;

pub use audit::MemoryAudit;
pub use calls::CallCounts;
pub use clock::VirtualClock;
#[cfg(target_os = "linux")]
pub use dump::{MemoryArea, process_memory};
pub use faults::{Fault, Faults, FaultyKms};
pub use faulty_storage::FaultyStorage;
#[cfg(feature = "logs")]
pub use listener::LogListener;
pub use memory_kms::MemoryKms;
pub use random::{FailingRandom, SeededRandom};
