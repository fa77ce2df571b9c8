//! PostgreSQL, one cluster per process and nothing kept: trust on loopback, no sockets elsewhere.

use std::path::{Path, PathBuf};

use super::ServerError;
use super::lifecycle::lifecycle;
use super::port::{Port, start_on_one};
use super::supervisor::{Launch, Runs, Supervisor};

/// The name of the superuser, and of the database that is there.
const USER: &str = "vaultkit";
/// Names the folder of its programs.
pub(super) const FOLDER: &str = "VAULTKIT_POSTGRES_BIN";
/// SIGQUIT is what a crash is to the server: nothing is written, and the next start recovers. No test
/// takes the machine's power away, so nothing waits for its disk.
const SCRIPT: &str = r#"
bin=$1 port=$2
stop() {
  [ -n "$pid" ] || return 0
  kill -QUIT "$pid" 2>>"$dir/log" || true
  wait "$pid" || true
  pid=
}
start() {
  "$bin/postgres" -D "$dir/data" -h 127.0.0.1 -p "$port" -c unix_socket_directories= \
    -c max_connections=200 -c fsync=off >>"$dir/log" 2>&1 &
  pid=$!
  await "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
}
"$bin/initdb" -D "$dir/data" -U vaultkit -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1
"#;

/// A running PostgreSQL server.
#[derive(Debug)]
pub struct Postgres {
    supervisor: Supervisor,
    port: Port,
}

impl Postgres {
    /// Makes a cluster and starts it. It takes a second or two.
    ///
    /// # Errors
    /// If PostgreSQL is not installed, or what it said instead of starting.
    pub fn start() -> Result<Self, ServerError> {
        let programs = find().ok_or_else(|| super::missing("postgres"))?;
        let programs = programs.to_string_lossy();
        let (supervisor, port) = start_on_one(|port| {
            let args = [&*programs, port];
            Supervisor::start(&Launch {
                name: "postgres",
                script: SCRIPT,
                args: &args,
                runs: Runs::AsNobody,
            })
        })?;
        Ok(Self { supervisor, port })
    }

    /// `postgres://` with user, port and database; there is no password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port())
    }
}

lifecycle!(Postgres, "What was not committed is gone.");

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
