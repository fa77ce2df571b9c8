//! A hit end to end, beside the same record under a data key at hand, and beside the peers' hits.

use std::hint::black_box;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::aead::AeadBackend;
use vault_crypto_core::header::Suite;
use vault_crypto_core::{EncryptedData, EncryptionContext};
use vault_envelope::{OpeningKey, SealingKey};

use super::at_once;
use super::subject::{Subject, context};
use crate::ours::Ours;
use crate::peers;
use crate::report::{Table, Target, nanoseconds, ratio};
use crate::timing::{Case, Plan, Time, interleave};

/// Most that a hit may cost over the bare record.
const TARGET: f64 = 1.25;
const LEN: usize = 1024;

const BACKENDS: [Option<AeadBackend>; 4] =
    [None, Some(AeadBackend::AwsLcRs), Some(AeadBackend::Ring), Some(AeadBackend::RustCrypto)];

struct Pair {
    name: String,
    cached: Subject,
    sealed: EncryptedData,
    bare: Bare,
}

/// The data key at hand: no cache, no future.
struct Bare {
    sealing: SealingKey,
    opening: OpeningKey,
    sealed: EncryptedData,
    context: EncryptionContext,
}

/// One table to seal and one to open.
pub fn run(rounds: usize) -> Vec<Table> {
    let plaintext = vec![7; LEN];
    let pairs: Vec<Pair> = BACKENDS.map(|backend| Pair::new(backend, &plaintext)).into();
    vec![seal(&pairs, &plaintext, rounds), open(&pairs, &plaintext, rounds)]
}

impl Pair {
    fn new(backend: Option<AeadBackend>, plaintext: &[u8]) -> Self {
        let cached = Subject::new(backend);
        let sealed = block_on(cached.envelope.encrypt(plaintext, &cached.context)).expect("sealed");
        let opened = block_on(cached.envelope.decrypt(&sealed, &cached.context)).expect("opened");
        assert_eq!(opened, plaintext);
        let ours = Ours::new(backend, Suite::KcXaes256Gcm);
        let context = context();
        let sealing = block_on(ours.envelope.sealing_key()).expect("a data key");
        let record = sealing.seal(plaintext, &context).expect("a record");
        let opening = block_on(ours.envelope.opening_key(&record)).expect("its own record");
        let name = backend.map_or("as it comes", AeadBackend::as_str).to_owned();
        Self { name, cached, sealed, bare: Bare { sealing, opening, sealed: record, context } }
    }
}

fn seal(pairs: &[Pair], plaintext: &[u8], rounds: usize) -> Table {
    let mut cases = Vec::new();
    for Pair { name, cached, bare, .. } in pairs {
        cases.push(Case::new(format!("through the cache, {name}"), move || {
            let sealed = at_once(cached.envelope.encrypt(black_box(plaintext), &cached.context));
            black_box(sealed.expect("a record"));
        }));
        cases.push(Case::new(format!("data key at hand, {name}"), move || {
            let sealed = bare.sealing.seal(black_box(plaintext), &bare.context);
            black_box(sealed.expect("within the budget"));
        }));
    }
    cases.extend(peers::cache_sealers(plaintext));
    table("seal", rounds, &mut cases, pairs.len())
}

fn open(pairs: &[Pair], plaintext: &[u8], rounds: usize) -> Table {
    let mut cases = Vec::new();
    for Pair { name, cached, sealed, bare } in pairs {
        cases.push(Case::new(format!("through the cache, {name}"), move || {
            let opened = at_once(cached.envelope.decrypt(black_box(sealed), &cached.context));
            black_box(opened.expect("an authentic record"));
        }));
        cases.push(Case::new(format!("data key at hand, {name}"), move || {
            let opened = bare.opening.open(black_box(&bare.sealed), &bare.context);
            black_box(opened.expect("an authentic record"));
        }));
    }
    cases.extend(peers::cache_openers(plaintext));
    table("open", rounds, &mut cases, pairs.len())
}

fn table(verb: &str, rounds: usize, cases: &mut [Case<'_>], pairs: usize) -> Table {
    let plan = Plan { time: Time::Thread, rounds, turn: Duration::from_millis(3) };
    let figures = interleave(plan, cases);
    let (own, peers) = figures.split_at(2 * pairs);
    let mut table = Table::new(
        format!("cache-{verb}"),
        format!("{verb} {LEN} bytes, 4 pairs"),
        ["ns, least", "ns, median", "over data key at hand", "over ours (first row)"],
    );
    let first = &own[0];
    for pair in own.chunks_exact(2) {
        let [cached, bare] = pair else { continue };
        let over = cached.over(bare);
        let [least, median] = nanoseconds(cached);
        table.row(&cached.name, [least, median, ratio(over), ratio(cached.over(first))]);
        table.row(&bare.name, nanoseconds(bare));
        let what = format!("{verb} 1 KiB, {}, over the data key at hand", cached.name);
        table.verdict(what, Target::AtMost(TARGET), over);
    }
    for peer in peers {
        let [least, median] = nanoseconds(peer);
        table.row(&peer.name, [least, median, String::new(), ratio(peer.over(first))]);
        if peer.name.starts_with("asherah") {
            let what = format!("{verb} 1 KiB, asherah over ours through the cache");
            table.verdict(what, Target::AtLeast(1.0), peer.over(first));
        }
    }
    table
}
