#![doc = include_str!("../README.md")]

mod allowed;
mod body;
mod branch;
mod budget;
mod builder;
mod cache;
mod chunks;
mod compact;
mod envelope;
mod fresh;
#[cfg(feature = "hazmat")]
pub mod hazmat;
mod hedge;
mod opening;
mod padding;
#[cfg(any(feature = "passphrase", feature = "hpke", feature = "rsa"))]
mod people;
mod plan;
mod recipients;
mod record;
mod rewrap;
mod sealing;
mod shared;
mod shares;
mod slot_key;
pub mod stream;
mod unlock;
mod whole;

pub use allowed::AllowedKeys;
pub use branch::{
    Branch, BranchKeys, BranchKms, BranchPage, BranchRewrap, BranchRewraps, BranchStats,
};
pub use budget::Budget;
pub use builder::EnvelopeBuilder;
pub use cache::{CachePolicy, CacheStats, DataKeyCache, Invalidation};
pub use chunks::{CHUNK_LEN, SEALED_CHUNK_LEN, body_len, plaintext_len};
pub use compact::{COMPACT_OVERHEAD, StoredKey};
pub use envelope::{EnvelopeEncryptedData, EnvelopeEncryption};
pub use opening::OpeningKey;
pub use padding::Padding;
#[cfg(feature = "passphrase")]
pub use people::{Passphrase, PassphraseCost};
#[cfg(any(feature = "hpke", feature = "rsa"))]
pub use people::{PrivateKey, Producer, PublicKey};
pub use plan::{RangePlan, plan_range};
pub use recipients::{Recipient, Recipients, SlotSelector};
pub use rewrap::Rewrapped;
pub use sealing::SealingKey;
#[cfg(feature = "object-store")]
pub use stream::ObjectWriter;
#[cfg(feature = "async")]
pub use stream::{AsyncOpenReader, AsyncSealWriter, Spawner};
#[cfg(feature = "bytes")]
pub use stream::{ObjectOptions, ObjectReader, RangeSource, SealedObject};
pub use stream::{OpenReader, SealWriter, StreamOpener, StreamSealer};
pub use unlock::OpenedBy;
pub use whole::WholeMessage;

/// Longest plaintext of a record in suite 3: 2^30 bytes. Longer values are streams.
pub const MAX_RECORD_LEN: usize = 1 << 30;
