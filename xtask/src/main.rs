//! The workspace's own commands, started as `cargo xtask`: `test`, `ci`, `bench`, `servers` and `tidy`.
//!
//! Each check is a lane with a name, so that a failure says how to run it alone. Left to others: what
//! a lane calls (cargo, clippy, cargo-deny, cargo-fuzz, valgrind, Python) and the programs under `bench/`, `fuzz/` and `schedules/`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to a terminal"
)]

mod lane;
mod lanes;
mod servers;
mod shell;
mod tidy;

use std::process::ExitCode;

use shell::Outcome;

const HELP: &str = "\
The workspace's own commands.

Usage: cargo xtask <COMMAND>

Commands:
  test             What a change must pass: format, tidy, all tests, the reader in Python
  ci [LANE]...     Every lane that a merge must pass, or the named ones
  bench [ARG]...   The benchmark program under bench/, in release mode
  servers [ARG]... The servers that tests need: list, install, up, down, env, start, run
  tidy             The rules of the house that are no compiler's or linter's business

Each takes --help. They work from any folder of the checkout.";

const TEST_HELP: &str = "\
What a change must pass, on a machine with Rust, a C compiler, Go, Python 3 with venv, and PostgreSQL.

Usage: cargo xtask test

Runs the lanes fmt, tidy, tests and stranger, and stops at the first that fails. The lane `tests` starts
real servers on loopback, and says at the end which one proved what. Where one is missing, its pinned
version is installed from the package registries into ~/.cache/vaultkit/servers, once: Vault is built
with Go in the background, which takes 10 to 15 minutes. PostgreSQL is the system's: root gets it from
the packages, anybody else the command that installs it. The lane `stranger` needs the Python package
`cryptography`; where it is missing, pip puts it under target/python.";

const CI_HELP: &str = "\
Every lane that a merge must pass, or the named ones.

Usage: cargo xtask ci [--list] [LANE]...

Options:
  --list   Name the lanes and say what each one proves

Environment:
  VAULTKIT_FUZZ_SECONDS   Seconds per fuzz target in the lane `fuzz` (default 20)

Tools that a lane needs (cargo-deny, cargo-fuzz) are installed under target/tools by its first run.
The lanes `asan` and `valgrind` need a nightly Rust and valgrind, and say so where they are missing.";

const BENCH_HELP: &str = "\
The benchmark program under bench/, in release mode.

Usage: cargo xtask bench [ARG]...

Arguments go to the program as they are; `cargo xtask bench -- --help` lists them.";

const TIDY_HELP: &str = "\
The rules of the house that are no compiler's or linter's business.

Usage: cargo xtask tidy [--list]

Options:
  --list   Name the rules";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Outcome {
    let Some((command, rest)) = args.split_first() else {
        return Err(format!("no command given\n\n{HELP}").into());
    };
    let wants_help = rest.first().is_some_and(|arg| is_help(arg));
    match command.as_str() {
        "test" if wants_help => print(TEST_HELP),
        "ci" if wants_help => print(CI_HELP),
        "bench" if wants_help => print(BENCH_HELP),
        "tidy" if wants_help => print(TIDY_HELP),
        "test" => no_arguments(rest).and_then(|()| lane::run(&lanes::of_test())),
        "ci" => ci(rest),
        "bench" => lanes::bench(rest),
        "servers" => servers::run(rest),
        "tidy" => tidy(rest),
        command if is_help(command) => print(HELP),
        other => Err(format!("no command named `{other}`\n\n{HELP}").into()),
    }
}

fn ci(args: &[String]) -> Outcome {
    if args.iter().any(|arg| arg == "--list") {
        lane::list(lanes::ALL);
        return Ok(());
    }
    if args.is_empty() {
        return lane::run(&lanes::of_ci());
    }
    let named: Result<Vec<_>, _> = args.iter().map(|name| lanes::named(name)).collect();
    lane::run(&named?)
}

fn tidy(args: &[String]) -> Outcome {
    match args {
        [] => tidy::run(),
        [flag] if flag == "--list" => {
            tidy::list();
            Ok(())
        }
        _ => no_arguments(args),
    }
}

fn is_help(arg: &str) -> bool {
    matches!(arg, "--help" | "-h" | "help")
}

fn print(text: &str) -> Outcome {
    println!("{text}");
    Ok(())
}

fn no_arguments(args: &[String]) -> Outcome {
    match args.first() {
        Some(arg) => Err(format!("unexpected argument `{arg}`; see --help").into()),
        None => Ok(()),
    }
}
