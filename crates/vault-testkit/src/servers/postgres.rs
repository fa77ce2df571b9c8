//! PostgreSQL, one cluster per process and nothing kept: trust on loopback, no sockets elsewhere.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::supervisor::{Supervisor, free_port};
use super::{Server, ServerError};

/// The name of the superuser, and of the database that is there.
const USER: &str = "vaultkit";
/// Names the folder of its programs.
pub(super) const FOLDER: &str = "VAULTKIT_POSTGRES_BIN";
/// Another process may take a port between looking and listening.
const ATTEMPTS: usize = 3;

/// SIGQUIT is what a crash is to the server: nothing is written, and the next start recovers. The shell
/// is its parent, so that nothing is left to be reaped by a container without an init. No test takes the
/// machine's power away, so nothing waits for its disk.
const SCRIPT: &str = r#"
bin=$1 port=$2 pid=
stop() {
  [ -n "$pid" ] || return 0
  kill -QUIT "$pid" 2>>"$dir/log" || true
  wait "$pid" || true
  pid=
}
start() {
  "$bin/postgres" -D "$dir/data" -h 127.0.0.1 -p "$port" -c unix_socket_directories= \
    -c max_connections=200 -c fsync=off >>"$dir/log" 2>&1 &
  pid=$! tries=0
  until "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    kill -0 "$pid"
    tries=$((tries + 1))
    [ "$tries" -lt 1200 ]
    sleep 0.05
  done
}
"$bin/initdb" -D "$dir/data" -U vaultkit -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1
"#;

/// A running PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    supervisor: Supervisor,
    port: u16,
}

impl Postgres {
    /// Makes a cluster and starts it. It takes a second or two.
    ///
    /// # Errors
    /// If PostgreSQL is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        let programs = match find() {
            Some(programs) => programs,
            None => return Err(Server::named("postgres")?.missing()),
        };
        let mut attempt = 1;
        loop {
            let port = free_port().map_err(|error| ServerError(error.to_string()))?;
            let args = [&*programs.to_string_lossy(), &port.to_string()];
            match Supervisor::start("postgres", SCRIPT, &args) {
                Ok(supervisor) => return Ok(Self { supervisor, port }),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    /// The one server that all tests of this process share: each works in a table of its own.
    ///
    /// # Panics
    /// If it cannot be started, with the command that helps.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match Self::start() {
            Ok(started) => started,
            Err(error) => panic!("{error}"),
        })
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgres://` with user, port and database; there is no password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it as a crash would: connections are cut, and what was not committed is gone.
    ///
    /// # Errors
    /// What the server said.
    pub fn crash(&self) -> Result<(), ServerError> {
        self.supervisor.tell("stop")
    }

    /// Starts it again after [`crash`](Self::crash), on the same port.
    ///
    /// # Errors
    /// What the server said.
    pub fn recover(&self) -> Result<(), ServerError> {
        self.supervisor.tell("start")
    }
}

/// The folder with PostgreSQL's programs: the one that is named, the one in the `PATH`, or the newest of
/// those that packages install.
pub(super) fn find() -> Option<PathBuf> {
    let named = std::env::var_os(FOLDER).map(PathBuf::from);
    named.or_else(in_path).or_else(packaged).filter(|folder| is_whole(folder))
}

fn is_whole(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"].iter().all(|program| folder.join(program).is_file())
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let programs = std::env::split_paths(&path).map(|folder| folder.join("initdb"));
    // Through links, so that the others are beside it.
    let mut real = programs.filter_map(|program| program.canonicalize().ok());
    real.find_map(|program| program.parent().filter(|folder| is_whole(folder)).map(Path::to_owned))
}

fn packaged() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let folders = versions.map(|version| version.path().join("bin"));
    folders.filter(|folder| is_whole(folder)).max_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name);
        version.and_then(|version| version.to_str()?.parse::<u32>().ok())
    })
}
