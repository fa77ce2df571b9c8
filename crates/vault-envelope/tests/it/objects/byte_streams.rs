//! Streams of `Bytes`, as HTTP bodies are: the same bytes as every other form.

use std::io::Write as _;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use vault_crypto_core::{CryptoError, ErrorKind};
use vault_envelope::{CHUNK_LEN, EnvelopeEncryption, Padding};

use super::super::support::{block_on, builder, context, envelope, kind_of, pattern};

type IoResult = Result<Bytes, std::io::Error>;

/// The bytes in pieces of `step`, with an empty one here and there; at the end `error`, if any.
fn pieces(bytes: &[u8], step: usize, error: bool) -> stream::Iter<std::vec::IntoIter<IoResult>> {
    let mut pieces: Vec<IoResult> = Vec::new();
    for (number, piece) in bytes.chunks(step).enumerate() {
        if number % 3 == 0 {
            pieces.push(Ok(Bytes::new()));
        }
        pieces.push(Ok(Bytes::copy_from_slice(piece)));
    }
    if error {
        pieces.push(Err(std::io::ErrorKind::ConnectionReset.into()));
    }
    stream::iter(pieces)
}

/// What came out before the end or the error, which is the last thing that comes.
async fn all(
    mut stream: impl Stream<Item = Result<Bytes, CryptoError>> + Unpin,
) -> (Vec<u8>, Option<ErrorKind>) {
    let mut got = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => got.extend_from_slice(&piece),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing comes after an error");
                return (got, Some(error.kind()));
            }
        }
    }
    assert!(stream.next().await.is_none());
    (got, None)
}

fn seal(envelope: &EnvelopeEncryption, plaintext: &[u8]) -> Vec<u8> {
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).unwrap();
    writer.write_all(plaintext).unwrap();
    writer.finish().unwrap()
}

#[test]
fn byte_streams_and_writers_read_each_other() {
    for padding in [Padding::None, Padding::Padme] {
        let envelope = builder().padding(padding).build().unwrap();
        for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, 4 * CHUNK_LEN, 20 * CHUNK_LEN, 500_003] {
            let plaintext = pattern(len);
            for step in [997, CHUNK_LEN, 300_000] {
                block_on(async {
                    let input = pieces(&plaintext, step, false);
                    let sealed = envelope.seal_byte_stream(input, &context(), None).await.unwrap();
                    let (sealed, error) = all(sealed).await;
                    assert_eq!(error, None);
                    let opened = envelope.open_whole(&*sealed, &context(), len).await.unwrap();
                    assert!(opened.as_slice() == plaintext, "sealing {len} by {step}");

                    let sealed = seal(&envelope, &plaintext);
                    let input = pieces(&sealed, step, false);
                    let opened = envelope.open_byte_stream(input, &context()).await.unwrap();
                    let (opened, error) = all(opened).await;
                    assert_eq!(error, None);
                    assert!(opened == plaintext, "opening {len} by {step}");
                });
            }
        }
    }
}

#[test]
fn a_byte_stream_that_is_cut_or_fails_gives_its_authentic_beginning_and_then_an_error() {
    let envelope = envelope();
    let plaintext = pattern(30 * CHUNK_LEN);
    let sealed = seal(&envelope, &plaintext);
    for cut in [sealed.len() - 1, sealed.len() - 16, sealed.len() - 17, 200_000] {
        for fails in [false, true] {
            block_on(async {
                let input = pieces(&sealed[..cut], 5_000, fails);
                let opened = envelope.open_byte_stream(input, &context()).await.unwrap();
                let (opened, error) = all(opened).await;
                let kind = if fails { ErrorKind::Io } else { ErrorKind::AuthenticationFailed };
                assert_eq!(error, Some(kind));
                assert!(!opened.is_empty() && opened == plaintext[..opened.len()]);
            });
        }
    }
    for cut in [0, 5, 100] {
        for (fails, kind) in [(false, ErrorKind::Malformed), (true, ErrorKind::Io)] {
            let (context, input) = (context(), pieces(&sealed[..cut], 7, fails));
            assert_eq!(kind_of(block_on(envelope.open_byte_stream(input, &context))), kind);
        }
    }
}

#[test]
fn a_plaintext_stream_that_fails_is_not_sealed_to_its_end() {
    let envelope = envelope();
    block_on(async {
        let input = pieces(&pattern(1_000_000), 5_000, true);
        let sealed = envelope.seal_byte_stream(input, &context(), None).await.unwrap();
        let (sealed, error) = all(sealed).await;
        assert_eq!(error, Some(ErrorKind::Io));
        let opened = envelope.open_whole(&*sealed, &context(), usize::MAX).await;
        assert_eq!(kind_of(opened), ErrorKind::AuthenticationFailed);
    });
}

#[test]
fn a_detached_header_opens_a_byte_stream_of_the_body() {
    let envelope = envelope();
    let plaintext = pattern(100_000);
    block_on(async {
        let mut sealer = envelope.seal_stream(&context(), None).await.unwrap();
        let header = sealer.detach_header();
        let (body, _) = all(sealer.into_byte_stream(pieces(&plaintext, 999, false))).await;
        let input = pieces(&body, 1_001, false);
        let opened = envelope.open_byte_stream_detached(&header, input, &context()).await.unwrap();
        assert!(all(opened).await.0 == plaintext);
    });
}
