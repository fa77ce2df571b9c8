//! The servers of the test kit on the command line; `cargo xtask servers` calls it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that reports to a terminal"
)]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use vault_testkit::servers::{ALL, Server, up};

const HELP: &str = "\
Real servers for tests, on loopback and in a temporary folder.

Usage: cargo xtask servers <COMMAND>

Commands:
  list                    Name the servers and say which are installed and which are up
  install [NAME]...       Install what is missing or broken, all or the named ones
  up [NAME]...            Start all or the named ones and leave them running
  down [NAME]...          Stop all or the named ones that are up
  env                     Print shell lines by which clients find those that are up: eval \"$(... env)\"
  start NAME              Start one, print its URL, and stop it on Ctrl-C or at the end of input
  run NAME -- CMD [ARG].. Start one, run a command with its URL in VAULTKIT_SERVER_URL, stop it

Installed are pinned versions from the package registries, once, into ${XDG_CACHE_HOME:-~/.cache}/vaultkit/servers.
Vault is built with Go, which takes 10 to 15 minutes.";

/// What `up` starts: a process that holds one server.
const HOLD: &str = "hold";

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
        ["list"] => list()?,
        ["install", names @ ..] => install(&named(names)?)?,
        ["up", names @ ..] => start_all(&named(names)?)?,
        ["down", names @ ..] => stop_all(&named(names)?)?,
        ["env"] => environment()?,
        ["start", name] => start(Server::named(name)?)?,
        ["run", name, "--", program, args @ ..] => return run(Server::named(name)?, program, args),
        [HOLD, name] => up::hold(Server::named(name)?, || println!("ready"))?,
        [] | ["help" | "--help" | "-h", ..] => println!("{HELP}"),
        _ => return Err(format!("unknown arguments\n\n{HELP}").into()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Those that are named, or all.
fn named(names: &[&str]) -> Result<Vec<Server>, Box<dyn Error>> {
    if names.is_empty() {
        return Ok(ALL.to_vec());
    }
    Ok(names.iter().map(|name| Server::named(name)).collect::<Result<_, _>>()?)
}

fn list() -> Result<(), Box<dyn Error>> {
    for server in ALL {
        let found = server.found().map_or_else(
            || format!("missing: cargo xtask servers install {}", server.name()),
            |place| place.display().to_string(),
        );
        let up = if up::environment(*server)?.is_some() { " (up)" } else { "" };
        let version = server.version().unwrap_or("of the system");
        println!("{:10} {} [{version}]{up}\n{:10} {found}", server.name(), server.what(), "");
    }
    Ok(())
}

/// All at once: most of it waits for the network.
fn install(servers: &[Server]) -> Result<(), Box<dyn Error>> {
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads = servers.iter().map(|server| {
            scope.spawn(|| {
                server.install(&|line| println!("    {line}")).map_err(|error| error.to_string())
            })
        });
        let threads: Vec<_> = threads.collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err("an installation panicked".to_owned()))
        });
        joined.filter_map(Result::err).collect()
    });
    if failures.is_empty() {
        let names: Vec<&str> = servers.iter().map(Server::name).collect();
        println!("    installed: {}", names.join(", "));
        return Ok(());
    }
    Err(failures.join("\n").into())
}

fn start_all(servers: &[Server]) -> Result<(), Box<dyn Error>> {
    let servers: Vec<Server> =
        servers.iter().filter(|server| server.is_started()).copied().collect();
    install(&servers)?;
    for server in servers {
        if up::environment(server)?.is_none() {
            detach(server)?;
        }
        println!("    {} is up", server.name());
    }
    println!("    `cargo xtask servers env` says where, `cargo xtask servers down` stops them");
    Ok(())
}

/// Starts the process that holds `server`, in a group of its own that Ctrl-C does not reach.
fn detach(server: Server) -> Result<(), Box<dyn Error>> {
    let log = up::log_file(server)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([HOLD, server.name()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log)?)
        .process_group(0)
        .spawn()?;
    let says = child.stdout.take().ok_or("the holder has no output")?;
    let mut line = String::new();
    BufReader::new(says).read_line(&mut line)?;
    if line == "ready\n" {
        return Ok(());
    }
    child.wait()?;
    Err(format!("{} did not start: {}", server.name(), std::fs::read_to_string(log)?).into())
}

fn stop_all(servers: &[Server]) -> Result<(), Box<dyn Error>> {
    for server in servers {
        if up::down(*server)? {
            println!("    {} is down", server.name());
        }
    }
    Ok(())
}

fn environment() -> Result<(), Box<dyn Error>> {
    for server in ALL {
        for (name, value) in up::environment(*server)?.unwrap_or_default() {
            println!("export {name}='{value}'");
        }
    }
    Ok(())
}

fn start(server: Server) -> Result<(), Box<dyn Error>> {
    server.install(&|line| eprintln!("    {line}"))?;
    let running = server.start()?;
    println!("{}", running.url());
    // Ctrl-C ends this process, and the server with it.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn run(server: Server, program: &str, args: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    server.install(&|line| eprintln!("    {line}"))?;
    let running = server.start()?;
    let mut command = Command::new(program);
    command.args(args).env("VAULTKIT_SERVER_URL", running.url()).envs(running.environment());
    let status = command.status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
