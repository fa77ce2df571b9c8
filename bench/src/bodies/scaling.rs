//! The same gibibyte on one thread and on two, by the wall clock. The raw backend on two threads, each with a
//! half for itself, says what the machine has to give: two processors may be one core.

use std::hint::black_box;
use std::time::Duration;

use vault_envelope::stream::Workers;

use super::{MIB, Message, Way, raw_seal, whole};
use crate::floor::{AwsLc, Backend, Ring, RustCrypto, SEALED_CHUNK};
use crate::report::{Table, Target, gigabytes, ratio};
use crate::timing::{Case, Plan, Time, interleave};

/// Least share of twice the rate of one thread.
const SCALING: f64 = 0.8;

/// Measures one and two threads in turns.
pub fn run(rounds: usize) -> Vec<Table> {
    let mib = vec![7; MIB];
    let message = Message::new(&mib, 1 << 30);
    let mut cases = Vec::new();
    add_backend::<AwsLc>(&mut cases, &message);
    add_backend::<Ring>(&mut cases, &message);
    add_backend::<RustCrypto>(&mut cases, &message);
    let plan = Plan { time: Time::Wall, rounds, turn: Duration::ZERO };
    let figures = interleave(plan, &mut cases);
    let columns = ["GB/s, best", "GB/s, median", "of twice one thread"];
    let mut table = Table::new("scaling".into(), "1 GiB on threads".into(), columns);
    for pair in figures.chunks_exact(2) {
        let [one, two] = pair else { continue };
        let scaling = one.over(two) / 2.0;
        table.row(&one.name, gigabytes(message.total, one));
        let [best, median] = gigabytes(message.total, two);
        table.row(&two.name, [best, median, ratio(scaling)]);
        if two.name.starts_with("ours") {
            let what = format!("{} threads, share of twice one", two.name);
            table.verdict(what, Target::AtLeast(SCALING), scaling);
        }
    }
    vec![table]
}

fn add_backend<'a, B: Backend>(cases: &mut Vec<Case<'a>>, message: &'a Message<'a>) {
    let name = B::OURS.as_str();
    for way in [Way::Seal, Way::Open] {
        for threads in [1, 2] {
            let name = format!("ours, {}, {name}, {threads}", way.verb());
            cases.push(whole::<B>(name, way, message, Workers::new(threads)));
        }
    }
    for threads in [1, 2] {
        let name = format!("raw, seal, {name}, {threads}");
        cases.push(Case::new(name, move || {
            raw_on_threads::<B>(message.mib, message.total, threads)
        }));
    }
}

fn raw_on_threads<B: Backend>(mib: &[u8], total: usize, threads: usize) {
    let half = || {
        let mut slot = vec![0; SEALED_CHUNK];
        raw_seal::<B>(&[9; 32], &[1; 12], mib, total / threads, &mut slot);
        black_box(slot);
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(half)));
        half();
    });
}
