//! Parts of objects: what comes out, and what is fetched for it.

use std::io::SeekFrom;
use std::ops::Range;
use std::sync::Arc;

use futures_util::{AsyncReadExt as _, AsyncSeekExt as _, StreamExt as _};
use object_store::ObjectStore;
use vault_crypto_core::ErrorKind;
use vault_envelope::hazmat::SyntheticObject;
use vault_envelope::stream::{HeaderObject, Job, ObjectVersion, Spawner, StoreObject};
use vault_envelope::{
    CHUNK_LEN, EnvelopeEncryption, ObjectOptions, Padding, SEALED_CHUNK_LEN, SealedObject,
};

use super::super::support::{block_on, builder, context, envelope, kind_of, pattern};
use super::stores::Counting;
use super::{header_path, open, path, stored};

const CHUNK: u64 = CHUNK_LEN as u64;
const SEALED: u64 = SEALED_CHUNK_LEN as u64;
const MIB: u64 = 1 << 20;
/// Bytes of the first request.
const FIRST: u64 = 32 << 10;

fn each_padding(test: impl Fn(&EnvelopeEncryption)) {
    for padding in [Padding::None, Padding::Padme] {
        test(&builder().padding(padding).build().unwrap());
    }
}

fn opened_with(
    envelope: &EnvelopeEncryption,
    store: &Arc<Counting>,
    options: ObjectOptions,
) -> SealedObject {
    let source = Arc::new(StoreObject::new(store.clone(), path()));
    block_on(envelope.open_source(source, &context(), options)).unwrap()
}

fn synthetic(envelope: &EnvelopeEncryption, source: &Arc<SyntheticObject>) -> SealedObject {
    let options = ObjectOptions::default();
    block_on(envelope.open_source(source.clone(), &context(), options)).unwrap()
}

#[test]
fn a_mebibyte_of_ten_gibibytes_costs_its_chunks_and_one_request() {
    let envelope = envelope();
    let len = 10 << 30;
    let sealer = block_on(envelope.seal_stream(&context(), Some(len))).unwrap();
    let source = Arc::new(SyntheticObject::new(sealer, len).unwrap());
    for start in [0, 5 * CHUNK, len / 2 + 12_345, len - MIB] {
        let before = source.fetched();
        let object = synthetic(&envelope, &source);
        let opened = source.fetched();
        assert_eq!(opened.0 - before.0, 1, "header and prologue are one request");
        let bytes = block_on(object.range(start..start + MIB)).unwrap();
        let read = source.fetched();
        assert_eq!(read.0 - opened.0, 1, "the data is one request");
        let fetched = read.1 - before.1;
        assert!(fetched as f64 <= 1.05 * MIB as f64, "{fetched} bytes for {start}");
        let expected = (start..start + MIB).map(SyntheticObject::byte);
        assert!(bytes.as_slice().iter().copied().eq(expected), "{start}");
    }
    let object = synthetic(&envelope, &source);
    let before = source.fetched();
    assert_eq!(block_on(object.len()).unwrap(), len);
    let after = source.fetched();
    assert_eq!(after.0 - before.0, 1, "the length is the last chunk");
    assert!(after.1 - before.1 <= SEALED);
    assert_eq!(block_on(object.len()).unwrap(), len);
    assert_eq!(source.fetched(), after, "and it is asked for once");
}

/// The plaintext between, and what was fetched for it.
fn read(object: &SealedObject, store: &Counting, range: Range<u64>) -> (Vec<u8>, Vec<Range<u64>>) {
    store.fetched();
    let bytes = block_on(object.range(range)).unwrap();
    (bytes.into_vec(), store.fetched())
}

#[test]
fn a_range_fetches_the_chunks_that_hold_it_and_no_byte_more() {
    let envelope = envelope();
    let plaintext = pattern(20 * CHUNK_LEN + 100);
    let store = stored(&envelope, &plaintext);
    let object = open(&envelope, &store);
    let first = store.fetched();
    assert_eq!(first, [Range { start: 0, end: FIRST }]);
    let body = object.version().len - (21 * 16 + plaintext.len() as u64);
    for (start, end) in [
        (5 * CHUNK, 5 * CHUNK + 1),
        (5 * CHUNK, 6 * CHUNK),
        (6 * CHUNK - 1, 6 * CHUNK + 1),
        (8 * CHUNK + 9, 19 * CHUNK + 8),
        (20 * CHUNK, 20 * CHUNK + 100),
        (3 * CHUNK, 20 * CHUNK + 100),
    ] {
        let (bytes, fetched) = read(&object, &store, start..end);
        assert!(bytes == plaintext[start as usize..end as usize], "{start}..{end}");
        let from = body + start / CHUNK * SEALED;
        let to = (body + end.div_ceil(CHUNK) * SEALED).min(object.version().len);
        assert_eq!(fetched, [Range { start: from, end: to }], "{start}..{end}");
    }
}

