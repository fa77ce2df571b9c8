//! Streams: writers, readers, parallel runs, files, ranges.

use std::io::{Read, Seek, SeekFrom, Write};

use vault_crypto_core::header::Suite;
use vault_crypto_core::{EncryptionContext, ErrorKind};
use vault_envelope::stream::{ReadAt, Workers};
use vault_envelope::{CHUNK_LEN, EnvelopeEncryption, Padding};

use super::support::{block_on, builder, context, envelope, kind_of, pattern};

const LENGTHS: [usize; 9] = [
    0,
    1,
    CHUNK_LEN - 1,
    CHUNK_LEN,
    CHUNK_LEN + 1,
    64 * CHUNK_LEN,
    64 * CHUNK_LEN + 1,
    3 << 20,
    (3 << 20) + 77,
];

fn seal(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Vec<u8> {
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
    writer.write_all(plaintext).unwrap();
    writer.finish().unwrap()
}

fn open(envelope: &EnvelopeEncryption, sealed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plaintext = Vec::new();
    let mut reader =
        block_on(envelope.reader(sealed, &context())).map_err(std::io::Error::other)?;
    reader.read_to_end(&mut plaintext)?;
    Ok(plaintext)
}

#[test]
fn a_stream_opens_to_what_was_written_at_every_edge() {
    for suite in [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305] {
        for padding in [Padding::None, Padding::Padme] {
            let envelope = builder().stream_suite(suite).padding(padding).build().unwrap();
            for len in LENGTHS {
                let plaintext = pattern(len);
                let sealed = seal(&envelope, &plaintext);
                assert!(
                    open(&envelope, &sealed).unwrap() == plaintext,
                    "{suite:?} {padding:?} {len}"
                );
            }
        }
    }
}

#[test]
fn writes_of_any_size_give_the_same_plaintext() {
    let envelope = envelope();
    let plaintext = pattern(300_000);
    for step in [1_000, CHUNK_LEN, 100_001] {
        let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
        for piece in plaintext.chunks(step) {
            writer.write_all(piece).unwrap();
            writer.flush().unwrap();
        }
        assert!(open(&envelope, &writer.finish().unwrap()).unwrap() == plaintext);
    }
}

#[test]
fn parallel_runs_and_single_ones_read_each_other() {
    for padding in [Padding::None, Padding::Padme] {
        let envelope = builder().padding(padding).build().unwrap();
        for len in LENGTHS {
            let plaintext = pattern(len);
            for workers in [1, 2, 5].map(Workers::new) {
                let sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
                let sealed =
                    sealer.seal_all(plaintext.as_slice(), Vec::new(), workers, &|_| {}).unwrap();
                assert!(open(&envelope, &sealed).unwrap() == plaintext);
                let mut input = sealed.as_slice();
                let opener = block_on(envelope.open_stream(&mut input, &context())).unwrap();
                let opened = opener.open_all(input, Vec::new(), workers, &|_| {}).unwrap();
                assert!(opened == plaintext, "{padding:?} {len}");
            }
        }
    }
}

#[test]
fn files_are_sealed_and_opened_in_place_order() {
    for padding in [Padding::None, Padding::Padme] {
        let envelope = builder().padding(padding).build().unwrap();
        for len in LENGTHS {
            let plaintext = pattern(len);
            let mut input = tempfile::tempfile().unwrap();
            input.write_all(&plaintext).unwrap();
            input.rewind().unwrap();
            let mut sealed = tempfile::tempfile().unwrap();
            let sealer = block_on(envelope.seal_stream(&context(), Some(len as u64))).unwrap();
            sealer.seal_file(&input, len as u64, &sealed, Workers::new(3), &|_| {}).unwrap();
            let sealed_len = sealed.metadata().unwrap().len();
            sealed.rewind().unwrap();
            let opener = block_on(envelope.open_stream(&mut sealed, &context())).unwrap();
            let mut output = tempfile::tempfile().unwrap();
            opener.open_file(&sealed, sealed_len, &output, Workers::new(3), &|_| {}).unwrap();
            let mut opened = Vec::new();
            output.rewind().unwrap();
            output.read_to_end(&mut opened).unwrap();
            assert!(opened == plaintext, "{padding:?} {len}");
        }
    }
}

#[test]
fn a_stream_without_finish_does_not_open() {
    let envelope = envelope();
    let mut stored = Vec::new();
    let mut writer = block_on(envelope.writer(&mut stored, &context())).unwrap();
    writer.write_all(&pattern(16 * CHUNK_LEN)).unwrap();
    drop(writer);
    assert!(open(&envelope, &stored).is_err());
}

#[test]
fn cut_swapped_and_extended_streams_are_refused_by_every_reader() {
    let envelope = envelope();
    let sealed = seal(&envelope, &pattern(3 * CHUNK_LEN + 5));
    let body = sealed.len() - (3 * (CHUNK_LEN + 16) + 5 + 16);
    let chunk = CHUNK_LEN + 16;
    let mut bad = vec![
        sealed[..body].to_vec(),
        sealed[..body + chunk].to_vec(),
        sealed[..body + 3 * chunk].to_vec(),
        sealed[..sealed.len() - 1].to_vec(),
        [sealed.as_slice(), &[0]].concat(),
        [sealed.as_slice(), &vec![0; chunk]].concat(),
    ];
    let mut swapped = sealed.clone();
    swapped[body..body + 2 * chunk].rotate_left(chunk);
    bad.push(swapped);
    for (index, bad) in bad.iter().enumerate() {
        assert!(open(&envelope, bad).is_err(), "case {index}");
        let mut input = bad.as_slice();
        let opener = block_on(envelope.open_stream(&mut input, &context())).unwrap();
        let result = opener.open_all(input, Vec::new(), Workers::new(2), &|_| {});
        assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed, "case {index}");
        let whole = block_on(envelope.open_whole(bad.as_slice(), &context(), 1 << 20));
        assert_eq!(kind_of(whole), ErrorKind::AuthenticationFailed, "case {index}");
    }
}

