//! Objects behind a source that lies: about its length, with fewer, more, other and shifted bytes.
//! Whatever comes out is the plaintext of what was asked for; from an honest source it does come out.
//! No request is empty or beyond the object.
#![no_main]

use std::io::Write as _;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::{Suite, parse};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, SecureBytes};
use vault_envelope::stream::{ByteStream, FirstBytes, ObjectVersion};
use vault_envelope::{CHUNK_LEN, ObjectOptions, Padding, RangeSource};
use vaultkit_fuzz::{Input, block_on, builder, context};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    let suite =
        if choice & 1 == 0 { Suite::Cobblestone256 } else { Suite::ChunkedChaCha20Poly1305 };
    let padding = if choice & 2 == 0 { Padding::None } else { Padding::Padme };
    // Around the ends of up to six chunks.
    let len = usize::from(choice >> 2 & 7) % 7 * CHUNK_LEN + usize::from(input.byte());
    let plaintext: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
    let envelope = builder().stream_suite(suite).padding(padding).build().expect("constants");
    let mut writer = block_on(envelope.writer(Vec::new(), &context())).expect("memory");
    writer.write_all(&plaintext).expect("memory");
    let sealed = writer.finish().expect("memory");

    let first = u64::from(input.u16());
    let gap = u64::from(input.u16());
    let mut offset = || u64::from(input.u16()) << 1;
    let ranges = [offset()..offset(), offset()..offset()];
    let header = parse(&sealed).expect("ours").len();
    let detached = choice & 0x80 != 0;
    let body = sealed[header..].to_vec();
    let object = if detached { body } else { sealed.clone() };
    let source = Arc::new(Liar {
        object: object.into(),
        lies: input.rest().to_vec(),
        asked: AtomicUsize::new(0),
        lied: AtomicBool::new(false),
    });
    let options = ObjectOptions::default().with_first_request(first).with_gap(gap);
    let asked = source.clone();
    let outcome = block_on(async {
        let opened = if detached {
            envelope.open_source_detached(&sealed[..header], source, &context(), options).await
        } else {
            envelope.open_source(source, &context(), options).await
        };
        use_object(&opened?, &plaintext, &ranges).await
    });
    if let Err(error) = outcome {
        assert_ne!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(asked.lied.load(Ordering::Relaxed), "nobody lied: {error}");
    }
});

async fn use_object(
    object: &vault_envelope::SealedObject,
    plaintext: &[u8],
    ranges: &[Range<u64>; 2],
) -> Result<()> {
    let mut failure = None;
    let mut note = |answer: Result<()>| {
        if let Err(error) = answer {
            failure.get_or_insert(error);
        }
    };
    for range in ranges {
        // Beyond the end or backwards: the caller's error, whatever the source says.
        let is_range = range.start <= range.end && range.start <= plaintext.len() as u64;
        match object.range(range.clone()).await {
            // Of nothing there is nothing to verify, wherever it is.
            Ok(part) => {
                assert!(is_range || range.start == range.end);
                assert!(part == part_of(plaintext, range));
            }
            Err(error) => note(if is_range { Err(error) } else { Ok(()) }),
        }
    }
    if let Ok(parts) = object.ranges(ranges).await {
        assert_eq!(parts.len(), 2);
        let same = |(part, range): (&SecureBytes, _)| *part == part_of(plaintext, range);
        assert!(parts.iter().zip(ranges).all(same));
    }
    note(object.len().await.map(|len| assert_eq!(len, plaintext.len() as u64)));
    note(object.open_whole(1 << 20).await.map(|whole| assert!(whole.as_slice() == plaintext)));
    failure.map_or(Ok(()), Err)
}

fn part_of<'a>(plaintext: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    if range.end < range.start {
        return &[];
    }
    let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(plaintext.len());
    &plaintext[cut(range.start)..cut(range.end)]
}

/// Answers as the next of its lies says; honest when they have run out.
struct Liar {
    object: Bytes,
    lies: Vec<u8>,
    asked: AtomicUsize,
    lied: AtomicBool,
}

impl Liar {
    /// The next lie and two numbers for it.
    fn lie(&self) -> [u8; 3] {
        let at = 3 * self.asked.fetch_add(1, Ordering::Relaxed);
        let lie = self.lies.get(at..at + 3).map_or([0; 3], |lie| [lie[0] % 12, lie[1], lie[2]]);
        // 10 and 11 are no lies, only a way to cut the answer.
        if (1..10).contains(&lie[0]) {
            self.lied.store(true, Ordering::Relaxed);
        }
        lie
    }

    fn answer(&self, range: Range<usize>) -> Result<(Bytes, usize)> {
        let [lie, a, b] = self.lie();
        let number = usize::from(a) << (b % 9);
        let len = range.len();
        let part = |from: usize, to: usize| {
            let end = self.object.len();
            self.object.slice(from.min(end)..to.min(end).max(from.min(end)))
        };
        let honest = part(range.start, range.end);
        let altered = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = honest.to_vec();
            change(&mut bytes);
            Bytes::from(bytes)
        };
        let pieces = if lie >= 10 { 1 + number } else { usize::MAX };
        let bytes = match lie {
            1 => honest.slice(..honest.len().saturating_sub(1 + number)),
            2 => altered(&|bytes| bytes.resize(bytes.len() + 1 + number, b)),
            3 => part(range.start + 1 + number, range.end + 1 + number),
            4 => part(range.start.saturating_sub(1 + number), range.end.saturating_sub(1 + number)),
            5 => altered(&|bytes| {
                let at = (number + usize::from(b)) % bytes.len().max(1);
                bytes.get_mut(at).map(|byte| *byte ^= 1 << (b % 8)).unwrap_or_default();
            }),
            6 => Bytes::from(vec![a; len]),
            7 => Bytes::new(),
            8 => return Err(CryptoError::new(ErrorKind::Io, Operation::Open)),
            _ => honest,
        };
        Ok((bytes, pieces))
    }
}

#[async_trait]
impl RangeSource for Liar {
    async fn first(&self, len: u64) -> Result<FirstBytes> {
        let total = self.object.len() as u64;
        let (bytes, _) = self.answer(0..len.min(total) as usize)?;
        let [lie, a, b] = self.lie();
        let number = u64::from(a) << (b % 64);
        let len = match lie {
            1..4 => total.wrapping_add(1 + number),
            4..10 => total.wrapping_sub(1 + number),
            _ => total,
        };
        Ok(FirstBytes::new(bytes, ObjectVersion::of_len(len)))
    }

    async fn range(&self, range: Range<u64>, version: &ObjectVersion) -> Result<ByteStream> {
        assert!(range.start < range.end && range.end <= version.len, "{range:?}");
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(1 << 24);
        let (bytes, pieces) = self.answer(at(range.start)..at(range.end))?;
        Ok(Box::pin(Pieces { bytes, pieces }))
    }
}

struct Pieces {
    bytes: Bytes,
    pieces: usize,
}

impl Stream for Pieces {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let len = self.pieces.min(self.bytes.len());
        Poll::Ready(Some(Ok(self.bytes.split_to(len))))
    }
}
