//! Records: one short value under a data key at hand. Ours, the floor of each backend, the peers.

use std::hint::black_box;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::EncryptedData;
use vault_crypto_core::header::Suite;
use vault_envelope::{OpeningKey, SealingKey};

use crate::floor::{AwsLc, Backend, Chunked, Ring, RustCrypto, Salts, Xaes};
use crate::ours::Ours;
use crate::peers;
use crate::report::{Table, Target, nanoseconds, ratio};
use crate::timing::{Case, Plan, Time, interleave};

/// Most that ours may cost over its floor.
const TARGET: f64 = 1.25;

/// One suite on one backend, with everything that its cases need.
struct Subject {
    name: String,
    ours: Ours,
    sealing: SealingKey,
    opening: OpeningKey,
    sealed: EncryptedData,
    floor: Box<dyn Floor>,
}

/// A floor whose backend is chosen; the body of what it does is not behind the pointer's cost: one
/// virtual call starts a whole turn.
trait Floor {
    fn seal(&self, context: &[u8], plaintext: &[u8]) -> Vec<u8>;
    fn open(&self, context: &[u8], body: &[u8]) -> Option<Vec<u8>>;
    fn seal_case<'a>(&'a self, name: String, context: Vec<u8>, plaintext: &'a [u8]) -> Case<'a>;
    fn open_case<'a>(&'a self, name: String, context: Vec<u8>, body: &'a [u8]) -> Case<'a>;
}

macro_rules! floor {
    ($kind:ident, $scheme:ident) => {
        struct $kind<B>($scheme, std::marker::PhantomData<B>);

        impl<B: Backend> Floor for $kind<B> {
            fn seal(&self, context: &[u8], plaintext: &[u8]) -> Vec<u8> {
                self.0.seal::<B>(&Salts::new().next(), context, plaintext)
            }

            fn open(&self, context: &[u8], body: &[u8]) -> Option<Vec<u8>> {
                self.0.open::<B>(body, context)
            }

            fn seal_case<'a>(
                &'a self,
                name: String,
                context: Vec<u8>,
                plaintext: &'a [u8],
            ) -> Case<'a> {
                let mut salts = Salts::new();
                Case::new(name, move || {
                    let salt = salts.next();
                    black_box(self.0.seal::<B>(&salt, black_box(&context), black_box(plaintext)));
                })
            }

            fn open_case<'a>(&'a self, name: String, context: Vec<u8>, body: &'a [u8]) -> Case<'a> {
                Case::new(name, move || {
                    let opened = self.0.open::<B>(black_box(body), black_box(&context));
                    black_box(opened.expect("an authentic body"));
                })
            }
        }
    };
}

floor!(XaesFloor, Xaes);
floor!(ChunkedFloor, Chunked);

/// Measures records of each size and gives a table for each.
pub fn run(sizes: &[usize], rounds: usize) -> Vec<Table> {
    sizes
        .iter()
        .flat_map(|size| {
            let plaintext = vec![7; *size];
            let subjects = subjects(&plaintext);
            [seal_table(&subjects, &plaintext, rounds), open_table(&subjects, &plaintext, rounds)]
        })
        .collect()
}

fn subjects(plaintext: &[u8]) -> Vec<Subject> {
    let mut all = Vec::new();
    for suite in [Suite::KcXaes256Gcm, Suite::Cobblestone256] {
        all.push(subject::<AwsLc>(suite, plaintext));
        all.push(subject::<Ring>(suite, plaintext));
        all.push(subject::<RustCrypto>(suite, plaintext));
    }
    all
}

