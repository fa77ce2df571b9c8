//! Whole programs on files: `vaultkit` beside age, rage, cp and the reference loop; wall time and peak memory.
//!
//! Each run is a fresh process. The time ends when the output is on its disk, whoever brings it there:
//! vaultkit and the reference do so themselves, for the others the bench does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::report::{Table, Target, ratio};
use crate::system;
use crate::timing::Figure;

mod contenders;
use contenders::{Contender, Workplace};

pub use contenders::build_vaultkit;

const GIB: u64 = 1 << 30;
/// At least so many times as fast as age, to seal and to open.
const OVER_AGE: [f64; 2] = [1.8, 2.0];
/// At most so much longer than the reference loop.
const OVER_REFERENCE: f64 = 1.3;
/// Peak memory, in MiB.
const MEMORY: f64 = 24.0;
/// How far two peaks may lie apart and still be the same, in MiB: pages of the allocator.
const SAME: f64 = 1.0;

/// What to measure and where.
pub struct Plan {
    pub rounds: usize,
    /// A 4 GiB file too.
    pub full: bool,
    pub dir: PathBuf,
}

/// Seals and opens a file of 1 GiB with each program; with `full` also one of 4 GiB with ours.
pub fn run(plan: &Plan) -> Result<Vec<Table>, String> {
    let vaultkit = build_vaultkit()?;
    let place = Workplace::new(&plan.dir, vaultkit, GIB)?;
    let sealing = race(&place.sealers(), plan.rounds)?;
    let opening = race(&place.openers()?, plan.rounds)?;
    let mut tables = vec![
        table("seal", &place, &sealing, OVER_AGE[0]),
        table("open", &place, &opening, OVER_AGE[1]),
    ];
    let peaks = [sealing[0].peak, opening[0].peak];
    drop(place);
    if plan.full {
        tables.push(memory(plan, peaks)?);
    }
    Ok(tables)
}

/// One program's runs.
struct Runs {
    name: String,
    /// `None` where the program is not to be had; then why.
    figure: Result<Figure, String>,
    /// The greatest peak in MiB.
    peak: f64,
}

fn race(contenders: &[Contender], rounds: usize) -> Result<Vec<Runs>, String> {
    let mut samples = vec![Vec::new(); contenders.len()];
    let mut peaks = vec![0_f64; contenders.len()];
    // One round more, whose times do not count: it fills the page cache.
    for round in 0..=rounds {
        // Every other round goes backwards, so that nobody always comes after the same one.
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let Some((seconds, peak)) = contenders[index].run()? else { continue };
            peaks[index] = peaks[index].max(peak);
            if round > 0 {
                samples[index].push(seconds);
            }
        }
    }
    let all = contenders.iter().zip(samples).zip(peaks);
    Ok(all.map(|((contender, samples), peak)| contender.runs(samples, peak)).collect())
}

fn table(verb: &str, place: &Workplace, runs: &[Runs], over_age: f64) -> Table {
    let columns = ["s, least", "s, median", "peak MiB", "of vaultkit"];
    let title = format!("{verb} 1 GiB on {}", place.file_system());
    let mut table = Table::new(format!("programs-{verb}"), title, columns);
    let Ok(ours) = &runs[0].figure else { return table };
    for run in runs {
        match &run.figure {
            Ok(figure) => {
                let [least, median] = [figure.min, figure.median].map(|time| format!("{time:.2}"));
                let peak = format!("{:.1}", run.peak);
                table.row(&run.name, [least, median, peak, ratio(figure.over(ours))]);
            }
            Err(why) => table.row(&format!("{}: not measured, {why}", run.name), []),
        }
    }
    let figure = |name: &str| {
        let run = runs.iter().find(|run| run.name.starts_with(name))?;
        run.figure.as_ref().ok()
    };
    if let Some(age) = figure("age") {
        let what = format!("{verb} 1 GiB: times as fast as age");
        table.verdict(what, Target::AtLeast(over_age), age.over(ours));
    }
    if let Some(rage) = figure("rage") {
        let what = format!("{verb} 1 GiB: times as fast as rage");
        table.verdict(what, Target::AtLeast(1.0), rage.over(ours));
    }
    if let Some(reference) = figure("reference") {
        let what = format!("{verb} 1 GiB: over the reference loop");
        table.verdict(what, Target::AtMost(OVER_REFERENCE), ours.over(reference));
    }
    table.verdict(format!("{verb} 1 GiB: peak MiB"), Target::AtMost(MEMORY), runs[0].peak);
    table
}

/// The peaks at 1 GiB beside those at 4 GiB, of a file that is all holes.
fn memory(plan: &Plan, small: [f64; 2]) -> Result<Table, String> {
    let place = Workplace::sparse(&plan.dir, build_vaultkit()?, 4 * GIB)?;
    let seal = place.sealers().swap_remove(0);
    let (_, sealing) = seal.run()?.ok_or("vaultkit is there")?;
    let open = place.opener_of_ours()?;
    let (_, opening) = open.run()?.ok_or("vaultkit is there")?;
    let columns = ["peak MiB at 1 GiB", "peak MiB at 4 GiB"];
    let mut table = Table::new("memory".into(), "vaultkit".into(), columns);
    for (verb, small, large) in [("seal", small[0], sealing), ("open", small[1], opening)] {
        table.row(verb, [format!("{small:.1}"), format!("{large:.1}")]);
        let what = format!("{verb} 4 GiB: peak MiB over that of 1 GiB");
        table.verdict(what, Target::AtMost(SAME), (large - small).max(0.0));
    }
    Ok(table)
}

/// Runs `command` and waits until `output` is on its disk; prints seconds and the child's peak in KiB.
///
/// This runs in a process of its own, which is small: a child's peak starts with that of its parent.
pub fn measure(output: &Path, command: &[String]) -> Result<(), String> {
    let (program, args) = command.split_first().ok_or("no command")?;
    let start = system::wall_time();
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let (succeeded, peak) = system::wait_peak(child);
    if !succeeded {
        return Err(format!("{} failed", command.join(" ")));
    }
    File::open(output).and_then(|file| file.sync_all()).map_err(|error| error.to_string())?;
    println!("{} {peak}", (system::wall_time() - start).as_secs_f64());
    Ok(())
}

/// Removes what a run left; it is no mistake if nothing is there.
fn remove(path: &Path) {
    let _ = fs::remove_file(path);
}
