//! Uploads: all of an object or none of it, in bounded memory; and headers that are replaced.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::AsyncWriteExt as _;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use vault_crypto_core::{CryptoError, ErrorKind, KmsAdmin as _, RotateOptions};
use vault_envelope::stream::HeaderObject;
use vault_envelope::{CHUNK_LEN, EnvelopeEncryption, ObjectWriter, Padding, Rewrapped};

use super::super::support::{block_on, builder, context, envelope, kind_of, kms, pattern};
use super::stores::{Counting, Fault, WORDS, dropped_after};
use super::{header_path, open, path, stored, whole};

/// A part that is no multiple of anything.
const PART: usize = 300_007;

fn writer(envelope: &EnvelopeEncryption, store: &Arc<Counting>) -> ObjectWriter {
    let writer = block_on(envelope.object_writer(store.clone(), &path(), &context()));
    writer.unwrap().with_part_len(PART)
}

fn write(
    envelope: &EnvelopeEncryption,
    store: &Arc<Counting>,
    plaintext: &[u8],
) -> Result<u64, CryptoError> {
    let mut writer = writer(envelope, store);
    block_on(async {
        for piece in plaintext.chunks(70_001) {
            writer.write_plaintext(piece).await?;
        }
        writer.finish().await.map(|version| version.len)
    })
}

fn is_there(store: &Counting) -> bool {
    block_on(store.inner.head(&path())).is_ok()
}

#[test]
fn objects_of_any_length_open_to_what_was_written() {
    for padding in [Padding::None, Padding::Padme] {
        let envelope = builder().padding(padding).build().unwrap();
        for len in [0, 1, CHUNK_LEN, PART - 5_000, PART, 2 * PART, 3_000_000] {
            let plaintext = pattern(len);
            let store = Arc::new(Counting::default());
            let stored = write(&envelope, &store, &plaintext).unwrap();
            assert_eq!(block_on(store.inner.head(&path())).unwrap().size, stored);
            assert!(whole(&envelope, &store) == plaintext, "{len}");
        }
    }
}

#[test]
fn a_small_message_is_one_request_and_a_large_one_goes_in_equal_parts() {
    let envelope = envelope();
    let store = Arc::new(Counting::default());
    write(&envelope, &store, &pattern(100_000)).unwrap();
    assert_eq!(store.puts.load(Ordering::Relaxed), 1);
    assert_eq!(store.uploads.begun.load(Ordering::Relaxed), 0);
    let stored = write(&envelope, &store, &pattern(2_000_000)).unwrap() as usize;
    assert_eq!(store.puts.load(Ordering::Relaxed), 1);
    let parts = store.uploads.parts.lock().unwrap();
    let (last, others) = parts.split_last().unwrap();
    assert!(others.iter().all(|part| *part == PART) && *last <= PART, "{parts:?}");
    assert_eq!(parts.iter().sum::<usize>(), stored);
}

#[test]
fn no_more_parts_are_on_their_way_than_allowed() {
    let envelope = envelope();
    for at_once in [1, 3] {
        let store = Arc::new(Counting::default());
        store.uploads.slowness.store(5, Ordering::Relaxed);
        let plaintext = pattern(4_000_000);
        block_on(async {
            let mut writer = writer(&envelope, &store).with_parts_in_flight(at_once);
            writer.write_plaintext(&plaintext).await.unwrap();
            writer.finish().await.unwrap();
        });
        assert_eq!(store.uploads.most_in_flight.load(Ordering::Relaxed), at_once);
        assert!(whole(&envelope, &store) == plaintext);
    }
}

#[test]
fn there_is_no_object_before_finish() {
    let envelope = envelope();
    let store = Arc::new(Counting::default());
    for len in [1_000, 2_000_000] {
        let mut writer = writer(&envelope, &store);
        block_on(writer.write_plaintext(&pattern(len))).unwrap();
        assert!(!is_there(&store));
        drop(writer);
        assert!(!is_there(&store));
    }
    let mut writer = writer(&envelope, &store);
    block_on(writer.write_plaintext(&pattern(2_000_000))).unwrap();
    block_on(writer.abort());
    assert!(!is_there(&store));
    assert_eq!(store.uploads.aborted.load(Ordering::Relaxed), 1);
}

