#![doc = include_str!("../README.md")]

mod app;
mod args;
mod commands;
pub mod exit;
mod failure;
mod help;
mod keyring;
mod openers;
mod platform;
mod progress;
mod prompt;
mod report;
mod runtime;
mod signals;
mod source;
mod store;
mod target;
mod text;
mod who;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind as ClapKind;

use crate::app::App;
use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::Report;

/// Runs the program with the process's own arguments.
#[must_use]
pub fn run() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => run_parsed(&cli),
        Err(error) => refuse(&error),
    };
    exit.into()
}

fn run_parsed(cli: &Cli) -> Exit {
    platform::remember_umask();
    let report = Report::new(&cli.global);
    if let Err(failure) = signals::install() {
        return report.failure(&failure);
    }
    if overridden(&cli.global.kms) {
        let message = "name all --kms behind the command: of those before it none was read";
        return report.failure(&Failure::usage(message));
    }
    let app = App::new(&cli.global, cli.command.envelope(), report);
    if let Err(failure) = app.check_names() {
        return app.report.failure(&failure);
    }
    match runtime::enter(|| commands::run(&app, &cli.command)) {
        Ok(exit) => exit,
        Err(failure) => app.report.failure(&failure),
    }
}

/// Whether key stores were named both before and behind the command: the parser drops the former, and a
/// message must not have fewer recipients than were asked for.
fn overridden(parsed: &[OsString]) -> bool {
    let arguments = std::env::args_os().take_while(|argument| argument != "--");
    let is_kms = |argument: &OsString| {
        argument == "--kms" || argument.as_encoded_bytes().starts_with(b"--kms=")
    };
    arguments.filter(is_kms).count() > parsed.len()
}

/// Help and version are answers; everything else is a usage error.
fn refuse(error: &clap::Error) -> Exit {
    let is_answer = matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion);
    if is_answer || !std::env::args_os().any(|arg| arg == "--json") {
        let printed = error.print();
        return match (printed, is_answer) {
            (Err(_), _) => Exit::Io,
            (Ok(()), true) => Exit::Done,
            (Ok(()), false) => Exit::Usage,
        };
    }
    let text = error.render().to_string();
    let text = text.trim().trim_start_matches("error: ");
    Report::json_only().failure(&Failure::usage(text))
}
