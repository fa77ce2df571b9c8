//! Async streams: the same bytes as the sync ones, fair to other tasks, stoppable at any moment.

mod sources;

use std::io::{Read, Write};
use std::pin::pin;
use std::task::Poll;

use futures_util::io::Cursor;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use vault_crypto_core::{CryptoError, EncryptionContext, ErrorKind, Result};
use vault_envelope::stream::{Job, Spawner};
use vault_envelope::{CHUNK_LEN, EnvelopeEncryption, Padding};

use self::sources::{Count, Endless, FailsOnce, Mood, Poller, Shelf, Sink, Slow, threads};
use super::support::{block_on, builder, context, envelope, kind_of, pattern};

const MIB: usize = 1 << 20;
/// Plaintext of one segment.
const SEGMENT: usize = 16 * CHUNK_LEN;
const LENGTHS: [usize; 8] =
    [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 16 * CHUNK_LEN, 64 * CHUNK_LEN, 3 * MIB + 77];

fn each_padding(test: impl Fn(&EnvelopeEncryption, Padding)) {
    for padding in [Padding::None, Padding::Padme] {
        test(&builder().padding(padding).build().unwrap(), padding);
    }
}

fn seal(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Vec<u8> {
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
    writer.write_all(plaintext).unwrap();
    writer.finish().unwrap()
}

fn open(envelope: &EnvelopeEncryption, sealed: &[u8]) -> Vec<u8> {
    let mut plaintext = Vec::new();
    let mut reader = block_on(envelope.reader(sealed, &context())).unwrap();
    reader.read_to_end(&mut plaintext).unwrap();
    plaintext
}

async fn seal_async(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut writer = envelope.async_writer(&mut sealed, &context()).await.unwrap();
    writer.write_all(plaintext).await.unwrap();
    writer.close().await.unwrap();
    sealed
}

async fn open_async(envelope: &EnvelopeEncryption, sealed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plaintext = Vec::new();
    let reader = envelope.async_reader(sealed, &context()).await;
    reader.map_err(std::io::Error::other)?.read_to_end(&mut plaintext).await?;
    Ok(plaintext)
}

async fn seal_all(
    envelope: &EnvelopeEncryption,
    plaintext: &[u8],
    spawner: &dyn Spawner,
    in_flight: usize,
) -> Result<Vec<u8>> {
    let sealer = envelope.seal_stream(&context(), None).await?;
    let output = Cursor::new(Vec::new());
    Ok(sealer.seal_all_async(plaintext, output, spawner, in_flight, &|_| {}).await?.into_inner())
}

async fn open_all(
    envelope: &EnvelopeEncryption,
    mut sealed: &[u8],
    spawner: &dyn Spawner,
    in_flight: usize,
) -> Result<Vec<u8>> {
    let opener = envelope.open_stream_async(&mut sealed, &context()).await?;
    opener.open_all_async(sealed, Vec::new(), spawner, in_flight, &|_| {}).await
}

fn inline(job: Job) {
    job();
}

#[test]
fn sync_and_async_streams_read_each_other_at_every_edge() {
    each_padding(|envelope, padding| {
        for len in LENGTHS {
            let plaintext = pattern(len);
            let sealed = block_on(seal_async(envelope, &plaintext));
            assert!(open(envelope, &sealed) == plaintext, "{padding:?} {len}");
            let sealed = seal(envelope, &plaintext);
            let opened = block_on(open_async(envelope, &sealed)).unwrap();
            assert!(opened == plaintext, "{padding:?} {len}");
        }
    });
}

#[test]
fn runs_on_a_spawner_and_sync_streams_read_each_other_at_every_edge() {
    let threads = threads();
    let spawners: [(&dyn Spawner, usize); 3] = [(&inline, 0), (&threads, 1), (&threads, 4)];
    each_padding(|envelope, padding| {
        for len in LENGTHS {
            let plaintext = pattern(len);
            let by_sync = seal(envelope, &plaintext);
            for (spawner, in_flight) in spawners {
                let sealed = block_on(seal_all(envelope, &plaintext, spawner, in_flight)).unwrap();
                assert!(open(envelope, &sealed) == plaintext, "{padding:?} {len}");
                let opened = block_on(open_all(envelope, &by_sync, spawner, in_flight)).unwrap();
                assert!(opened == plaintext, "{padding:?} {len}");
            }
        }
    });
}

#[cfg(feature = "hazmat")]
#[test]
fn async_streams_have_the_bytes_of_sync_ones() {
    use std::sync::Arc;
    use vault_testkit::{MemoryKms, SeededRandom, VirtualClock};
    let plaintext = pattern(MIB + CHUNK_LEN);
    each_padding(|_, padding| {
        let fresh = || {
            let kms = MemoryKms::new().with_store("s").with_random(Arc::new(SeededRandom::new(1)));
            let key = kms.add_key("app").unwrap();
            let builder = EnvelopeEncryption::builder(Arc::new(kms), key).padding(padding);
            // Nonces are mixed with the clock.
            let builder = builder.clock(Arc::new(VirtualClock::new()));
            builder.random(Arc::new(SeededRandom::new(2))).build().unwrap()
        };
        let expected = seal(&fresh(), &plaintext);
        assert!(block_on(seal_async(&fresh(), &plaintext)) == expected, "{padding:?}");
        assert!(block_on(seal_all(&fresh(), &plaintext, &inline, 2)).unwrap() == expected);
    });
}

#[test]
fn bytes_that_come_and_go_one_by_one_with_pauses_make_no_difference() {
    each_padding(|envelope, _| {
        let plaintext = pattern(2 * CHUNK_LEN + 3);
        block_on(async {
            let output = Slow::new(Vec::new(), 1, true);
            let mut writer = envelope.async_writer(output, &context()).await.unwrap();
            writer.write_all(&plaintext).await.unwrap();
            writer.flush().await.unwrap();
            let sealed = writer.finish().await.unwrap().inner;
            let input = Slow::new(sealed.as_slice(), 1, true);
            let mut reader = envelope.async_reader(input, &context()).await.unwrap();
            let mut opened = Vec::new();
            reader.read_to_end(&mut opened).await.unwrap();
            assert!(opened == plaintext);

            let sealer = envelope.seal_stream(&context(), None).await.unwrap();
            let input = Slow::new(plaintext.as_slice(), 1, true);
            let output = Slow::new(Vec::new(), 1, true);
            let sealed =
                sealer.seal_all_async(input, output, &inline, 2, &|_| {}).await.unwrap().inner;
            let mut input = Slow::new(sealed.as_slice(), 1, true);
            let opener = envelope.open_stream_async(&mut input, &context()).await.unwrap();
            let output = Slow::new(Vec::new(), 1, true);
            let opened =
                opener.open_all_async(input, output, &inline, 2, &|_| {}).await.unwrap().inner;
            assert!(opened == plaintext);
        });
    });
}

#[test]
fn cut_swapped_and_extended_streams_are_refused() {
    let envelope = envelope();
    let sealed = seal(&envelope, &pattern(3 * CHUNK_LEN + 5));
    let body = sealed.len() - (3 * (CHUNK_LEN + 16) + 5 + 16);
    let chunk = CHUNK_LEN + 16;
    let mut flipped = sealed.clone();
    flipped[body + chunk + 9] ^= 1;
    let mut swapped = sealed.clone();
    swapped[body..body + 2 * chunk].rotate_left(chunk);
    let bad = [
        sealed[..body].to_vec(),
        sealed[..body + chunk].to_vec(),
        sealed[..body + 3 * chunk].to_vec(),
        sealed[..sealed.len() - 1].to_vec(),
        [sealed.as_slice(), &[0]].concat(),
        [sealed.as_slice(), &vec![0; chunk]].concat(),
        flipped,
        swapped,
    ];
    let threads = threads();
    for (index, bad) in bad.iter().enumerate() {
        let error = block_on(open_async(&envelope, bad)).unwrap_err();
        assert_eq!(kind_inside(error), ErrorKind::AuthenticationFailed, "case {index}");
        for spawner in [&inline as &dyn Spawner, &threads] {
            let result = block_on(open_all(&envelope, bad, spawner, 3));
            assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed, "case {index}");
        }
    }
}

