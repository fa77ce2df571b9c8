//! Bodies of many chunks: 1 MiB and 1 GiB, from memory to memory, on one core; `scaling` takes two.
//!
//! Every contender reads its input from one buffer and writes to a sink that takes bytes and keeps none, so
//! no disk and no page cache is in the way.

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::EncryptedData;
use vault_crypto_core::header::Suite;
use vault_envelope::OpeningKey;
use vault_envelope::stream::Workers;

use crate::floor::{AwsLc, Backend, CHUNK, Chunked, Ring, RustCrypto, SEALED_CHUNK, numbered};
use crate::ours::Ours;
use crate::peers;
use crate::report::{Table, Target, gigabytes, ratio};
use crate::timing::{Case, Plan, Time, interleave};

mod scaling;
pub use scaling::run as run_scaling;

const MIB: usize = 1 << 20;
const BACKENDS: usize = 3;
/// Least share of the raw backend's rate.
const SHARE: f64 = 0.9;

/// What is sealed: `repeats` times the same MiB, which stays in the processor's cache.
struct Repeated<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Repeated<'a> {
    fn new(bytes: &'a [u8], total: usize) -> Self {
        Self { bytes, at: 0, left: total }
    }
}

impl Read for Repeated<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = out.len().min(self.bytes.len() - self.at).min(self.left);
        out[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at = (self.at + len) % self.bytes.len();
        self.left -= len;
        Ok(len)
    }

    fn read_vectored(&mut self, out: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for slice in out {
            let mut filled = 0;
            while filled < slice.len() {
                match self.read(&mut slice[filled..])? {
                    0 => return Ok(total + filled),
                    len => filled += len,
                }
            }
            total += filled;
        }
        Ok(total)
    }
}

/// Takes bytes and keeps none; the compiler must assume that they are looked at.
pub struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        black_box(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        black_box(slices);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Measures both lengths, both ways.
pub fn run(rounds: usize) -> Vec<Table> {
    let mib = vec![7; MIB];
    let mut tables = Vec::new();
    for (total, rounds) in [(MIB, rounds * 4), (1 << 30, rounds)] {
        tables.push(one_core(Way::Seal, &mib, total, rounds));
        tables.push(one_core(Way::Open, &mib, total, rounds));
    }
    tables
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Seal,
    Open,
}

impl Way {
    fn verb(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Open => "open",
        }
    }
}

fn one_core(way: Way, mib: &[u8], total: usize, rounds: usize) -> Table {
    let message = Message::new(mib, total);
    let mut cases = Vec::new();
    add_backend::<AwsLc>(&mut cases, way, &message);
    add_backend::<Ring>(&mut cases, way, &message);
    add_backend::<RustCrypto>(&mut cases, way, &message);
    let own = cases.len();
    cases.extend(match way {
        Way::Seal => peers::body_sealers(mib, total),
        Way::Open => peers::body_openers(mib, total),
    });
    let plan = Plan { time: Time::Thread, rounds, turn: Duration::from_millis(5) };
    let figures = interleave(plan, &mut cases);
    let (own, peers) = figures.split_at(own);
    let size = if total == MIB { "1 MiB" } else { "1 GiB" };
    let verb = way.verb();
    let marker = format!("bodies-{}-{verb}", if total == MIB { "mib" } else { "gib" });
    let columns = ["GB/s, best", "GB/s, median", "of its raw backend", "of ours (first row)"];
    let mut table = Table::new(marker, format!("{verb} {size}, one core"), columns);
    let best = &own[0];
    // Of each backend first what the target is for, and last the raw backend.
    for group in own.chunks_exact(own.len() / BACKENDS) {
        let [first, .., raw] = group else { continue };
        for figure in group {
            let [best_rate, median] = gigabytes(total, figure);
            let share = ratio(raw.over(figure));
            table.row(&figure.name, [best_rate, median, share, ratio(best.over(figure))]);
        }
        let what = format!("{verb} {size}, {}, share of the raw backend", first.name);
        table.verdict(what, Target::AtLeast(SHARE), raw.over(first));
    }
    for peer in peers {
        let [best_rate, median] = gigabytes(total, peer);
        table.row(&peer.name, [best_rate, median, String::new(), ratio(best.over(peer))]);
    }
    table
}

/// One plaintext and the message that all backends open.
struct Message<'a> {
    mib: &'a [u8],
    total: usize,
    ours: Ours,
    sealed: Vec<u8>,
}

impl<'a> Message<'a> {
    fn new(mib: &'a [u8], total: usize) -> Self {
        let ours = Ours::new(None, Suite::Cobblestone256);
        let sealer = block_on(ours.envelope.seal_stream(&ours.context, Some(total as u64)));
        let sealer = sealer.expect("a data key");
        let out = Vec::with_capacity(total + total / 512);
        let input = Repeated::new(mib, total);
        let sealed = sealer.seal_all(input, out, Workers::available(), &|_| ()).expect("memory");
        Self { mib, total, ours, sealed }
    }
}

fn add_backend<'a, B: Backend>(cases: &mut Vec<Case<'a>>, way: Way, message: &'a Message<'a>) {
    let name = B::OURS.as_str();
    if message.total == MIB {
        add_one_value::<B>(cases, way, message);
    }
    cases.push(whole::<B>(format!("ours, {name}, stream"), way, message, Workers::ONE));
    cases.push(piecewise::<B>(name, way, message));
    cases.push(raw::<B>(format!("raw, {name}"), way, message));
}