#[test]
fn a_whole_message_is_released_only_when_all_of_it_is_authentic() {
    let envelope = envelope();
    let plaintext = pattern(200_000);
    let sealed = seal(&envelope, &plaintext);
    let whole = block_on(envelope.open_whole(sealed.as_slice(), &context(), 1 << 20)).unwrap();
    assert!(whole.as_slice() == plaintext);
    let limited = block_on(envelope.open_whole(sealed.as_slice(), &context(), 199_999));
    assert_eq!(kind_of(limited), ErrorKind::LimitExceeded);
}

#[test]
fn a_detached_header_opens_its_body_and_no_other() {
    let envelope = envelope();
    let mut parts = Vec::new();
    for _ in 0..2 {
        let mut sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
        let header = sealer.detach_header();
        let mut writer = sealer.into_writer(Vec::new()).unwrap();
        writer.write_all(b"body").unwrap();
        parts.push((header, writer.finish().unwrap()));
    }
    let open = |header: &[u8], mut body: &[u8]| {
        let opener = block_on(envelope.open_detached(header, &mut body, &context()))?;
        opener.open_all(body, Vec::new(), Workers::ONE, &|_| {})
    };
    assert_eq!(open(&parts[0].0, &parts[0].1).unwrap(), b"body");
    assert_eq!(kind_of(open(&parts[0].0, &parts[1].1)), ErrorKind::AuthenticationFailed);
}

#[test]
fn ranges_and_seeks_give_the_plaintext_between() {
    let envelope = envelope();
    let plaintext = pattern(5 * CHUNK_LEN + 100);
    let sealed = seal(&envelope, &plaintext);
    let mut reader = block_on(envelope.range_reader(sealed, &context())).unwrap();
    assert_eq!(reader.len(), plaintext.len() as u64);
    for (start, end) in [(0, 1), (0, 0), (16_383, 16_385), (40_000, 81_000), (81_900, 99_999)] {
        let expected = &plaintext[start.min(plaintext.len())..end.min(plaintext.len())];
        let got = reader.range(start as u64..end as u64).unwrap();
        assert!(got == expected, "{start}..{end}");
    }
    let mut tail = Vec::new();
    reader.seek(SeekFrom::End(-50)).unwrap();
    reader.read_to_end(&mut tail).unwrap();
    assert_eq!(tail, plaintext[plaintext.len() - 50..]);
    assert!(reader.seek(SeekFrom::End(-1_000_000)).is_err());
}

#[test]
fn padded_messages_have_ranges_within_their_plaintext() {
    let envelope = builder().padding(Padding::Padme).build().unwrap();
    for len in [0, 1, CHUNK_LEN - 8, CHUNK_LEN - 3, CHUNK_LEN, 5 * CHUNK_LEN + 100] {
        let plaintext = [pattern(len / 2), vec![0; len - len / 2]].concat();
        let reader = block_on(envelope.range_reader(seal(&envelope, &plaintext), &context()));
        let reader = reader.unwrap();
        assert_eq!(reader.len(), len as u64);
        assert!(reader.range(0..u64::MAX).unwrap() == plaintext);
        assert_eq!(kind_of(reader.range(len as u64 + 1..u64::MAX)), ErrorKind::InvalidInput);
    }
}

