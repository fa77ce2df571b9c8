//! Messages that are not whole or not authentic, and inputs, outputs and spawners that fail.

use std::io::Read;

use futures_util::{AsyncReadExt, AsyncWriteExt};
use vault_crypto_core::{EncryptionContext, ErrorKind, Result};
use vault_envelope::CHUNK_LEN;
use vault_envelope::stream::{Job, Spawner};

use super::sources::{FailsOnce, Mood, Sink, Slow, threads};
use super::{MIB, each_padding, inline, kind_inside, open_all, open_async, seal, seal_all};
use crate::it::support::{block_on, context, envelope, kind_of, pattern};

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