#[test]
fn what_came_with_the_first_request_is_not_fetched_again() {
    let envelope = envelope();
    let plaintext = pattern(20 * CHUNK_LEN);
    let store = stored(&envelope, &plaintext);
    let object = open(&envelope, &store);
    store.fetched();
    let (bytes, fetched) = read(&object, &store, 0..CHUNK);
    assert_eq!((bytes.as_slice(), fetched), (&plaintext[..CHUNK_LEN], Vec::new()));
    let (bytes, fetched) = read(&object, &store, 10..20 * CHUNK);
    assert!(bytes == plaintext[10..]);
    assert_eq!(fetched, [Range { start: FIRST, end: object.version().len - 16 }]);

    let plaintext = pattern(20_000);
    let store = stored(&envelope, &plaintext);
    let object = open(&envelope, &store);
    store.fetched();
    assert_eq!(block_on(object.len()).unwrap(), 20_000);
    assert_eq!(block_on(object.range(5..30_000)).unwrap(), &plaintext[5..]);
    assert_eq!(store.fetched(), [], "a small object comes whole");
}

#[test]
fn ranges_share_requests_and_give_what_each_asked_for() {
    each_padding(|envelope| {
        let plaintext = pattern(100 * CHUNK_LEN + 7);
        let len = plaintext.len() as u64;
        let store = stored(envelope, &plaintext);
        let object = open(envelope, &store);
        block_on(object.len()).unwrap();
        store.fetched();
        let wanted = [
            90 * CHUNK..90 * CHUNK + 5,
            20 * CHUNK..20 * CHUNK + 50,
            20 * CHUNK + 10..23 * CHUNK,
            24 * CHUNK + 1..24 * CHUNK + 2,
            50 * CHUNK..50 * CHUNK,
            len - 3..len + 10,
            len..len,
        ];
        let got = block_on(object.ranges(&wanted)).unwrap();
        for (range, got) in wanted.iter().zip(&got) {
            let end = range.end.min(len) as usize;
            assert!(*got == &plaintext[range.start as usize..end], "{range:?}");
        }
        let mut fetched = store.fetched();
        fetched.sort_by_key(|range| range.start);
        assert_eq!(fetched.len(), 3, "{fetched:?}");
        assert!(fetched.windows(2).all(|two| two[0].end <= two[1].start), "nothing twice");

        let many: Vec<_> = (0..40).map(|n| n * 2 * CHUNK..n * 2 * CHUNK + 1).collect();
        let object = opened_with(envelope, &store, ObjectOptions::default().with_gap(0));
        let got = block_on(object.ranges(&many)).unwrap();
        assert!(
            many.iter()
                .zip(&got)
                .all(|(range, got)| got.as_slice()[0] == plaintext[range.start as usize])
        );
    });
}

#[test]
fn every_range_of_every_length_is_the_plaintext_between() {
    each_padding(|envelope| {
        for len in [0, 1, CHUNK_LEN, 2 * CHUNK_LEN - 1, 18 * CHUNK_LEN, 300_001] {
            let plaintext = pattern(len);
            let store = stored(envelope, &plaintext);
            for first_request in [12, 5_000, 1 << 20] {
                let options = ObjectOptions::default().with_first_request(first_request);
                let object = opened_with(envelope, &store, options);
                let edges = [0, 1, CHUNK_LEN - 1, CHUNK_LEN, 17 * CHUNK_LEN, len / 2, len];
                for start in edges.into_iter().filter(|start| *start <= len) {
                    for end in [start, start + 1, start + CHUNK_LEN, len, len + 9] {
                        let end = end.max(start);
                        let got = block_on(object.range(start as u64..end as u64)).unwrap();
                        assert!(got == &plaintext[start..end.min(len)], "{len}: {start}..{end}");
                    }
                }
                assert_eq!(block_on(object.len()).unwrap(), len as u64);
                assert!(block_on(object.open_whole(len)).unwrap().as_slice() == plaintext);
            }
        }
    });
}