fn kind_inside(error: std::io::Error) -> ErrorKind {
    error.downcast::<CryptoError>().unwrap().kind()
}

#[test]
fn a_header_that_is_cut_off_or_lies_is_the_same_error_in_sync_and_async() {
    let envelope = envelope();
    let mut sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
    let head = sealer.detach_header();
    let body = sealer.into_writer(Vec::new()).unwrap().finish().unwrap();
    let sealed = [head.as_slice(), &body].concat();
    let mut cases: Vec<Vec<u8>> = (0..sealed.len()).map(|len| sealed[..len].to_vec()).collect();
    for (at, value) in [(0, 0), (3, 2), (4, 255), (5, 1), (7, 1), (8, 255), (11, 0)] {
        let mut lying = sealed.clone();
        lying[at] = value;
        cases.push(lying);
    }
    let mut kinds = std::collections::HashSet::new();
    for (index, case) in cases.iter().enumerate() {
        let sync = open_kind(block_on(envelope.reader(case.as_slice(), &context())), |reader| {
            reader.read_to_end(&mut Vec::new())
        });
        let input = Slow::new(case.as_slice(), 61, false);
        let reader = block_on(envelope.async_reader(input, &context()));
        let asynchronous =
            open_kind(reader, |reader| block_on(reader.read_to_end(&mut Vec::new())));
        assert_eq!(asynchronous, sync, "case {index}");
        assert!(sync == ErrorKind::Malformed || case.len() >= head.len(), "case {index}");
        kinds.insert(sync);
    }
    assert!(kinds.contains(&ErrorKind::Malformed));
    assert!(kinds.contains(&ErrorKind::Unsupported));
    assert!(kinds.contains(&ErrorKind::AuthenticationFailed));
}

