//! Journey 3: a large object in a store: uploaded in parts, read by ranges, rewrapped without its body.
//!
//! The store is in memory. For a bucket take `object_store`'s `AmazonS3Builder` and its like.

use std::error::Error;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use vaultkit::core::EncryptionContext;
use vaultkit::envelope::EnvelopeEncryption;
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(object_store())
}

async fn object_store() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(folder.path().join("keys")))?;
    let envelope = EnvelopeEncryption::builder(Arc::new(kms), "default").build()?;
    let context = EncryptionContext::from([("object", "backup")]);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (body, header) = (Path::from("backup.vk"), Path::from("backup.vk.vkh"));

    // In bounded memory; the object is there after `finish`, all of it or none.
    let mut out = envelope.object_writer_detached(store.clone(), &body, &header, &context).await?;
    for part in 0..30 {
        out.write_plaintext(&vec![part; 1 << 20]).await?;
    }
    out.finish().await?;

    // One request for the header and one for the beginning of the body, then one for each read.
    let object = envelope.open_object_detached(store.clone(), &body, &header, &context).await?;
    assert_eq!(object.range(5 << 20..6 << 20).await?, vec![5; 1 << 20]);
    assert_eq!(object.len().await?, 30 << 20); // the last chunk says so, not the store

    // To the key's current version: the header's object is replaced, the body's is not read.
    envelope.rewrap_object(&*store, &header).await?;
    Ok(())
}