/// The body as one value under a data key at hand: `SealingKey` and `OpeningKey`. Opened plaintext belongs to
/// the caller; that it is wiped when it is dropped is a row of its own.
fn add_one_value<'a, B: Backend>(cases: &mut Vec<Case<'a>>, way: Way, message: &'a Message<'a>) {
    let name = format!("ours, {}, one value, key at hand", B::OURS.as_str());
    let ours = message.ours.on(B::OURS);
    let sealing = block_on(ours.envelope.sealing_key()).expect("a data key");
    if way == Way::Seal {
        cases.push(Case::new(name, move || {
            let sealed = sealing.seal(black_box(message.mib), &ours.context);
            black_box(sealed.expect("within the budget"));
        }));
        return;
    }
    let sealed = sealing.seal(message.mib, &ours.context).expect("a record");
    let opening = block_on(ours.envelope.opening_key(&sealed)).expect("its own");
    let shared = Rc::new((ours, sealed, opening));
    let open = |(ours, sealed, opening): &(Ours, EncryptedData, OpeningKey)| {
        opening.open(black_box(sealed), &ours.context).expect("its own")
    };
    let again = shared.clone();
    cases.push(Case::new(name.clone(), move || drop(black_box(open(&shared).into_vec()))));
    cases.push(Case::new(format!("{name}, and wiped"), move || drop(black_box(open(&again)))));
}

/// `seal_all` and `open_all`.
fn whole<'a, B: Backend>(
    name: String,
    way: Way,
    message: &'a Message<'a>,
    workers: Workers,
) -> Case<'a> {
    let Message { mib, total, sealed, ours } = message;
    let ours = ours.on(B::OURS);
    Case::new(name, move || match way {
        Way::Seal => {
            let sealer = block_on(ours.envelope.seal_stream(&ours.context, Some(*total as u64)));
            let input = Repeated::new(mib, *total);
            let sealer = sealer.expect("a data key");
            black_box(sealer.seal_all(input, Sink, workers, &|_| ()).expect("memory"));
        }
        Way::Open => {
            let mut input = sealed.as_slice();
            let opener = block_on(ours.envelope.open_stream(&mut input, &ours.context));
            let opener = opener.expect("our own");
            black_box(opener.open_all(input, Sink, workers, &|_| ()).expect("our own"));
        }
    })
}

/// `SealWriter` and `OpenReader`, given and asked for 64 KiB at a time.
fn piecewise<'a, B: Backend>(backend: &str, way: Way, message: &'a Message<'a>) -> Case<'a> {
    let Message { mib, total, sealed, ours } = message;
    let ours = ours.on(B::OURS);
    let mut piece = vec![0; 1 << 16];
    let name = if way == Way::Seal { "SealWriter" } else { "OpenReader" };
    Case::new(format!("ours, {backend}, {name}"), move || match way {
        Way::Seal => {
            let writer = block_on(ours.envelope.writer(Sink, &ours.context));
            let mut writer = writer.expect("a data key");
            for _ in 0..total / MIB {
                mib.chunks(1 << 16).for_each(|piece| writer.write_all(piece).expect("memory"));
            }
            black_box(writer.finish().expect("memory"));
        }
        Way::Open => {
            let reader = block_on(ours.envelope.reader(sealed.as_slice(), &ours.context));
            let mut reader = reader.expect("our own");
            while reader.read(&mut piece).expect("our own") > 0 {
                black_box(&piece);
            }
        }
    })
}

/// The raw backend at 16 KiB chunks: each is copied from the input to its place, sealed or opened there, and
/// handed on. Nothing else: no key to ask for, no framing, no lengths to check.
fn raw<'a, B: Backend>(name: String, way: Way, message: &'a Message<'a>) -> Case<'a> {
    let Message { mib, total, sealed, ours } = message;
    let (key, bound, start) = ours.body_of(sealed);
    let (salt, _) = sealed[start..].split_first_chunk().expect("a body");
    let (key, nonce, _) = Chunked::new(&key).derive(salt, &bound);
    let chunks = &sealed[start + 56..];
    // Taken once and used again: not even memory is asked for.
    let mut slot = vec![0; SEALED_CHUNK];
    Case::new(name, move || match way {
        Way::Seal => raw_seal::<B>(&key, &nonce, mib, *total, &mut slot),
        Way::Open => raw_open::<B>(&key, &nonce, chunks, &mut slot),
    })
}

/// Seals `total` bytes of repeated `mib`.
fn raw_seal<B: Backend>(
    key: &[u8; 32],
    nonce: &[u8; 12],
    mib: &[u8],
    total: usize,
    slot: &mut [u8],
) {
    let key = B::key(key);
    let mut index = 0;
    for _ in 0..total / MIB {
        for chunk in mib.chunks_exact(CHUNK) {
            let (place, tag) = slot.split_at_mut(CHUNK);
            place.copy_from_slice(chunk);
            tag.copy_from_slice(&B::seal(&key, &numbered(nonce, index), &[], place));
            black_box(&slot);
            index += 1;
        }
    }
}

fn raw_open<B: Backend>(key: &[u8; 32], nonce: &[u8; 12], stored: &[u8], slot: &mut [u8]) {
    let key = B::key(key);
    for (index, stored) in (0..).zip(stored.chunks(SEALED_CHUNK)) {
        let (chunk, tag) = stored.split_last_chunk::<16>().expect("a chunk has a tag");
        let place = &mut slot[..chunk.len()];
        place.copy_from_slice(chunk);
        assert!(B::open(&key, &numbered(nonce, index), &[], place, tag), "an authentic chunk");
        black_box(&place);
    }
}
