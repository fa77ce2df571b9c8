//! Whether a message's cost grows with anything but its length: the first message under a key beside
//! the thousandth and the millionth.

use std::hint::black_box;

use pollster::block_on;
use vault_crypto_core::EncryptedData;
use vault_crypto_core::header::Suite;
use vault_envelope::{OpeningKey, SealingKey};

use crate::ours::Ours;
use crate::report::{Table, Target, nanoseconds, ratio};
use crate::system::thread_time;
use crate::timing::Figure;

/// Messages that are timed together.
const BLOCK: u64 = 1_000;
/// How many messages came before.
const BEFORE: [(&str, u64); 3] = [("0", 0), ("10^3", 1_000), ("10^6", 1_000_000)];
/// Most that the cost may grow: what is left is the noise of the machine.
const LIMIT: f64 = 1.1;

/// Measures `rounds` keys.
pub fn run(rounds: usize) -> Vec<Table> {
    let ours = Ours::new(None, Suite::KcXaes256Gcm);
    let plaintext = vec![7; 1024];
    let mut seals = vec![Vec::new(); BEFORE.len()];
    let mut opens = vec![Vec::new(); BEFORE.len()];
    for _ in 0..rounds {
        let sealing = block_on(ours.envelope.sealing_key()).expect("a data key");
        let sealed = sealing.seal(&plaintext, &ours.context).expect("a record");
        let opening = block_on(ours.envelope.opening_key(&sealed)).expect("its own");
        // The processor's caches are warm with these bytes, the keys are new.
        let sealing = block_on(ours.envelope.sealing_key()).expect("a data key");
        one_key(&ours, &sealing, &plaintext, &mut seals);
        one_opening(&ours, &opening, &sealed, &mut opens);
    }
    let columns = ["ns, least", "ns, median", "of the first"];
    let mut table =
        Table::new("growth".into(), "1 KiB records under one key, after".into(), columns);
    for (verb, samples) in [("seal", seals), ("open", opens)] {
        let figures: Vec<Figure> = BEFORE
            .iter()
            .zip(samples)
            .map(|((name, _), rounds)| Figure::new(&format!("{verb}, {name} messages"), rounds))
            .collect();
        for figure in &figures {
            let [least, median] = nanoseconds(figure);
            table.row(&figure.name, [least, median, ratio(figure.over(&figures[0]))]);
        }
        let last = &figures[BEFORE.len() - 1];
        let what = format!("{verb}: the millionth record over the first");
        table.verdict(what, Target::AtMost(LIMIT), last.over(&figures[0]));
    }
    vec![table]
}

fn one_key(ours: &Ours, sealing: &SealingKey, plaintext: &[u8], samples: &mut [Vec<f64>]) {
    let mut seal = || {
        let sealed = sealing.seal(black_box(plaintext), &ours.context);
        black_box(sealed.expect("within the budget"));
    };
    blocks(&mut seal, samples);
}

fn one_opening(
    ours: &Ours,
    opening: &OpeningKey,
    sealed: &EncryptedData,
    samples: &mut [Vec<f64>],
) {
    let mut open = || {
        let opened = opening.open(black_box(sealed), &ours.context);
        black_box(opened.expect("an authentic record"));
    };
    blocks(&mut open, samples);
}

/// Times a block of messages after each number of them.
fn blocks(once: &mut impl FnMut(), samples: &mut [Vec<f64>]) {
    let mut done = 0;
    for ((_, before), samples) in BEFORE.iter().zip(samples) {
        (done..*before).for_each(|_| once());
        let start = thread_time();
        (0..BLOCK).for_each(|_| once());
        samples.push((thread_time() - start).as_secs_f64() / BLOCK as f64);
        done = before.max(&done) + BLOCK;
    }
}
