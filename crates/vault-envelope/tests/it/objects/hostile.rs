//! Objects and stores that lie: only authentic plaintext comes out, and the error says what it can.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use futures_util::{AsyncReadExt as _, AsyncSeekExt as _, StreamExt as _};
use object_store::{ObjectStore, ObjectStoreExt as _};
use vault_crypto_core::{CryptoError, ErrorKind};
use vault_envelope::stream::{ByteStream, FirstBytes, ObjectVersion, StoreObject};
use vault_envelope::{CHUNK_LEN, ObjectOptions, RangeSource, SEALED_CHUNK_LEN, SealedObject};

use super::super::support::{block_on, builder, context, envelope, kind_of, kms, pattern};
use super::stores::{Fault, WORDS, dropped_after};
use super::{open, path, stored};

const LEN: usize = 40 * CHUNK_LEN + 77;

/// Everything one can do with an object of which the store is not to be trusted.
fn outcomes(object: &SealedObject, plaintext: &[u8]) -> Vec<Result<Vec<u8>, CryptoError>> {
    let len = plaintext.len() as u64;
    block_on(async {
        vec![
            object.range(10 * CHUNK_LEN as u64..u64::MAX).await.map(|bytes| {
                assert!(bytes == &plaintext[10 * CHUNK_LEN..], "a part to the end");
                bytes.into_vec()
            }),
            object.ranges(&[7..9, 10 * CHUNK_LEN as u64..u64::MAX]).await.map(|bytes| {
                assert!(bytes[1] == &plaintext[10 * CHUNK_LEN..], "several parts");
                Vec::new()
            }),
            object.range(10 * CHUNK_LEN as u64..len).await.map(|bytes| {
                assert!(bytes == &plaintext[10 * CHUNK_LEN..], "a part");
                bytes.into_vec()
            }),
            object.open_whole(usize::MAX).await.map(|whole| {
                assert!(whole.as_slice() == plaintext, "the whole");
                Vec::new()
            }),
            object.len().await.map(|found| {
                assert_eq!(found, len, "the length");
                Vec::new()
            }),
        ]
    })
}

#[test]
fn an_answer_of_other_bytes_than_asked_for_is_an_error_and_never_wrong_plaintext() {
    let envelope = envelope();
    let plaintext = pattern(LEN);
    for (fault, kind) in [
        (Fault::Short(1), ErrorKind::Io),
        (Fault::Short(100_000), ErrorKind::Io),
        (Fault::Long(1), ErrorKind::Io),
        (Fault::Long(1 << 20), ErrorKind::Io),
        (Fault::Breaks(0), ErrorKind::Io),
        (Fault::Breaks(50), ErrorKind::Io),
        (Fault::Refused, ErrorKind::Io),
        (Fault::OtherRange, ErrorKind::Io),
        (Fault::Shifted(1), ErrorKind::AuthenticationFailed),
        (Fault::LongerBy(1), ErrorKind::Conflict),
        (Fault::ShorterBy(1), ErrorKind::Conflict),
        (Fault::Tagless, ErrorKind::Conflict),
    ] {
        let store = stored(&envelope, &plaintext);
        let object = open(&envelope, &store);
        store.misbehave(0, fault);
        for (what, outcome) in outcomes(&object, &plaintext).into_iter().enumerate() {
            let error = outcome.expect_err("it came out");
            assert_eq!(error.kind(), kind, "{fault:?}, case {what}");
            assert!(!format!("{error:?} {error}").contains(WORDS));
        }
        let store: Arc<dyn ObjectStore> = store;
        let opened = block_on(envelope.open_object(store, &path(), &context()));
        let harmless = [Fault::LongerBy(1), Fault::ShorterBy(1), Fault::Tagless];
        assert!(opened.is_err() || harmless.contains(&fault), "{fault:?} at the first request");
    }
}

#[test]
fn a_store_that_lies_about_the_length_all_along_is_found_out_at_the_end() {
    let envelope = envelope();
    let plaintext = pattern(LEN);
    let last = (77 + 16) as u64;
    for fault in [
        Fault::LongerBy(1),
        Fault::LongerBy(SEALED_CHUNK_LEN as u64),
        Fault::LongerBy(1 << 50),
        Fault::ShorterBy(1),
        Fault::ShorterBy(last + SEALED_CHUNK_LEN as u64 - 16),
        Fault::ShorterBy(last + 5),
    ] {
        let store = stored(&envelope, &plaintext);
        store.misbehave(0, fault);
        let object = open(&envelope, &store);
        for (what, outcome) in outcomes(&object, &plaintext).into_iter().enumerate() {
            let kind = outcome.map_or_else(|error| error.kind(), |_| panic!("{fault:?}, {what}"));
            let expected =
                [ErrorKind::AuthenticationFailed, ErrorKind::Io, ErrorKind::InvalidInput];
            assert!(expected.contains(&kind), "{fault:?}, case {what}: {kind:?}");
        }
        block_on(async {
            let mut reader = object.reader();
            assert!(reader.seek(std::io::SeekFrom::End(0)).await.is_err());
            assert!(reader.read_to_end(&mut Vec::new()).await.is_err());
        });
    }
}

