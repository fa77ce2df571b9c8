//! The launcher of servers: a server goes with its process, and one that is missing is an error.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use vault_crypto_core::{Clock as _, SystemClock};
use vault_testkit::servers::{Postgres, Server};

/// Whether it comes true within ten seconds.
fn wait_until(mut holds: impl FnMut() -> bool) -> bool {
    (0..200).any(|_| {
        pollster::block_on(SystemClock::new().sleep(Duration::from_millis(50)));
        holds()
    })
}

const CHILD: &str = "VAULTKIT_TEST_SERVER_CHILD";

pub(super) fn answers(port: u16) -> bool {
    let address = ([127, 0, 0, 1], port).into();
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// The launcher, which cargo builds with all tests of this package.
pub(super) fn launcher() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples/servers");
    let build = "cargo build -p vault-testkit --all-features --example servers";
    assert!(path.is_file(), "the launcher is not built: {build}");
    path
}

/// The folders of servers that the process `id` started.
fn folders_of(id: u32) -> usize {
    let beginning = format!("vaultkit-postgres-{id}-");
    let names = std::fs::read_dir(std::env::temp_dir()).unwrap().map(|entry| entry.unwrap());
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&beginning)).count()
}

/// Run by itself as the child of the same test: starts a server, says where, and waits to be killed.
#[test]
fn a_server_goes_with_its_process_even_if_that_is_killed() {
    if std::env::var_os(CHILD).is_some() {
        let server = Postgres::start().unwrap();
        eprintln!("port {}", server.port());
        std::io::stdin().lines().for_each(drop);
        unreachable!("this process was to be killed");
    }
    let name = "it::servers::a_server_goes_with_its_process_even_if_that_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(child.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    let port: u16 = line.strip_prefix("port ").unwrap().parse().unwrap();
    assert!(answers(port));
    assert_eq!(folders_of(child.id()), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(wait_until(|| !answers(port)), "the server outlives its process");
    assert!(wait_until(|| folders_of(child.id()) == 0), "the server's folder stays");
}

#[test]
fn a_server_crashes_recovers_and_stops_when_it_is_told() {
    let server = Postgres::start().unwrap();
    let port = server.port();
    assert!(server.url().contains(&format!("127.0.0.1:{port}")));
    assert!(answers(port));
    server.crash().unwrap();
    assert!(!answers(port));
    server.recover().unwrap();
    assert!(answers(port));
    drop(server);
    assert!(!answers(port));
}

#[test]
fn an_unknown_server_is_an_error_that_names_the_known_ones() {
    let error = Server::named("oracle").unwrap_err().to_string();
    assert!(error.contains("oracle") && error.contains("postgres"), "{error}");
}

/// Run by itself as the child of the same test, where no program of PostgreSQL can be found.
#[test]
fn a_missing_server_is_an_error_that_says_what_helps() {
    let name = "it::servers::a_missing_server_is_an_error_that_says_what_helps";
    if std::env::var_os(CHILD).is_some() {
        let error = Postgres::start().unwrap_err().to_string();
        assert!(error.contains("VAULTKIT_POSTGRES_BIN names"), "{error}");
        let error = Server::named("postgres").unwrap().install(&|_| {}).unwrap_err().to_string();
        assert!(error.contains("VAULTKIT_POSTGRES_BIN names"), "{error}");
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, "yes")
        .env("VAULTKIT_POSTGRES_BIN", Path::new("nowhere"))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}
