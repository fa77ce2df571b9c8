//! The reference for whole programs: read, raw AES-256-GCM in 16 KiB chunks, write; two threads, each at
//! its own place in the file; the output is on the disk at the end, as ours is. A key that is known to all,
//! no header, no commitment, no key store: the least that any such program must do.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::{preadv, pwritev};
use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};

use crate::floor::{AwsLc, Backend, CHUNK, Ring, RustCrypto, SEALED_CHUNK, numbered, sealed_len};

const THREADS: usize = 2;
/// Chunks that a thread takes at once.
const CHUNKS: usize = 16;
const NONCE: [u8; 12] = [1; 12];

/// Seals or opens the file `from` to `to`, on the backend that ours takes.
pub fn run(verb: &str, from: &Path, to: &Path) -> std::io::Result<()> {
    match AeadBackend::fastest(AeadAlgorithm::Aes256Gcm) {
        AeadBackend::AwsLcRs => on_backend::<AwsLc>(verb, from, to),
        AeadBackend::Ring => on_backend::<Ring>(verb, from, to),
        _ => on_backend::<RustCrypto>(verb, from, to),
    }
}

fn on_backend<B: Backend>(verb: &str, from: &Path, to: &Path) -> std::io::Result<()> {
    let (input, output) = (File::open(from)?, File::create(to)?);
    let (key, len) = (B::key(&[9; 32]), input.metadata()?.len());
    let (key, input, output_file, next) = (&key, &input, &output, AtomicU64::new(0));
    let worker = || match verb {
        "seal" => seal::<B>(key, input, len, output_file, &next),
        _ => open::<B>(key, input, len, output_file, &next),
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..THREADS).map(|_| scope.spawn(worker)).collect();
        let mine = worker();
        others
            .into_iter()
            .fold(mine, |result, other| result.and(other.join().expect("a worker does not panic")))
    })?;
    output.sync_all()
}

fn seal<B: Backend>(
    key: &B::Key,
    input: &File,
    len: u64,
    output: &File,
    next: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNKS * SEALED_CHUNK];
    loop {
        let segment = next.fetch_add(1, Ordering::Relaxed);
        let start = segment * (CHUNKS * CHUNK) as u64;
        if start > len {
            return Ok(());
        }
        let size = (len - start).min((CHUNKS * CHUNK) as u64);
        let size = usize::try_from(size).expect("a segment");
        read_all(input, &mut places(&mut buffer, size), start)?;
        // Every chunk but the message's last is full.
        for (index, slot) in buffer.chunks_exact_mut(SEALED_CHUNK).enumerate() {
            if index * CHUNK > size || (index * CHUNK == size && start + size as u64 != len) {
                break;
            }
            let (chunk, tag) = slot.split_at_mut((size - index * CHUNK).min(CHUNK));
            let nonce = numbered(&NONCE, segment * CHUNKS as u64 + index as u64);
            tag[..16].copy_from_slice(&B::seal(key, &nonce, &[], chunk));
        }
        let stored = if size == CHUNKS * CHUNK { buffer.len() } else { sealed_len(size) };
        output.write_all_at(&buffer[..stored], segment * buffer.len() as u64)?;
    }
}

fn open<B: Backend>(
    key: &B::Key,
    input: &File,
    len: u64,
    output: &File,
    next: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNKS * SEALED_CHUNK];
    loop {
        let segment = next.fetch_add(1, Ordering::Relaxed);
        let start = segment * buffer.len() as u64;
        if start >= len {
            return Ok(());
        }
        let size = usize::try_from((len - start).min(buffer.len() as u64)).expect("a segment");
        input.read_exact_at(&mut buffer[..size], start)?;
        let mut plaintext = 0;
        for (index, stored) in (0..).zip(buffer[..size].chunks_mut(SEALED_CHUNK)) {
            let index = segment * CHUNKS as u64 + index;
            let (chunk, tag) = stored.split_last_chunk_mut::<16>().expect("a chunk has a tag");
            assert!(B::open(key, &numbered(&NONCE, index), &[], chunk, tag), "an authentic chunk");
            plaintext += chunk.len();
        }
        let at = segment * (CHUNKS * CHUNK) as u64;
        write_all(output, &places(&mut buffer, plaintext), at)?;
    }
}

/// The places of `len` bytes of plaintext.
fn places(buffer: &mut [u8], len: usize) -> Vec<IoSliceMut<'_>> {
    let slots = buffer.chunks_exact_mut(SEALED_CHUNK).enumerate();
    let places = slots.map(|(index, slot)| {
        let size = len.saturating_sub(index * CHUNK).min(CHUNK);
        IoSliceMut::new(&mut slot[..size])
    });
    places.take(len.div_ceil(CHUNK)).collect()
}

/// One call: a file in the page cache gives all that is asked for.
fn read_all(input: &File, places: &mut [IoSliceMut<'_>], at: u64) -> std::io::Result<()> {
    let wanted: usize = places.iter().map(|place| place.len()).sum();
    match preadv(input, places, at)? {
        len if len == wanted => Ok(()),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

fn write_all(output: &File, places: &[IoSliceMut<'_>], at: u64) -> std::io::Result<()> {
    let slices: Vec<IoSlice<'_>> = places.iter().map(|place| IoSlice::new(place)).collect();
    let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
    match pwritev(output, &slices, at)? {
        len if len == wanted => Ok(()),
        _ => Err(std::io::ErrorKind::WriteZero.into()),
    }
}