#[test]
fn whatever_seeks_can_be_read_from_anywhere_in_pieces_of_any_length() {
    let envelope = envelope();
    let plaintext = pattern(40 * CHUNK_LEN + 9);
    let sealed = std::io::Cursor::new(seal(&envelope, &plaintext));
    let mut reader = block_on(envelope.seek_reader(sealed, &context())).unwrap();
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(all == plaintext);
    let len = plaintext.len() as u64;
    for (start, step) in [(0, 100), (16_380, 7), (300_000, 65_536), (len - 5, 1), (3, 500_000)] {
        reader.seek(SeekFrom::Start(start)).unwrap();
        let mut piece = vec![0; step];
        for _ in 0..20 {
            let at = reader.stream_position().unwrap() as usize;
            let got = reader.read(&mut piece).unwrap();
            assert!(piece[..got] == plaintext[at..at + got], "{at}: {got}");
        }
    }
    assert_eq!(reader.seek(SeekFrom::End(7)).unwrap(), len + 7);
    assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
}

/// A source that counts the bytes that are read of it.
struct Counted(Vec<u8>, std::cell::Cell<usize>);

impl ReadAt for Counted {
    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.1.set(self.1.get() + out.len());
        self.0.read_exact_at(out, offset)
    }

    fn stored_len(&self) -> std::io::Result<u64> {
        self.0.stored_len()
    }
}

#[test]
fn reading_in_small_pieces_opens_every_chunk_once() {
    let envelope = envelope();
    let plaintext = pattern(10 * CHUNK_LEN + 9);
    let sealed = seal(&envelope, &plaintext);
    let len = sealed.len();
    let source = Counted(sealed, std::cell::Cell::new(0));
    let mut reader = block_on(envelope.range_reader(&source, &context())).unwrap();
    let mut piece = [0; 100];
    let mut read = 0;
    while let got @ 1.. = reader.read(&mut piece).unwrap() {
        read += got;
    }
    assert_eq!(read, plaintext.len());
    // The last chunk twice: once for the length.
    assert_eq!(source.1.get(), len + 9 + 16);
}

#[test]
fn ranges_of_a_body_open_under_its_detached_header() {
    let envelope = envelope();
    let mut sealer = block_on(envelope.seal_stream(&context(), None)).unwrap();
    let header = sealer.detach_header();
    let plaintext = pattern(3 * CHUNK_LEN);
    let body = sealer.seal_all(plaintext.as_slice(), Vec::new(), Workers::ONE, &|_| {}).unwrap();
    let reader = block_on(envelope.range_reader_detached(&header, body, &context())).unwrap();
    assert!(reader.range(5..40_000).unwrap() == &plaintext[5..40_000]);
}

#[test]
fn a_truncated_object_has_no_ranges() {
    let envelope = envelope();
    let sealed = seal(&envelope, &pattern(3 * CHUNK_LEN));
    for cut in [1, 16, CHUNK_LEN] {
        let short = sealed[..sealed.len() - cut].to_vec();
        let result = block_on(envelope.range_reader(short, &context()));
        assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed);
    }
}

#[test]
fn a_record_is_not_a_stream_and_a_stream_is_not_a_record() {
    let envelope = envelope();
    let record = block_on(envelope.encrypt(b"value", &context())).unwrap();
    let stream = seal(&envelope, b"value");
    let as_stream = block_on(envelope.reader(record.as_bytes(), &context()));
    assert_eq!(kind_of(as_stream), ErrorKind::InvalidInput);
    assert_eq!(kind_of(block_on(envelope.decrypt(&stream, &context()))), ErrorKind::InvalidInput);
}

#[test]
fn another_context_fails_before_any_plaintext() {
    let envelope = envelope();
    let sealed = seal(&envelope, b"value");
    let other = EncryptionContext::from([("row", "43")]);
    let result = block_on(envelope.reader(sealed.as_slice(), &other));
    assert_eq!(kind_of(result), ErrorKind::AuthenticationFailed);
}

#[test]
fn a_failing_input_or_output_is_an_io_error_in_every_form() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken input"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let envelope = envelope();
    for workers in [1, 3].map(Workers::new) {
        let sealer = || block_on(envelope.seal_stream(&context(), None)).unwrap();
        let input = sealer().seal_all(Broken, Vec::new(), workers, &|_| {});
        assert_eq!(kind_of(input), ErrorKind::Io);
        let output = sealer().seal_all(&[0; 100][..], Broken, workers, &|_| {});
        assert_eq!(kind_of(output.map(|_| ())), ErrorKind::Io);
    }
}

/// A writer that panics at its third write.
struct Panicking(u32);

impl std::io::Write for Panicking {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0 += 1;
        assert!(self.0 < 3, "a defect of the caller's writer");
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_panics_keeps_no_worker_waiting() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let sealer = block_on(envelope().seal_stream(&context(), None)).unwrap();
        let input = std::io::Read::take(std::io::repeat(7), 64 << 20);
        let run = std::panic::AssertUnwindSafe(|| {
            sealer.seal_all(input, Panicking(0), Workers::new(4), &|_| ()).map(|_| ())
        });
        let _ = done.send(std::panic::catch_unwind(run).is_ok_and(|result| result.is_ok()));
    });
    let sealed = ended.recv_timeout(std::time::Duration::from_secs(60));
    assert_eq!(sealed, Ok(false), "it ends, and not well");
}