#[test]
fn a_range_beyond_what_the_store_says_is_not_taken_to_be_empty_before_the_end_is_verified() {
    let envelope = envelope();
    let store = stored(&envelope, &pattern(LEN));
    store.misbehave(0, Fault::ShorterBy((77 + 16 + 5) as u64));
    let object = open(&envelope, &store);
    let said = (40 * CHUNK_LEN - 5 - 16) as u64;
    for start in [said, said + 1, LEN as u64] {
        let result = block_on(object.range(start..start + 1));
        assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed, "{start}");
    }
}

#[test]
fn every_request_depends_on_the_entity_tag_of_the_first() {
    let envelope = envelope();
    let store = stored(&envelope, &pattern(LEN));
    let object = open(&envelope, &store);
    let tag = object.version().e_tag.clone();
    assert!(tag.is_some());
    block_on(object.range(300_000..400_000)).unwrap();
    block_on(object.len()).unwrap();
    assert_eq!(*store.conditions.lock().unwrap(), [None, tag.clone(), tag]);
}

/// An object whose ranges never end.
struct Endless(Bytes, Arc<AtomicUsize>);

#[async_trait]
impl RangeSource for Endless {
    async fn first(&self, len: u64) -> Result<FirstBytes, CryptoError> {
        self.0.first(len).await
    }

    async fn range(&self, _: Range<u64>, _: &ObjectVersion) -> Result<ByteStream, CryptoError> {
        let taken = self.1.clone();
        let pieces = std::iter::from_fn(move || {
            taken.fetch_add(1, Ordering::Relaxed);
            Some(Ok(Bytes::from(vec![7; 1_000])))
        });
        // Not really: a failing test should end.
        Ok(stream::iter(pieces.take(100_000)).boxed())
    }
}

#[test]
fn no_more_is_taken_of_a_store_than_was_asked_for() {
    let envelope = envelope();
    let store = stored(&envelope, &pattern(LEN));
    let sealed = block_on(async { store.inner.get(&path()).await.unwrap().bytes().await.unwrap() });
    for first_request in [20, 20_000] {
        let taken = Arc::new(AtomicUsize::new(0));
        let source = Arc::new(Endless(sealed.clone(), taken.clone()));
        let options = ObjectOptions::default().with_first_request(first_request);
        let read = block_on(async {
            let object = envelope.open_source(source, &context(), options).await?;
            object.range(0..10).await
        });
        assert!(matches!(kind_of(read), ErrorKind::Io | ErrorKind::AuthenticationFailed));
        assert!(taken.load(Ordering::Relaxed) < 100);
    }
}

#[test]
fn a_length_that_no_message_has_is_refused_before_a_key_is_asked_for() {
    let (kms, key) = kms();
    let envelope = vault_envelope::EnvelopeEncryption::builder(kms.clone(), key).build().unwrap();
    let store = stored(&envelope, &pattern(LEN));
    store.misbehave(0, Fault::ShorterBy(77 + 1));
    let calls = kms.calls().total();
    let open = block_on(envelope.open_object(store, &path(), &context()));
    assert_eq!(kind_of(open), ErrorKind::AuthenticationFailed);
    assert_eq!(kms.calls().total(), calls);
}