fn open_kind<R>(
    reader: Result<R>,
    read: impl FnOnce(&mut R) -> std::io::Result<usize>,
) -> ErrorKind {
    match reader {
        Err(error) => error.kind(),
        Ok(mut reader) => kind_inside(read(&mut reader).unwrap_err()),
    }
}

#[test]
fn a_record_or_another_context_fails_before_any_plaintext() {
    let envelope = envelope();
    let record = block_on(envelope.encrypt(b"value", &context())).unwrap();
    let as_stream = block_on(envelope.async_reader(record.as_bytes(), &context()));
    assert_eq!(kind_of(as_stream), ErrorKind::InvalidInput);
    let sealed = seal(&envelope, b"value");
    let other = EncryptionContext::from([("row", "43")]);
    let result = block_on(envelope.async_reader(sealed.as_slice(), &other));
    assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_detached_header_opens_its_async_body() {
    let envelope = envelope();
    block_on(async {
        let mut sealer = envelope.seal_stream(&context(), None).await.unwrap();
        let header = sealer.detach_header();
        let mut writer = sealer.into_async_writer(Vec::new());
        writer.write_all(b"body").await.unwrap();
        let body = writer.finish().await.unwrap();
        let mut input = body.as_slice();
        let opener = envelope.open_detached_async(&header, &mut input, &context()).await.unwrap();
        let opened = opener.open_all_async(input, Vec::new(), &inline, 1, &|_| {}).await.unwrap();
        assert_eq!(opened, b"body");
    });
}

#[test]
fn a_writer_that_is_dropped_without_close_leaves_a_message_that_does_not_open() {
    let envelope = envelope();
    for len in [0, 5, 16 * CHUNK_LEN, 17 * CHUNK_LEN] {
        let mut stored = Vec::new();
        block_on(async {
            let mut writer = envelope.async_writer(&mut stored, &context()).await.unwrap();
            writer.write_all(&pattern(len)).await.unwrap();
            writer.flush().await.unwrap();
        });
        assert!(block_on(open_async(&envelope, &stored)).is_err(), "{len}");
    }
}

#[test]
fn close_closes_the_output_once_finish_does_not_and_nothing_is_written_behind_the_end() {
    let envelope = envelope();
    block_on(async {
        let sink = Sink::new(Mood::Ready);
        let (closed, taken) = (sink.closed.clone(), sink.taken.clone());
        let mut writer = envelope.async_writer(sink, &context()).await.unwrap();
        writer.close().await.unwrap();
        let end = taken.get();
        assert_eq!(closed.get(), 1);
        assert!(writer.write(b"more").await.is_err());
        assert_eq!(taken.get(), end);
        let writer = envelope.async_writer(Sink::new(Mood::Ready), &context()).await.unwrap();
        assert_eq!(writer.finish().await.unwrap().closed.get(), 0);
    });
}

#[test]
fn after_an_error_a_writer_and_a_reader_stay_failed() {
    let envelope = envelope();
    block_on(async {
        for (mood, kind) in [
            (Mood::Broken, std::io::ErrorKind::BrokenPipe),
            (Mood::Full, std::io::ErrorKind::WriteZero),
        ] {
            let sink = Sink::new(mood);
            let taken = sink.taken.clone();
            let mut writer = envelope.async_writer(sink, &context()).await.unwrap();
            assert_eq!(writer.write(b"a").await.unwrap_err().kind(), kind);
            assert!(writer.write(b"a").await.is_err());
            assert!(writer.flush().await.is_err());
            assert!(writer.close().await.is_err());
            assert_eq!(kind_of(writer.finish().await), ErrorKind::Io);
            assert_eq!(taken.get(), 0);
        }
        let sealed = seal(&envelope, &pattern(10 * CHUNK_LEN));
        let mut input = sealed.as_slice();
        let opener = envelope.open_stream_async(&mut input, &context()).await.unwrap();
        let mut reader = opener.into_async_reader(FailsOnce::new(input));
        let error = reader.read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(kind_inside(error), ErrorKind::Io);
        assert!(reader.read(&mut [0; 9]).await.is_err());
        let cut = &sealed[..sealed.len() - 1];
        let mut reader = envelope.async_reader(cut, &context()).await.unwrap();
        let mut plaintext = Vec::new();
        reader.read_to_end(&mut plaintext).await.unwrap_err();
        assert!(plaintext == pattern(8 * CHUNK_LEN), "the authentic beginning comes out");
        for _ in 0..2 {
            let error = reader.read(&mut [0; 9]).await.unwrap_err();
            assert_eq!(kind_inside(error), ErrorKind::AuthenticationFailed);
        }
    });
}

#[test]
fn a_failing_input_or_output_is_an_io_error_of_the_whole_run() {
    let envelope = envelope();
    block_on(async {
        for mood in [Mood::Broken, Mood::Full] {
            let sealer = envelope.seal_stream(&context(), None).await.unwrap();
            let plaintext = pattern(9);
            let result = sealer
                .seal_all_async(plaintext.as_slice(), Sink::new(mood), &inline, 1, &|_| {})
                .await;
            assert_eq!(kind_of(result), ErrorKind::Io);
            let sealed = seal(&envelope, &plaintext);
            let mut input = sealed.as_slice();
            let opener = envelope.open_stream_async(&mut input, &context()).await.unwrap();
            let result = opener.open_all_async(input, Sink::new(mood), &inline, 1, &|_| {}).await;
            assert_eq!(kind_of(result), ErrorKind::Io);
        }
    });
}

#[test]
fn a_spawner_that_drops_jobs_is_an_error_not_a_hang() {
    let envelope = envelope();
    let sealed = seal(&envelope, &pattern(MIB));
    let drops = |_: Job| {};
    let drops_later = |job: Job| drop(std::thread::spawn(move || drop(job)));
    for spawner in [&drops as &dyn Spawner, &drops_later] {
        let result = block_on(seal_all(&envelope, &pattern(3 * MIB), spawner, 2));
        assert_eq!(kind_of(result), ErrorKind::Internal);
        assert_eq!(
            kind_of(block_on(open_all(&envelope, &sealed, spawner, 2))),
            ErrorKind::Internal
        );
    }
}

/// Polls until the future only waits for others; gives how often it yielded before.
fn poll_until_idle<F: Future + Unpin>(poller: &Poller, future: &mut F) -> usize {
    for yields in 0.. {
        let before = poller.wakes();
        assert!(poller.poll(future).is_pending());
        if poller.wakes() == before {
            return yields;
        }
    }
    unreachable!("the loop has no end")
}

#[test]
fn no_more_segments_are_in_memory_than_allowed() {
    for in_flight in [1, 3] {
        let envelope = envelope();
        let read = Count::default();
        let shelf = Shelf::default();
        let sink = Sink::new(Mood::Ready);
        let taken = sink.taken.clone();
        let sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
        let mut run = Box::pin(sealer.seal_all_async(
            Endless(read.clone()),
            sink,
            &shelf,
            in_flight,
            &|_| {},
        ));
        let poller = Poller::new();
        for round in 0..3 {
            poll_until_idle(&poller, &mut run);
            assert_eq!(shelf.len(), in_flight, "round {round}");
            assert_eq!(read.get(), (round * in_flight + in_flight) * SEGMENT);
            // The newest first: nothing may be written before the oldest is done.
            let before = taken.get();
            for _ in 1..in_flight {
                shelf.run_newest();
                poll_until_idle(&poller, &mut run);
                assert_eq!(taken.get(), before);
            }
            shelf.run_newest();
        }
    }
}

#[test]
fn progress_counts_every_input_byte_once() {
    each_padding(|envelope, padding| {
        let plaintext = pattern(3 * MIB + 77);
        let (sealed, opened) = (Count::default(), Count::default());
        block_on(async {
            let sealer = envelope.seal_stream(&context(), None).await.unwrap();
            let count = |len: u64| sealed.add(len as usize);
            let input = plaintext.as_slice();
            let stored = sealer.seal_all_async(input, Vec::new(), &threads(), 3, &count).await;
            let stored = stored.unwrap();
            let mut input = stored.as_slice();
            let opener = envelope.open_stream_async(&mut input, &context()).await.unwrap();
            let chunks = input.len();
            let count = |len: u64| opened.add(len as usize);
            opener.open_all_async(input, Vec::new(), &threads(), 3, &count).await.unwrap();
            assert_eq!(opened.get(), chunks);
        });
        assert!(sealed.get() >= plaintext.len(), "{padding:?}");
        assert!(padding == Padding::Padme || sealed.get() == plaintext.len());
    });
}

#[test]
fn a_stuck_output_stops_the_input() {
    let envelope = envelope();
    let sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
    let read = Count::default();
    let sink = Sink::new(Mood::Stuck);
    let mut run = Box::pin(sealer.seal_all_async(Endless(read.clone()), sink, &inline, 2, &|_| {}));
    poll_until_idle(&Poller::new(), &mut run);
    assert_eq!(read.get(), 2 * SEGMENT);

    let sink = Sink::new(Mood::Stuck);
    let mut writer = block_on(envelope.async_writer(sink, &context())).unwrap();
    let data = pattern(MIB);
    let mut write = writer.write_all(&data);
    poll_until_idle(&Poller::new(), &mut write);
    assert_eq!(format!("{writer:?}"), "AsyncSealWriter { written: 0, .. }");
}

#[test]
fn a_run_that_is_dropped_stops_and_its_jobs_may_still_run() {
    let envelope = envelope();
    let shelf = Shelf::default();
    let mut output = Cursor::new(Vec::new());
    let read = Count::default();
    let sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
    let mut run =
        Box::pin(sealer.seal_all_async(Endless(read.clone()), &mut output, &shelf, 2, &|_| {}));
    let poller = Poller::new();
    poll_until_idle(&poller, &mut run);
    shelf.run_newest();
    poll_until_idle(&poller, &mut run);
    drop(run);
    let (bytes, wakes) = (read.get(), poller.wakes());
    shelf.run_newest();
    assert_eq!((read.get(), poller.wakes(), shelf.len()), (bytes, wakes, 0));
    assert!(block_on(open_async(&envelope, output.get_ref())).is_err());
}

#[test]
fn a_read_or_write_that_is_dropped_while_pending_loses_and_repeats_nothing() {
    let envelope = envelope();
    let plaintext = pattern(20 * CHUNK_LEN + 3);
    let poller = Poller::new();
    let output = Slow::new(Vec::new(), 10_007, true);
    let mut writer = block_on(envelope.async_writer(output, &context())).unwrap();
    let mut left = plaintext.as_slice();
    let mut dropped = 0;
    while !left.is_empty() {
        match poller.poll(&mut writer.write(left)) {
            Poll::Ready(len) => left = &left[len.unwrap()..],
            Poll::Pending => dropped += 1,
        }
    }
    while poller.poll(&mut writer.close()).is_pending() {
        dropped += 1;
    }
    assert!(dropped > 20);
    let sealed = block_on(writer.finish()).unwrap().inner;

    let input = Slow::new(sealed.as_slice(), 10_007, true);
    let mut reader = block_on(envelope.async_reader(input, &context())).unwrap();
    let mut opened = Vec::new();
    let mut piece = [0; 5_003];
    loop {
        match poller.poll(&mut reader.read(&mut piece)) {
            Poll::Ready(Ok(0)) => break,
            Poll::Ready(len) => opened.extend_from_slice(&piece[..len.unwrap()]),
            Poll::Pending => dropped += 1,
        }
    }
    assert!(dropped > 40);
    assert!(opened == plaintext);
}

/// Between two pauses no more than this may be sealed or opened.
const TURN: usize = 512 << 10;

#[test]
fn work_that_never_waits_yields_to_other_tasks() {
    let envelope = envelope();
    let len = 4 * MIB;
    let sealed = seal(&envelope, &pattern(len));
    let least = len / TURN;

    let sink = Sink::new(Mood::Ready);
    let mut writer = block_on(envelope.async_writer(sink, &context())).unwrap();
    let data = pattern(len);
    let write = async { writer.write_all(&data).await.unwrap() };
    assert!(yields(write) >= least, "writing");

    let mut reader = block_on(envelope.async_reader(sealed.as_slice(), &context())).unwrap();
    let read = async { assert_eq!(reader.read_to_end(&mut Vec::new()).await.unwrap(), len) };
    assert!(yields(read) >= least, "reading");

    let seals = async { drop(seal_all(&envelope, &data, &inline, 2).await.unwrap()) };
    assert!(yields(seals) >= len / MIB, "sealing on a spawner");
    let opens = async { drop(open_all(&envelope, &sealed, &inline, 2).await.unwrap()) };
    assert!(yields(opens) >= len / MIB, "opening on a spawner");
}

#[test]
fn many_small_reads_and_writes_yield_too() {
    let envelope = envelope();
    let sink = Sink::new(Mood::Ready);
    let mut writer = block_on(envelope.async_writer(sink, &context())).unwrap();
    let writes = async {
        for _ in 0..10_000 {
            writer.write_all(b"a").await.unwrap();
        }
    };
    assert!(yields(writes) >= 50, "writing");
    let sealed = seal(&envelope, &pattern(10_000));
    let mut reader = block_on(envelope.async_reader(sealed.as_slice(), &context())).unwrap();
    let reads = async {
        for _ in 0..10_000 {
            reader.read_exact(&mut [0]).await.unwrap();
        }
    };
    assert!(yields(reads) >= 50, "reading");
}

/// How often a future that nothing holds up is pending; each time it must have woken its task.
fn yields(future: impl Future<Output = ()>) -> usize {
    let poller = Poller::new();
    let mut future = pin!(future);
    for yields in 0.. {
        if poller.poll(&mut future).is_ready() {
            return yields;
        }
        assert_eq!(poller.wakes(), yields + 1, "pending without a wake");
    }
    unreachable!("the loop has no end")
}

#[test]
fn a_whole_message_is_released_only_when_all_of_it_is_authentic() {
    each_padding(|envelope, padding| {
        let plaintext = pattern(200_000);
        let sealed = seal(envelope, &plaintext);
        block_on(async {
            let whole = envelope.open_whole_async(sealed.as_slice(), &context(), 200_000).await;
            assert!(whole.unwrap().as_slice() == plaintext, "{padding:?}");
            let limited = envelope.open_whole_async(sealed.as_slice(), &context(), 199_999).await;
            assert_eq!(kind_of(limited), ErrorKind::LimitExceeded);
            let cut = &sealed[..sealed.len() - 1];
            let cut = envelope.open_whole_async(cut, &context(), 200_000).await;
            assert_eq!(kind_of(cut), ErrorKind::AuthenticationFailed);
        });
    });
}

#[test]
fn futures_move_between_threads() {
    fn check<T: Send>(future: T) -> T {
        future
    }
    let envelope = envelope();
    let context = context();
    block_on(async {
        let sealer = check(envelope.seal_stream(&context, None)).await.unwrap();
        let sealed = check(sealer.seal_all_async(&b"value"[..], Vec::new(), &inline, 1, &|_| {}));
        let sealed = sealed.await.unwrap();
        let mut input = sealed.as_slice();
        let opener = check(envelope.open_stream_async(&mut input, &context)).await.unwrap();
        let opened =
            check(opener.open_all_async(input, Vec::new(), &inline, 1, &|_| {})).await.unwrap();
        assert_eq!(opened, b"value");
        let writer = check(envelope.async_writer(Vec::new(), &context)).await.unwrap();
        let sealed = check(writer.finish()).await.unwrap();
        check(check(envelope.async_reader(sealed.as_slice(), &context)).await.unwrap());
    });
}
