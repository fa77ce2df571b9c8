//! Many threads on few keys: what they cost each other.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pollster::block_on;
use vault_crypto_core::header::Suite;

use super::soon;
use super::subject::{Subject, context};
use crate::ours::Ours;
use crate::peers;
use crate::report::{Table, Target};
use crate::system::wall_time;

const THREADS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Least that two threads must do of what one does.
const TARGET: f64 = 1.8;
const LEN: usize = 1024;
const TURN: Duration = Duration::from_millis(100);

/// Work that several threads do at once.
pub struct Contender<'a> {
    pub name: String,
    /// Makes the work of one thread.
    pub worker: Box<dyn Fn() -> Worker<'a> + 'a>,
}

pub type Worker<'a> = Box<dyn FnMut() + Send + 'a>;

impl<'a> Contender<'a> {
    pub fn new<W: FnMut() + Send + 'a>(name: &str, worker: impl Fn() -> W + 'a) -> Self {
        Self { name: name.to_owned(), worker: Box::new(move || Box::new(worker())) }
    }
}

/// One table: records a second for each number of threads.
pub fn run(rounds: usize) -> Table {
    let plaintext = vec![7; LEN];
    let subject = Subject::new(None);
    let context = context();
    let sealed = block_on(subject.envelope.encrypt(&plaintext, &context)).expect("sealed");
    let ours = Ours::new(None, Suite::KcXaes256Gcm);
    let sealing = block_on(ours.envelope.sealing_key()).expect("a data key");
    let record = sealing.seal(&plaintext, &context).expect("a record");
    let opening = block_on(ours.envelope.opening_key(&record)).expect("its own record");
    let mut contenders = vec![
        Contender::new("ours, seal through the cache", || {
            || {
                drop(black_box(
                    soon(subject.envelope.encrypt(&plaintext, &context)).expect("sealed"),
                ))
            }
        }),
        Contender::new("ours, open through the cache", || {
            || drop(black_box(soon(subject.envelope.decrypt(&sealed, &context)).expect("opened")))
        }),
        Contender::new("ours, seal with one key at hand", || {
            || drop(black_box(sealing.seal(&plaintext, &context).expect("sealed")))
        }),
        Contender::new("ours, open with one key at hand", || {
            || drop(black_box(opening.open(&record, &context).expect("opened")))
        }),
    ];
    contenders.extend(peers::cache_threads(&plaintext));
    let best = measure(&contenders, rounds);
    table(&contenders, &best)
}

/// The best of all rounds for each contender and number of threads; they take turns.
fn measure(contenders: &[Contender<'_>], rounds: usize) -> Vec<Vec<f64>> {
    let mut best = vec![vec![0.0_f64; THREADS.len()]; contenders.len()];
    for _ in 0..rounds {
        for (column, threads) in THREADS.iter().enumerate() {
            for (row, contender) in contenders.iter().enumerate() {
                best[row][column] = best[row][column].max(throughput(contender, *threads));
            }
        }
    }
    best
}

/// Records a second of all threads together, from the first one's start to the last one's end.
fn throughput(contender: &Contender<'_>, threads: usize) -> f64 {
    let (gate, stop) = (&Barrier::new(threads + 1), &AtomicBool::new(false));
    let ended: Vec<(u64, Duration, Duration)> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                let mut work = (contender.worker)();
                scope.spawn(move || {
                    (0..200).for_each(|_| work());
                    gate.wait();
                    let start = wall_time();
                    let mut done = 0;
                    while !stop.load(Ordering::Relaxed) {
                        (0..16).for_each(|_| work());
                        done += 16;
                    }
                    (done, start, wall_time())
                })
            })
            .collect();
        gate.wait();
        thread::sleep(TURN);
        stop.store(true, Ordering::Relaxed);
        running.into_iter().map(|thread| thread.join().expect("a worker")).collect()
    });
    let done: u64 = ended.iter().map(|(done, ..)| done).sum();
    let start = ended.iter().map(|(_, start, _)| *start).min().unwrap_or_default();
    let end = ended.iter().map(|(.., end)| *end).max().unwrap_or_default();
    done as f64 / (end - start).as_secs_f64()
}

fn table(contenders: &[Contender<'_>], best: &[Vec<f64>]) -> Table {
    let columns = ["1", "2", "4", "8", "16", "32", "64", "2 over 1", "64 over 1"];
    let title = "million records of 1 KiB a second, threads:".to_owned();
    let mut table = Table::new("cache-threads".into(), title, columns);
    for (contender, rates) in contenders.iter().zip(best) {
        let over = |column: usize| rates[column] / rates[0];
        let cells = rates.iter().map(|rate| format!("{:.2}", rate / 1e6));
        let ratios = [over(1), over(THREADS.len() - 1)].map(|ratio| format!("{ratio:.2}"));
        table.row(&contender.name, cells.chain(ratios));
        if contender.name.contains("through the cache") {
            let what = format!("{}: two threads over one", contender.name);
            table.verdict(what, Target::AtLeast(TARGET), over(1));
        }
    }
    table
}
