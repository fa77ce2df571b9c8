//! What is kept: in locked memory, in a store, in a store of objects.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use object_store::memory::InMemory;
use object_store::path::Path;
use vault_crypto_core::derive::BranchKey;
use vault_crypto_core::locked::{LockPolicy, LockedPool};
use vault_crypto_core::storage::Expected;
use vault_crypto_core::{
    HmacSha512Key, KmsProvider as _, MemoryStorage, StorageBackend as _, WrapContext, WrapKind,
};
use vault_envelope::stream::{FirstBytes, HeaderObject, Seeking, StoreObject};
use vault_envelope::{BranchKeys, EnvelopeEncryption, ObjectOptions};
use vault_testkit::MemoryKms;

use super::{DATA_KEY, PLAINTEXT, Printer, VALUE, block_on, context, envelope};

pub(super) fn print_pool(printer: &mut Printer) {
    let pool = LockedPool::new(LockPolicy::Prefer, 16 * 1_024).unwrap();
    printer.print(&pool);
    let shared = pool.store(DATA_KEY).unwrap();
    shared.with(|key| assert_eq!(*key, DATA_KEY)).unwrap();
    printer.print(&shared);
    printer.print(&pool.boxed(|| DATA_KEY).unwrap());
    printer.print(&HmacSha512Key::new(&DATA_KEY));
    printer.print(&BranchKey::new(&DATA_KEY));
}

pub(super) fn print_storage(printer: &mut Printer) {
    let storage = MemoryStorage::new();
    block_on(async {
        storage.put("name", PLAINTEXT, Expected::Absent).await.unwrap();
        printer.print(&storage);
        printer.print(&storage.get("name").await.unwrap().unwrap());
        let page = storage.list("", None, 10).await.unwrap();
        page.entries.iter().for_each(|entry| printer.print(entry));
        printer.print(&page);
    });
}

pub(super) fn print_branches(printer: &mut Printer) {
    let kms = MemoryKms::new();
    let key = kms.add_key("orders").unwrap();
    let branches = BranchKeys::new(Arc::new(MemoryStorage::new()));
    printer.print(&branches);
    let envelope = EnvelopeEncryption::builder(Arc::new(kms), key)
        .scope([("tenant", VALUE)])
        .branch_keys(branches)
        .build()
        .unwrap();
    printer.print(&envelope);
    block_on(async {
        let sealed = envelope.encrypt(PLAINTEXT, &context()).await.unwrap();
        printer.print(&sealed);
        let page = envelope.branches(None, 10).await.unwrap();
        assert_eq!(page.branches.len(), 1);
        page.branches.iter().for_each(|branch| printer.print(branch));
        printer.print(&page);
        let mut moved = Vec::new();
        printer.print(&envelope.rewrap_branches(|branch| moved.push(branch)).await.unwrap());
        moved.iter().for_each(|branch| printer.print(branch));
        let kms = envelope.branch_kms().unwrap();
        printer.print(&kms);
        let context = WrapContext::new(WrapKind::DataKey, super::scope());
        printer.print(&kms.generate_data_key(kms.key_id(), &context).await.unwrap());
    });
}

pub(super) fn print_objects(printer: &mut Printer) {
    let envelope = envelope();
    let (store, path) = (Arc::new(InMemory::new()), Path::from("one"));
    let header = Path::from("one.vkh");
    block_on(async {
        let mut writer = envelope
            .object_writer_detached(store.clone(), &path, &header, &context())
            .await
            .unwrap();
        writer.write_plaintext(PLAINTEXT).await.unwrap();
        printer.print(&writer);
        printer.print(&writer.finish().await.unwrap());
        printer.print(&HeaderObject::read(&*store, &header).await.unwrap());
        let object =
            envelope.open_object_detached(store.clone(), &path, &header, &context()).await.unwrap();
        printer.print(&object);
        let mut reader = object.reader();
        futures_util::AsyncReadExt::read(&mut reader, &mut [0; 4]).await.unwrap();
        printer.print(&reader);
        let mut plaintext = object.stream(0..9).await.unwrap();
        plaintext.next().await.unwrap().unwrap();
        printer.print(&plaintext);
        printer.print(&FirstBytes::new(Bytes::new(), object.version().clone()));
    });
    printer.print(&StoreObject::new(store, path));
    printer.print(&ObjectOptions::default());
}

pub(super) fn print_byte_streams(printer: &mut Printer) {
    let envelope = envelope();
    let of = |bytes: Bytes| stream::iter([Ok::<_, std::io::Error>(bytes)]);
    block_on(async {
        let plaintext = of(Bytes::from_static(PLAINTEXT));
        let mut sealed = envelope.seal_byte_stream(plaintext, &context(), None).await.unwrap();
        let mut message = Vec::new();
        while let Some(piece) = sealed.next().await {
            message.extend_from_slice(&piece.unwrap());
            printer.print(&sealed);
        }
        let stored = of(message.clone().into());
        let mut opened = envelope.open_byte_stream(stored, &context()).await.unwrap();
        assert_eq!(opened.next().await.unwrap().unwrap(), PLAINTEXT);
        printer.print(&opened);
        printer.print(&Seeking::new(std::io::Cursor::new(message)));
    });
}