#[test]
fn a_range_beyond_the_end_or_backwards_is_refused_and_an_empty_one_asks_for_nothing() {
    each_padding(|envelope| {
        let store = stored(envelope, &pattern(3 * CHUNK_LEN));
        let object = open(envelope, &store);
        #[expect(clippy::reversed_empty_ranges, reason = "that is the case")]
        for range in [3 * CHUNK + 1..3 * CHUNK + 2, 5..4, u64::MAX..u64::MAX] {
            let result = block_on(object.range(range.clone()));
            assert_eq!(kind_of(result), ErrorKind::InvalidInput, "{range:?}");
            assert_eq!(kind_of(block_on(object.ranges(&[0..1, range]))), ErrorKind::InvalidInput);
        }
        store.fetched();
        assert!(block_on(object.range(3 * CHUNK..u64::MAX)).unwrap().is_empty());
        assert!(block_on(object.range(7..7)).unwrap().is_empty());
        assert_eq!(store.fetched(), []);
    });
}

#[test]
fn a_whole_message_over_the_limit_is_refused() {
    each_padding(|envelope| {
        let store = stored(envelope, &pattern(100_000));
        let object = open(envelope, &store);
        assert!(block_on(object.open_whole(100_000)).is_ok());
        assert_eq!(kind_of(block_on(object.open_whole(99_999))), ErrorKind::LimitExceeded);
    });
}

#[test]
fn a_header_longer_than_the_first_request_is_fetched_to_its_end_and_nothing_twice() {
    let envelope = envelope();
    let plaintext = pattern(5 * CHUNK_LEN);
    let store = stored(&envelope, &plaintext);
    let object = opened_with(&envelope, &store, ObjectOptions::default().with_first_request(20));
    let fetched = store.fetched();
    assert_eq!(fetched.len(), 2);
    assert_eq!((fetched[0].end, fetched[1].start), (20, 20));
    assert!(block_on(object.range(0..9)).unwrap() == &plaintext[..9]);
}

#[test]
fn chunks_are_opened_on_the_callers_threads_in_order() {
    let envelope = envelope();
    let plaintext = pattern(100 * CHUNK_LEN + 5);
    let store = stored(&envelope, &plaintext);
    let threads = Arc::new(|job: Job| drop(std::thread::spawn(job)));
    let object = opened_with(&envelope, &store, ObjectOptions::default().with_spawner(threads, 3));
    let len = plaintext.len() as u64;
    assert!(block_on(object.range(7..len)).unwrap() == &plaintext[7..]);
    let dropped: Arc<dyn Spawner> = Arc::new(drop::<Job>);
    let object = opened_with(&envelope, &store, ObjectOptions::default().with_spawner(dropped, 3));
    assert_eq!(kind_of(block_on(object.range(7..len))), ErrorKind::Internal);
}

#[test]
fn a_stream_of_a_part_comes_in_pieces_and_in_order() {
    let envelope = envelope();
    let plaintext = pattern(70 * CHUNK_LEN);
    let store = stored(&envelope, &plaintext);
    let object = open(&envelope, &store);
    store.fetched();
    block_on(async {
        let mut stream = object.stream(CHUNK + 5..60 * CHUNK).await.unwrap();
        let mut got = Vec::new();
        let mut pieces = 0;
        while let Some(piece) = stream.next().await {
            got.extend_from_slice(&piece.unwrap());
            pieces += 1;
        }
        assert!(got == plaintext[CHUNK_LEN + 5..60 * CHUNK_LEN]);
        assert!(pieces >= 4);
        assert!(stream.next().await.is_none());
    });
    assert_eq!(store.fetched().len(), 1);
}

#[test]
fn a_reader_reads_and_seeks_as_a_file_does() {
    each_padding(|envelope| {
        let plaintext = pattern(60 * CHUNK_LEN + 9);
        let store = stored(envelope, &plaintext);
        let len = plaintext.len() as i64;
        block_on(async {
            let mut reader = open(envelope, &store).reader();
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            assert!(all == plaintext);
            assert_eq!(reader.read(&mut [0; 9]).await.unwrap(), 0);
            for (to, at) in [
                (SeekFrom::End(-5), len - 5),
                (SeekFrom::Start(5), 5),
                (SeekFrom::Current(100), 205),
                (SeekFrom::Current(300_000), 300_305),
                (SeekFrom::Current(-300_300), 105),
                (SeekFrom::End(0), len),
                (SeekFrom::End(77), len + 77),
                (SeekFrom::Start(u64::MAX), -1),
            ] {
                assert_eq!(reader.seek(to).await.unwrap(), at as u64, "{to:?}");
                let mut piece = [0; 100];
                let wanted = plaintext.len().saturating_sub(at as usize).min(100);
                reader.read_exact(&mut piece[..wanted]).await.unwrap();
                assert!(piece[..wanted] == plaintext[plaintext.len().min(at as usize)..][..wanted]);
                if wanted == 0 {
                    assert_eq!(reader.read(&mut piece).await.unwrap(), 0);
                }
            }
            reader.seek(SeekFrom::Start(0)).await.unwrap();
            assert!(reader.seek(SeekFrom::Current(-1)).await.is_err());
            assert!(reader.seek(SeekFrom::End(-len - 1)).await.is_err());
        });
    });
}

