//! Servers that outlive the command that starts them. Each has a process that holds it and listens on a
//! socket in a folder of the user's own; asking it is the proof that it lives, so nothing is believed
//! that a file says.
//!
//! Left to the command line: starting that process, and printing.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use super::{Server, ServerError};

/// What a server that is up is asked.
const ENVIRONMENT: &str = "environment";
const STOP: &str = "stop";

/// The folder of sockets and locks, which only its owner can enter: `vaultkit` under
/// `XDG_RUNTIME_DIR`, or one by the user's number among the temporary files.
pub(super) fn runtime_folder() -> io::Result<PathBuf> {
    // A process of this user owns its own folder under /proc; elsewhere, what it makes is its own.
    let own = |path: &str| fs::metadata(path).map(|own| own.uid());
    let uid = own("/proc/self").or_else(|_| own("."))?;
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = match named.filter(|folder| folder.is_absolute() && folder.is_dir()) {
        Some(folder) => folder.join("vaultkit"),
        None => std::env::temp_dir().join(format!("vaultkit-{uid}")),
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(&folder)?;
    if found.is_dir() && found.uid() == uid && found.mode().trailing_zeros() >= 6 {
        return Ok(folder);
    }
    let why = format!("{} is not a folder of this user alone", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Starts `server` and holds it until it is told to stop. `ready` is called when it can be asked.
///
/// # Errors
/// If it is up already, or cannot be started.
pub fn hold(server: Server, ready: impl FnOnce()) -> Result<(), ServerError> {
    if environment(server)?.is_some() {
        return Err(ServerError(format!("{} is up already", server.name())));
    }
    let running = server.start()?;
    let failed = |error: io::Error| ServerError(format!("{}: {error}", server.name()));
    let socket = socket(server).map_err(failed)?;
    // Nobody answered on it: it is of a process that died.
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).map_err(failed)?;
    ready();
    let lines: String =
        running.environment().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    for asker in listener.incoming() {
        let Ok(mut asker) = asker else { continue };
        let mut asked = String::new();
        let heard = asker.try_clone().and_then(|asker| BufReader::new(asker).read_line(&mut asked));
        if heard.is_err() {
            continue;
        }
        if asked.trim_end() == STOP {
            drop(running);
            let _ = fs::remove_file(&socket);
            // Whoever asked waits for the end of the connection.
            return Ok(());
        }
        // Whoever asked may be gone.
        let _ = asker.write_all(lines.as_bytes());
    }
    Ok(())
}

/// The variables by which clients find `server`, if it is up.
///
/// # Errors
/// If the folder of the sockets cannot be had.
pub fn environment(server: Server) -> Result<Option<Vec<(String, String)>>, ServerError> {
    let Some(answer) = ask(server, ENVIRONMENT)? else { return Ok(None) };
    let lines = answer.lines().filter_map(|line| line.split_once('='));
    Ok(Some(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
}

/// Stops `server`; answers whether it was up.
///
/// # Errors
/// If the folder of the sockets cannot be had.
pub fn down(server: Server) -> Result<bool, ServerError> {
    Ok(ask(server, STOP)?.is_some())
}

/// The file in which the process that holds `server` writes what went wrong.
///
/// # Errors
/// If the folder cannot be had.
pub fn log_file(server: Server) -> Result<PathBuf, ServerError> {
    let failed = |error: io::Error| ServerError(format!("{}: {error}", server.name()));
    Ok(runtime_folder().map_err(failed)?.join(format!("{}.log", server.name())))
}

fn socket(server: Server) -> io::Result<PathBuf> {
    Ok(runtime_folder()?.join(format!("{}.socket", server.name())))
}

/// What the process that holds it answers, if there is one.
fn ask(server: Server, word: &str) -> Result<Option<String>, ServerError> {
    let failed = |error: io::Error| ServerError(format!("{}: {error}", server.name()));
    let mut stream = match UnixStream::connect(socket(server).map_err(failed)?) {
        Ok(stream) => stream,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut answer = String::new();
    writeln!(stream, "{word}").and_then(|()| stream.read_to_string(&mut answer)).map_err(failed)?;
    Ok(Some(answer))
}

fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
