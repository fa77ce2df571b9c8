//! Real servers for tests: found on this machine, started on loopback in a temporary folder, and stopped
//! with the process that started them, however it ends.
//!
//! A server that cannot be had is an error that says which command brings it; nothing is skipped. Left to
//! `cargo xtask servers`: the command line over this module.

use std::fmt;
use std::path::PathBuf;

mod install;
mod postgres;
mod supervisor;

pub use postgres::Postgres;

/// A server that this kit can start.
#[derive(Clone, Copy)]
pub struct Server {
    name: &'static str,
    what: &'static str,
    package: &'static str,
    /// The variable that names the folder of its programs.
    variable: &'static str,
    find: fn() -> Option<PathBuf>,
    start: fn() -> Result<Running, ServerError>,
}

/// Every server there is.
pub const ALL: &[Server] = &[Server {
    name: "postgres",
    what: "PostgreSQL, for vault-storage-postgres",
    package: "postgresql",
    variable: postgres::FOLDER,
    find: postgres::find,
    start: || Postgres::start().map(Running::Postgres),
}];

impl Server {
    /// The server called `name`.
    ///
    /// # Errors
    /// Naming those that there are.
    pub fn named(name: &str) -> Result<Self, ServerError> {
        ALL.iter().find(|server| server.name == name).copied().ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|server| server.name).collect();
            ServerError(format!("no server named `{name}`; there are: {}", names.join(", ")))
        })
    }

    /// What `cargo xtask servers` calls it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is and which tests need it.
    #[must_use]
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// The folder that holds its programs, if it is installed.
    #[must_use]
    pub fn found(&self) -> Option<PathBuf> {
        (self.find)()
    }

    /// The command that installs it, as root.
    #[must_use]
    pub fn install_command(&self) -> String {
        install::command(self.package)
    }

    /// Installs it from the system's packages if it is not there. Only root can; anybody else gets the
    /// command.
    ///
    /// # Errors
    /// What kept it from being installed, with the command.
    pub fn prepare(&self) -> Result<(), ServerError> {
        if self.found().is_some() {
            return Ok(());
        }
        if std::env::var_os(self.variable).is_some() {
            return Err(self.missing());
        }
        install::install(self.package)?;
        self.found().map(drop).ok_or_else(|| self.missing())
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it is not installed, or what it said instead of starting.
    pub fn start(&self) -> Result<Running, ServerError> {
        (self.start)()
    }

    fn missing(&self) -> ServerError {
        if let Some(folder) = std::env::var_os(self.variable) {
            let folder = folder.display();
            return ServerError(format!(
                "{} names {folder}, where the programs of {} are not",
                self.variable, self.name
            ));
        }
        ServerError(format!(
            "{} is not installed here; `cargo xtask servers prepare {}` installs it, or: {}",
            self.name,
            self.name,
            self.install_command()
        ))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A server that runs until this is dropped or the process ends.
#[derive(Debug)]
#[non_exhaustive]
pub enum Running {
    /// PostgreSQL.
    Postgres(Postgres),
}

impl Running {
    /// Where it is, for a client.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(postgres) => postgres.url(),
        }
    }
}

/// Why a server could not be had.
#[derive(Debug)]
pub struct ServerError(String);

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}
