//! Messages as objects in a store: what is fetched, what is believed, what is left behind.
//!
//! The stores are in memory, in a folder, or behave badly on purpose. What they cannot show: how the
//! service of a cloud answers to conditions and ranges; that is `object_store`'s own test suite.

mod byte_streams;
mod hostile;
mod reading;
mod stores;
mod writing;

use std::sync::Arc;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use vault_crypto_core::SecureBytes;
use vault_envelope::{EnvelopeEncryption, SealedObject};

use self::stores::Counting;
use super::support::{block_on, context};

/// Where the tests put their object.
fn path() -> Path {
    Path::from("tenant/object.vk")
}

/// Where its header is, if it is apart.
fn header_path() -> Path {
    Path::from("tenant/object.vk.vkh")
}

/// A store with the message of `plaintext` in it.
fn stored(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Arc<Counting> {
    let store = Arc::new(Counting::default());
    let sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
    let workers = vault_envelope::stream::Workers::ONE;
    let sealed = sealer.seal_all(plaintext, Vec::new(), workers, &|_| {}).unwrap();
    block_on(store.inner.put(&path(), sealed.into())).unwrap();
    store
}

fn open(envelope: &EnvelopeEncryption, store: &Arc<Counting>) -> SealedObject {
    let store: Arc<dyn ObjectStore> = store.clone();
    block_on(envelope.open_object(store, &path(), &context())).unwrap()
}

fn whole(envelope: &EnvelopeEncryption, store: &Arc<Counting>) -> SecureBytes {
    block_on(open(envelope, store).open_whole(usize::MAX)).unwrap().into_plaintext()
}