#[test]
fn a_part_or_an_end_that_fails_aborts_the_upload_and_says_no_word_of_the_server() {
    let envelope = envelope();
    for (part, end) in [(1, 0), (3, 0), (7, 0), (0, 1)] {
        let store = Arc::new(Counting::default());
        store.uploads.failing_part.store(part, Ordering::Relaxed);
        store.uploads.failing_end.store(end, Ordering::Relaxed);
        store.uploads.slowness.store(2, Ordering::Relaxed);
        let error = write(&envelope, &store, &pattern(7 * PART - 9_000)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(!format!("{error:?} {error}").contains(WORDS));
        assert_eq!(store.uploads.aborted.load(Ordering::Relaxed), 1, "part {part}, end {end}");
        assert!(!is_there(&store));
    }
    let store = Arc::new(Counting::default());
    store.misbehave(0, Fault::Refused);
    assert_eq!(kind_of(write(&envelope, &store, b"small")), ErrorKind::Io);
}

#[test]
fn after_an_error_a_writer_stays_failed() {
    let envelope = envelope();
    let store = Arc::new(Counting::default());
    store.uploads.failing_part.store(1, Ordering::Relaxed);
    block_on(async {
        let mut writer = writer(&envelope, &store);
        writer.write_plaintext(&pattern(2_000_000)).await.unwrap_err();
        assert_eq!(kind_of(writer.write_plaintext(b"more").await), ErrorKind::Io);
        writer.close().await.unwrap_err();
        assert_eq!(kind_of(writer.finish().await), ErrorKind::Io);
    });
    assert_eq!(store.uploads.aborted.load(Ordering::Relaxed), 1);
    assert!(!is_there(&store));
}

#[test]
fn a_write_or_close_that_is_dropped_while_pending_loses_and_repeats_nothing() {
    let envelope = envelope();
    let plaintext = pattern(3_000_000);
    let store = Arc::new(Counting::default());
    store.uploads.slowness.store(3, Ordering::Relaxed);
    let mut writer = writer(&envelope, &store).with_parts_in_flight(2);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let mut left = plaintext.as_slice();
    let mut dropped = 0;
    while !left.is_empty() {
        let mut write = writer.write(left);
        match std::pin::Pin::new(&mut write).poll(&mut cx) {
            std::task::Poll::Ready(taken) => left = &left[taken.unwrap()..],
            std::task::Poll::Pending => dropped += 1,
        }
    }
    while !dropped_after(1, writer.close()) {
        dropped += 1;
    }
    assert!(dropped > 10);
    assert!(whole(&envelope, &store) == plaintext);
}

#[test]
fn a_finish_that_is_dropped_at_any_moment_leaves_the_whole_object_or_none() {
    let envelope = envelope();
    let plaintext = pattern(400_000);
    let mut outcomes = [0, 0];
    for polls in 0..20 {
        let store = Arc::new(Counting::default());
        store.uploads.slowness.store(3, Ordering::Relaxed);
        let mut writer = writer(&envelope, &store);
        block_on(writer.write_plaintext(&plaintext)).unwrap();
        dropped_after(polls, writer.finish());
        if is_there(&store) {
            assert!(whole(&envelope, &store) == plaintext);
        }
        outcomes[usize::from(is_there(&store))] += 1;
    }
    assert!(outcomes.iter().all(|outcome| *outcome > 0), "{outcomes:?}");
}

/// A detached message, under a key that was rotated since.
fn rotated(store: &Arc<Counting>) -> EnvelopeEncryption {
    let (kms, key) = kms();
    let envelope = EnvelopeEncryption::builder(kms.clone(), key.clone()).build().unwrap();
    block_on(async {
        let writer = envelope
            .object_writer_detached(store.clone(), &path(), &header_path(), &context())
            .await;
        let mut writer = writer.unwrap();
        writer.write_plaintext(&pattern(100_000)).await.unwrap();
        writer.finish().await.unwrap();
        kms.rotate_key(&key, RotateOptions::default()).await.unwrap();
    });
    envelope
}

fn opens(envelope: &EnvelopeEncryption, store: &Arc<Counting>) -> bool {
    block_on(async {
        let store: Arc<dyn ObjectStore> = store.clone();
        let object =
            envelope.open_object_detached(store, &path(), &header_path(), &context()).await;
        object.unwrap().open_whole(1 << 20).await.unwrap().as_slice() == pattern(100_000)
    })
}

#[test]
fn rewrapping_an_object_writes_its_header_and_nothing_else() {
    let store = Arc::new(Counting::default());
    let envelope = rotated(&store);
    let body = block_on(store.inner.head(&path())).unwrap();
    let before = block_on(HeaderObject::read(&*store, &header_path())).unwrap();
    store.fetched();
    let rewrapped = block_on(envelope.rewrap_object(&*store, &header_path())).unwrap();
    let after = rewrapped.changed().unwrap();
    assert_eq!(store.fetched().len(), 1, "one read");
    assert_ne!(before.bytes(), after.bytes());
    let found = block_on(HeaderObject::read(&*store, &header_path())).unwrap();
    assert_eq!(found.bytes(), after.bytes());
    assert_eq!(found.version().e_tag, after.version().e_tag);
    assert_eq!(block_on(store.inner.head(&path())).unwrap(), body, "the body is what it was");
    assert!(opens(&envelope, &store));
    let again = block_on(envelope.rewrap_object(&*store, &header_path())).unwrap();
    assert!(matches!(again, Rewrapped::Unchanged));
}

#[test]
fn a_header_that_somebody_else_wrote_meanwhile_is_not_overwritten() {
    let store = Arc::new(Counting::default());
    let envelope = rotated(&store);
    let mine = block_on(HeaderObject::read(&*store, &header_path())).unwrap();
    let theirs = block_on(envelope.rewrap_object(&*store, &header_path())).unwrap();
    let theirs = theirs.changed().unwrap();
    let late = block_on(mine.replace(&*store, &header_path(), mine.bytes().to_vec()));
    assert_eq!(kind_of(late), ErrorKind::Conflict);
    let found = block_on(HeaderObject::read(&*store, &header_path())).unwrap();
    assert_eq!(found.bytes(), theirs.bytes());
}

#[test]
fn a_store_without_conditional_writes_does_not_rewrap() {
    let folder = tempfile::tempdir().unwrap();
    let local = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let store = Arc::new(Counting::default());
    let envelope = rotated(&store);
    block_on(async {
        let header = HeaderObject::read(&*store, &header_path()).await.unwrap();
        local.put(&header_path(), header.bytes().to_vec().into()).await.unwrap();
        let rewrapped = envelope.rewrap_object(&local, &header_path()).await;
        assert_eq!(kind_of(rewrapped), ErrorKind::Unsupported);
    });
}

#[test]
fn an_inline_message_or_anything_else_is_no_header_object() {
    let envelope = envelope();
    let store = stored(&envelope, &pattern(100_000));
    let read = |at: &Path| kind_of(block_on(HeaderObject::read(&*store, at)));
    assert_eq!(read(&path()), ErrorKind::Malformed);
    block_on(store.inner.put(&header_path(), vec![0; 100].into())).unwrap();
    assert_eq!(read(&header_path()), ErrorKind::Malformed);
    block_on(store.inner.put(&header_path(), Vec::new().into())).unwrap();
    assert_eq!(read(&header_path()), ErrorKind::Malformed);
    assert_eq!(read(&Path::from("nothing")), ErrorKind::Io);
}

#[test]
fn a_body_under_a_header_of_another_message_does_not_open() {
    let store = Arc::new(Counting::default());
    let envelope = envelope();
    block_on(async {
        for (at, header) in [("a", "a.vkh"), ("b", "b.vkh")] {
            let writer = envelope
                .object_writer_detached(store.clone(), &at.into(), &header.into(), &context())
                .await;
            writer.unwrap().finish().await.unwrap();
        }
        let crossed = envelope
            .open_object_detached(store.clone(), &"a".into(), &"b.vkh".into(), &context())
            .await;
        assert_eq!(kind_of(crossed), ErrorKind::AuthenticationFailed);
    });
}

#[test]
fn an_object_is_replaced_as_a_whole() {
    let envelope = envelope();
    let store = stored(&envelope, b"old");
    let mut writer = writer(&envelope, &store);
    block_on(writer.write_plaintext(&pattern(1_000_000))).unwrap();
    assert_eq!(block_on(open(&envelope, &store).range(0..9)).unwrap(), b"old");
    block_on(writer.finish()).unwrap();
    assert!(whole(&envelope, &store) == pattern(1_000_000));
}