#[test]
fn a_reader_reads_ahead_in_few_requests_and_never_twice() {
    let envelope = envelope();
    let len: u64 = 30 << 20;
    let sealer = block_on(envelope.seal_stream(&context(), Some(len))).unwrap();
    let source = Arc::new(SyntheticObject::new(sealer, len).unwrap());
    block_on(async {
        let mut reader = synthetic(&envelope, &source).reader();
        let (mut at, mut piece) = (0, vec![0; 50_000]);
        loop {
            let got = reader.read(&mut piece).await.unwrap();
            if got == 0 {
                break;
            }
            let expected = (at..at + got as u64).map(SyntheticObject::byte);
            assert!(piece[..got].iter().copied().eq(expected));
            at += got as u64;
        }
        assert_eq!(at, len);
    });
    let (requests, fetched) = source.fetched();
    assert!(requests <= 12, "{requests} requests");
    assert!(fetched <= len + len / 900 + FIRST, "{fetched} bytes");
}

#[test]
fn a_detached_header_opens_its_body_with_two_requests() {
    each_padding(|envelope| {
        let store = Arc::new(Counting::default());
        let plaintext = pattern(10 * CHUNK_LEN);
        block_on(async {
            let writer = envelope
                .object_writer_detached(store.clone(), &path(), &header_path(), &context())
                .await;
            let mut writer = writer.unwrap();
            writer.write_plaintext(&plaintext).await.unwrap();
            writer.finish().await.unwrap();
            let header = HeaderObject::read(&*store, &header_path()).await.unwrap();
            store.fetched();
            let object = envelope
                .open_object_detached(store.clone(), &path(), &header_path(), &context())
                .await;
            let object = object.unwrap();
            assert_eq!(store.fetched().len(), 2);
            assert!(object.open_whole(usize::MAX).await.unwrap().as_slice() == plaintext);
            assert!(object.range(5..CHUNK + 5).await.unwrap() == &plaintext[5..CHUNK_LEN + 5]);
            assert_ne!(*header.version(), ObjectVersion::default());
        });
    });
}

#[test]
fn objects_in_a_folder_are_read_and_written_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let envelope = envelope();
    let plaintext = pattern(40 * CHUNK_LEN + 1);
    block_on(async {
        let writer = envelope.object_writer(store.clone(), &path(), &context()).await.unwrap();
        let mut writer = writer.with_part_len(100_000);
        writer.write_plaintext(&plaintext).await.unwrap();
        writer.finish().await.unwrap();
        let object = envelope.open_object(store, &path(), &context()).await.unwrap();
        assert_eq!(object.len().await.unwrap(), plaintext.len() as u64);
        assert!(object.range(100..200_000).await.unwrap() == &plaintext[100..200_000]);
        assert!(object.open_whole(1 << 20).await.unwrap().as_slice() == plaintext);
    });
}

#[test]
fn futures_of_objects_move_between_threads() {
    fn check<T: Send>(future: T) -> T {
        future
    }
    let envelope = envelope();
    let store: Arc<dyn ObjectStore> = Arc::new(Counting::default());
    let (path, context) = (path(), context());
    block_on(async {
        let writer = check(envelope.object_writer(store.clone(), &path, &context));
        let mut writer = check(writer.await.unwrap());
        check(writer.write_plaintext(b"value")).await.unwrap();
        check(writer.finish()).await.unwrap();
        let object = check(envelope.open_object(store.clone(), &path, &context)).await.unwrap();
        check(object.range(0..1)).await.unwrap();
        check(object.ranges(&[0..1, 3..4])).await.unwrap();
        check(object.open_whole(9)).await.unwrap();
        let mut stream = check(check(object.stream(0..2)).await.unwrap());
        stream.next().await.unwrap().unwrap();
        let mut reader = check(object.reader());
        check(reader.seek(SeekFrom::End(0))).await.unwrap();
        assert!(check(envelope.rewrap_object(&*store, &path)).await.is_err());
    });
}
