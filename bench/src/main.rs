//! The benchmark program, run by `cargo xtask bench`: ours, the floors and the peers, interleaved in one run.
//!
//! `records`, `cache`, `growth`, `bodies`, `programs` and `kms` are what there is to measure; `report` prints the tables and
//! writes them into docs/PERFORMANCE.md. Left to nobody: a target that is missed is shown, it fails nothing,
//! because a time is no test.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod args;
mod bodies;
mod cache;
mod floor;
mod growth;
#[cfg(feature = "kms-any")]
mod kms;
mod machine;
mod ours;
mod peers;
mod programs;
mod records;
mod reference;
mod report;
mod system;
mod timing;

use args::{Args, Section};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.first().map(String::as_str) {
        // The program calls itself with these two.
        Some("measure") => programs::measure(Path::new(&words[1]), &words[2..]),
        Some("reference") => reference::run(&words[1], Path::new(&words[2]), Path::new(&words[3]))
            .map_err(|error| error.to_string()),
        Some("--help" | "-h") => {
            print!("{}", args::HELP);
            Ok(())
        }
        _ => Args::parse(&words).and_then(|args| bench(&args)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<(), String> {
    let machine = machine::describe(&args.command());
    println!("{machine}\n");
    let mut tables = Vec::new();
    for section in &args.sections {
        let measured = match section {
            Section::Records => records::run(&[1024, 64, 8192], args.rounds(60)),
            Section::Bodies => bodies::run(args.rounds(9)),
            Section::Scaling => bodies::run_scaling(args.rounds(9)),
            Section::Growth => growth::run(args.rounds(10)),
            Section::Cache => cache::run(args.rounds(60)),
            #[cfg(feature = "kms-any")]
            Section::Kms => kms::run(args.rounds(40), args.full)?,
            #[cfg(not(feature = "kms-any"))]
            Section::Kms => {
                return Err("built without `kms`: `cargo xtask bench kms` has it".into());
            }
            Section::Programs => programs::run(&programs::Plan {
                rounds: args.rounds(8),
                full: args.full,
                dir: args.dir.clone(),
            })?,
        };
        for table in &measured {
            println!("{}", table.markdown());
        }
        tables.extend(measured);
    }
    println!("{}", report::verdicts(&tables));
    if args.write {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PERFORMANCE.md"));
        report::write(&path, &machine, &tables)?;
        println!("written into docs/PERFORMANCE.md");
    }
    Ok(())
}