#[test]
fn objects_that_were_cut_extended_or_are_something_else_do_not_open() {
    let envelope = envelope();
    let plaintext = pattern(3 * CHUNK_LEN + 5);
    let store = stored(&envelope, &plaintext);
    let sealed =
        block_on(async { store.inner.get(&path()).await.unwrap().bytes().await.unwrap().to_vec() });
    let outcome = |object: Vec<u8>| {
        block_on(async {
            store.inner.put(&path(), object.into()).await.unwrap();
            let object = envelope.open_object(store.clone(), &path(), &context()).await?;
            object.open_whole(usize::MAX).await.map(drop)
        })
    };
    assert!(outcome(sealed.clone()).is_ok());
    for cut in [0, 1, 11, 12, 100] {
        assert_eq!(kind_of(outcome(sealed[..cut].to_vec())), ErrorKind::Malformed, "cut at {cut}");
    }
    let body = sealed.len() - 56 - 3 * SEALED_CHUNK_LEN - 5 - 16;
    for cut in [body, body + 55, body + 56 + 16, body + 56 + SEALED_CHUNK_LEN, sealed.len() - 1] {
        let kind = kind_of(outcome(sealed[..cut].to_vec()));
        assert_eq!(kind, ErrorKind::AuthenticationFailed, "cut at {cut}");
    }
    for more in [1, 16, SEALED_CHUNK_LEN] {
        let extended = [sealed.as_slice(), &vec![7; more]].concat();
        assert_eq!(kind_of(outcome(extended)), ErrorKind::AuthenticationFailed, "{more} more");
    }
    assert_eq!(kind_of(outcome(b"plain text, not sealed".to_vec())), ErrorKind::Malformed);
    let nothing = block_on(envelope.open_object(store, &"nothing".into(), &context()));
    assert_eq!(kind_of(nothing), ErrorKind::Io);
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_a_conflict_or_at_least_not_authentic() {
    let envelope = envelope();
    let plaintext = pattern(LEN);
    for (fault, kind) in [
        (Fault::None, ErrorKind::Conflict),
        (Fault::Tagless, ErrorKind::Conflict),
        (Fault::Forgetful, ErrorKind::AuthenticationFailed),
    ] {
        let store = stored(&envelope, &plaintext);
        store.misbehave(0, fault);
        let object = open(&envelope, &store);
        let other = stored(&envelope, &plaintext);
        block_on(async {
            let other = other.inner.get(&path()).await.unwrap().bytes().await.unwrap();
            store.inner.put(&path(), other.into()).await.unwrap();
        });
        for outcome in outcomes(&object, &plaintext) {
            assert_eq!(kind_of(outcome), kind, "{fault:?}");
        }
    }
}

#[test]
fn a_stream_that_breaks_gives_authentic_pieces_then_one_error_and_then_nothing() {
    let envelope = envelope();
    let plaintext = pattern(100 * CHUNK_LEN);
    let store = stored(&envelope, &plaintext);
    let object = open(&envelope, &store);
    store.misbehave(0, Fault::Breaks(50 * SEALED_CHUNK_LEN));
    block_on(async {
        let mut stream = object.stream(5..u64::MAX).await.unwrap();
        let mut got = Vec::new();
        let error = loop {
            match stream.next().await.unwrap() {
                Ok(piece) => got.extend_from_slice(&piece),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(!got.is_empty() && got == plaintext[5..5 + got.len()]);
        assert!(stream.next().await.is_none());
    });
}

#[test]
fn a_reader_goes_on_where_a_request_failed() {
    let envelope = envelope();
    let plaintext = pattern(100 * CHUNK_LEN);
    let store = stored(&envelope, &plaintext);
    block_on(async {
        let mut reader = open(&envelope, &store).reader();
        let mut got = vec![0; 200_000];
        reader.read_exact(&mut got).await.unwrap();
        store.misbehave(0, Fault::Refused);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).await.unwrap_err();
        store.misbehave(0, Fault::None);
        got.extend_from_slice(&rest);
        reader.read_to_end(&mut got).await.unwrap();
        assert!(got == plaintext);
    });
}

#[test]
fn a_read_that_is_dropped_at_any_moment_leaves_an_object_that_reads() {
    let envelope = envelope();
    let plaintext = pattern(LEN);
    let store = stored(&envelope, &plaintext);
    let threads = Arc::new(|job| drop(std::thread::spawn(job)));
    let options = ObjectOptions::default().with_spawner(threads, 2);
    let source = Arc::new(StoreObject::new(store, path()));
    let object = block_on(envelope.open_source(source, &context(), options)).unwrap();
    for polls in 0..30 {
        dropped_after(polls, object.range(5..LEN as u64));
        dropped_after(polls, object.len());
        dropped_after(polls, object.ranges(&[5..9, 300_000..400_000]));
        assert!(block_on(object.range(5..LEN as u64)).unwrap() == &plaintext[5..]);
    }
}

#[test]
fn a_trailer_of_a_padded_object_is_believed_only_when_it_is_authentic() {
    let envelope = builder().padding(vault_envelope::Padding::Padme).build().unwrap();
    let store = stored(&envelope, &pattern(LEN));
    let object = open(&envelope, &store);
    store.misbehave(0, Fault::Shifted(3));
    for kind in [
        kind_of(block_on(object.len())),
        kind_of(block_on(object.range(0..1))),
        kind_of(block_on(object.open_whole(usize::MAX))),
    ] {
        assert_eq!(kind, ErrorKind::AuthenticationFailed);
    }
}
