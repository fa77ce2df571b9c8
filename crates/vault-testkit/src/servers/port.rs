//! Ports of loopback that stay free for a server while it is down, between a crash and its recovery.
//!
//! They lie below those that the system gives to outgoing connections, and a lock keeps two processes of
//! this kit from taking the same one: else a start would take the other's server for its own. Programs
//! that are not ours may still take one; then the server fails to listen, and another port is tried.

use std::fs::{DirBuilder, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::ServerError;
use super::supervisor::Supervisor;

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
const ATTEMPTS: usize = 3;

/// A port, ours until this is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// One that is free.
    pub(super) fn take() -> io::Result<Self> {
        let folder = folder()?;
        // Processes that start together begin far apart.
        let begin = std::process::id().wrapping_mul(7_919);
        for step in 0..u32::from(COUNT) {
            let offset = begin.wrapping_add(step) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).unwrap_or_default();
            let lock = File::create(folder.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        Err(io::Error::new(io::ErrorKind::AddrInUse, "no port of loopback is free"))
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}

/// Starts a server on a free port, and on another one if somebody took that meanwhile.
pub(super) fn start_on_one(
    start: impl Fn(&str) -> Result<Supervisor, ServerError>,
) -> Result<(Supervisor, Port), ServerError> {
    let mut attempt = 1;
    loop {
        let port = Port::take().map_err(|error| ServerError(error.to_string()))?;
        match start(&port.number().to_string()) {
            Ok(supervisor) => return Ok((supervisor, port)),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

/// The folder of the locks, empty files that stay.
fn folder() -> io::Result<PathBuf> {
    let folder = super::up::runtime_folder()?.join("ports");
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_at_a_time() {
        let first = Port::take().unwrap();
        let second = Port::take().unwrap();
        assert_ne!(first.number(), second.number());
    }
}
