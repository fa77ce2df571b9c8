//! What async streams write and read is what sync ones do, however it comes and goes.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use vault_envelope::stream::Spawner;
use vault_envelope::{CHUNK_LEN, EnvelopeEncryption, Padding};

use super::sources::{Count, Mood, Sink, Slow, threads};
use super::{MIB, each_padding, inline, open, open_all, open_async, seal, seal_all, seal_async};
use crate::it::support::{block_on, context, envelope, pattern};

const LENGTHS: [usize; 8] =
    [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 16 * CHUNK_LEN, 64 * CHUNK_LEN, 3 * MIB + 77];

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
