//! The newest generation that the store has had, kept beside the master under a MAC, so that an old
//! copy of the key file is noticed (docs/LOCAL-STORE.md section 5).

use vault_crypto_core::{Result, constant_time_eq};

use crate::codec::Reader;
use crate::error::damaged;
use crate::id::StoreId;
use crate::master::Root;

const MAGIC: &[u8; 8] = b"\xf8vkg\x01\0\0\0";
const MAC_LEN: usize = 32;
/// Longest file of this kind.
pub(crate) const MAX_LEN: u64 = 56;

/// The file's bytes.
pub(crate) fn encode(store: StoreId, generation: u64, root: &Root) -> Vec<u8> {
    let mut out = [&MAGIC[..], &store.0, &generation.to_be_bytes()].concat();
    let mac = root.generation_mac(store, &out);
    out.extend_from_slice(mac.as_slice());
    out
}

/// The generation that the file records for this store.
pub(crate) fn decode(bytes: &[u8], store: StoreId, root: &Root) -> Result<u64> {
    let fault = || {
        damaged(
            "the file `generation` is damaged or of another store; put the right one back, or restore the store from a backup with --accept-older",
        )
    };
    let (content, stored) = bytes.split_last_chunk::<MAC_LEN>().ok_or_else(fault)?;
    if !constant_time_eq(root.generation_mac(store, content).as_slice(), stored) {
        return Err(fault());
    }
    let mut reader = Reader::new(content);
    let magic_fits = reader.array().is_some_and(|magic| magic == MAGIC);
    let store_fits = reader.array().is_some_and(|id| *id == store.0);
    let generation = reader.u64().filter(|_| magic_fits && store_fits && reader.is_empty());
    generation.ok_or_else(fault)
}

/// The store that a file claims to belong to; not authenticated.
pub(crate) fn claimed_store(bytes: &[u8]) -> Option<StoreId> {
    let mut reader = Reader::new(bytes);
    reader.array::<8>().filter(|magic| *magic == MAGIC)?;
    reader.array().copied().map(StoreId)
}
