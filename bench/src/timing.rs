//! Cases that take turns: A B C A B C ..., so that a noisy moment hits all of them alike.
//!
//! In memory the CPU time of the thread counts, so that being set aside by the scheduler costs
//! nothing; whole programs and several threads are timed by the wall clock.

use std::time::Duration;

/// What is repeated, and a name for it.
pub struct Case<'a> {
    pub name: String,
    run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Case<'a> {
    /// `once` is the work; the loop around it is inlined with it.
    pub fn new(name: impl Into<String>, mut once: impl FnMut() + 'a) -> Self {
        let run = Box::new(move |count| (0..count).for_each(|_| once()));
        Self { name: name.into(), run }
    }
}

/// Seconds of one repetition: the least and the median over all rounds.
#[derive(Clone)]
pub struct Figure {
    pub name: String,
    pub min: f64,
    pub median: f64,
    /// In the order in which they were run.
    rounds: Vec<f64>,
}

/// Which clock counts.
#[derive(Clone, Copy)]
pub enum Time {
    Thread,
    Wall,
}

/// How long to measure.
#[derive(Clone, Copy)]
pub struct Plan {
    pub time: Time,
    pub rounds: usize,
    /// One turn of one case lasts about this long; a case that lasts longer runs once a turn.
    pub turn: Duration,
}

/// Lets all cases take turns.
pub fn interleave(plan: Plan, cases: &mut [Case<'_>]) -> Vec<Figure> {
    let counts: Vec<u64> = cases.iter_mut().map(|case| calibrate(plan, case)).collect();
    let mut samples = vec![Vec::with_capacity(plan.rounds); cases.len()];
    for _ in 0..plan.rounds {
        for ((case, count), samples) in cases.iter_mut().zip(&counts).zip(&mut samples) {
            samples.push(turn(plan.time, case, *count) / *count as f64);
        }
    }
    cases.iter().zip(samples).map(|(case, rounds)| Figure::new(&case.name, rounds)).collect()
}

impl Figure {
    pub fn new(name: &str, rounds: Vec<f64>) -> Self {
        let min = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        Self { name: name.to_owned(), min, median: median(rounds.clone()), rounds }
    }

    /// How much longer this takes than `floor`: the ratio of the least times.
    pub fn over(&self, floor: &Self) -> f64 {
        self.min / floor.min
    }

    /// The same where time passes outside this thread too, whose least is luck: each round beside the round
    /// of `floor` that ran next to it, and the median of those ratios.
    pub fn over_beside(&self, floor: &Self) -> f64 {
        let pairs = self.rounds.iter().zip(&floor.rounds);
        median(pairs.map(|(own, floor)| own / floor).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn calibrate(plan: Plan, case: &mut Case<'_>) -> u64 {
    let mut count = 1;
    loop {
        let lasted = turn(plan.time, case, count);
        if lasted >= plan.turn.as_secs_f64() {
            return count;
        }
        let wanted = plan.turn.as_secs_f64() / (lasted / count as f64).max(1e-9);
        count = (wanted.ceil() as u64).clamp(count + 1, count * 16);
    }
}

fn turn(time: Time, case: &mut Case<'_>, count: u64) -> f64 {
    let now = || match time {
        Time::Thread => crate::system::thread_time(),
        Time::Wall => crate::system::wall_time(),
    };
    let start = now();
    (case.run)(count);
    (now() - start).as_secs_f64()
}
