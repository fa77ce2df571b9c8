//! The servers of the test kit on the command line; `cargo xtask servers` calls it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to a terminal"
)]

use std::error::Error;
use std::io::Read as _;
use std::process::{Command, ExitCode};

use vault_testkit::servers::{ALL, Server};

const HELP: &str = "\
Real servers for tests, on loopback and in a temporary folder.

Usage: cargo xtask servers <COMMAND>

Commands:
  list                    Name the servers and say which are installed
  prepare [NAME]...       Install what is missing, all or the named ones (as root)
  start NAME              Start one, print its URL, and stop it on Ctrl-C or at the end of input
  run NAME -- CMD [ARG].. Start one, run a command with its URL in VAULTKIT_SERVER_URL, stop it";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    match args {
        ["list"] => list(),
        ["prepare"] => prepare(ALL)?,
        ["prepare", names @ ..] => {
            let named: Result<Vec<_>, _> = names.iter().map(|name| Server::named(name)).collect();
            prepare(&named?)?;
        }
        ["start", name] => start(Server::named(name)?)?,
        ["run", name, "--", program, args @ ..] => return run(Server::named(name)?, program, args),
        [] | ["help" | "--help" | "-h", ..] => println!("{HELP}"),
        _ => return Err(format!("unknown arguments\n\n{HELP}").into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn list() {
    for server in ALL {
        let found = server.found().map_or_else(
            || format!("missing; {}", server.install_command()),
            |folder| folder.display().to_string(),
        );
        println!("{:10} {}\n{:10} {found}", server.name(), server.what(), "");
    }
}

fn prepare(servers: &[Server]) -> Result<(), Box<dyn Error>> {
    for server in servers {
        if server.found().is_none() {
            println!("    installing {} from the system's packages (once)", server.name());
        }
        server.prepare()?;
    }
    Ok(())
}

fn start(server: Server) -> Result<(), Box<dyn Error>> {
    server.prepare()?;
    let running = server.start()?;
    println!("{}", running.url());
    // Ctrl-C ends this process, and the server with it.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn run(server: Server, program: &str, args: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    server.prepare()?;
    let running = server.start()?;
    let status =
        Command::new(program).args(args).env("VAULTKIT_SERVER_URL", running.url()).status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