fn subject<B: Backend + 'static>(suite: Suite, plaintext: &[u8]) -> Subject {
    let ours = Ours::new(Some(B::OURS), suite);
    let sealing = block_on(ours.envelope.sealing_key()).expect("a data key");
    let sealed = sealing.seal(plaintext, &ours.context).expect("a record");
    let opening = block_on(ours.envelope.opening_key(&sealed)).expect("its own record");
    let (key, bound, start) = ours.body_of(sealed.as_ref());
    let floor: Box<dyn Floor> = if suite == Suite::KcXaes256Gcm {
        Box::new(XaesFloor::<B>(Xaes::new(&key), std::marker::PhantomData))
    } else {
        Box::new(ChunkedFloor::<B>(Chunked::new(&key), std::marker::PhantomData))
    };
    let name = format!("suite {}, {}", suite.code(), B::OURS.as_str());
    // The floor does the work of a message: each opens what the other sealed.
    let bytes: &[u8] = sealed.as_ref();
    assert_eq!(floor.open(&bound, &bytes[start..]).as_deref(), Some(plaintext), "{name}");
    let theirs = [&bytes[..start], &floor.seal(&bound, plaintext)].concat();
    assert_eq!(opening.open(&theirs, &ours.context).expect("the floor's"), plaintext, "{name}");
    Subject { name, ours, sealing, opening, sealed, floor }
}

fn seal_table(subjects: &[Subject], plaintext: &[u8], rounds: usize) -> Table {
    let mut cases = Vec::new();
    for subject in subjects {
        let Subject { name, ours, sealing, sealed, floor, .. } = subject;
        let (_, bound, _) = ours.body_of(sealed.as_ref());
        cases.push(Case::new(format!("ours, {name}"), move || {
            let sealed = sealing.seal(black_box(plaintext), black_box(&ours.context));
            black_box(sealed.expect("within the budget"));
        }));
        cases.push(floor.seal_case(format!("floor, {name}"), bound, plaintext));
    }
    let peers = peers::record_sealers(plaintext);
    cases.extend(peers);
    table("seal", plaintext.len(), rounds, &mut cases, subjects.len())
}

fn open_table(subjects: &[Subject], plaintext: &[u8], rounds: usize) -> Table {
    let mut cases = Vec::new();
    for subject in subjects {
        let Subject { name, ours, opening, sealed, floor, .. } = subject;
        let (_, bound, start) = ours.body_of(sealed.as_ref());
        cases.push(Case::new(format!("ours, {name}"), move || {
            let opened = opening.open(black_box(sealed), black_box(&ours.context));
            black_box(opened.expect("an authentic record"));
        }));
        let body = &AsRef::<[u8]>::as_ref(sealed)[start..];
        cases.push(floor.open_case(format!("floor, {name}"), bound, body));
    }
    let peers = peers::record_openers(plaintext);
    cases.extend(peers);
    table("open", plaintext.len(), rounds, &mut cases, subjects.len())
}

fn table(verb: &str, size: usize, rounds: usize, cases: &mut [Case<'_>], pairs: usize) -> Table {
    let plan = Plan { time: Time::Thread, rounds, turn: Duration::from_millis(3) };
    let figures = interleave(plan, cases);
    let (own, peers) = figures.split_at(2 * pairs);
    let mut table = Table::new(
        format!("records-{size}-{verb}"),
        format!("{verb} {size} bytes"),
        ["ns, least", "ns, median", "over its floor", "over ours (first row)"],
    );
    let best = &own[0];
    for pair in own.chunks_exact(2) {
        let [ours, floor] = pair else { continue };
        let over = ours.over(floor);
        let [least, median] = nanoseconds(ours);
        table.row(&ours.name, [least, median, ratio(over), ratio(ours.over(best))]);
        table.row(&floor.name, nanoseconds(floor));
        // The target is for 1 KiB; the other sizes are shown.
        if size == 1024 {
            table.verdict(
                format!("{verb} 1 KiB, {} over floor", ours.name),
                Target::AtMost(TARGET),
                over,
            );
        }
    }
    for peer in peers {
        let [least, median] = nanoseconds(peer);
        table.row(&peer.name, [least, median, String::new(), ratio(peer.over(best))]);
    }
    table
}
