//! Async streams beside other tasks: they yield, hold little, and may be dropped at any moment.

use std::pin::pin;
use std::task::Poll;

use futures_util::io::Cursor;
use futures_util::{AsyncReadExt, AsyncWriteExt};
use vault_envelope::CHUNK_LEN;

use super::sources::{Count, Endless, Mood, Poller, Shelf, Sink, Slow};
use super::{MIB, inline, open_all, open_async, seal, seal_all};
use crate::it::support::{block_on, context, envelope, pattern};

/// Plaintext of one segment.
const SEGMENT: usize = 16 * CHUNK_LEN;

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
