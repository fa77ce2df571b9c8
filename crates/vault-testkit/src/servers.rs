//! Real servers for tests: found on this machine, started on loopback in a temporary folder, and stopped
//! with the process that started them, however it ends.
//!
//! A server that cannot be had is an error that says which command brings it; nothing is skipped. Left to
//! `cargo xtask servers`: the command line over this module.

use std::fmt;
use std::path::PathBuf;

mod aws;
mod cache;
mod install;
mod lifecycle;
mod local_kms;
mod localstack;
mod moto;
mod pins;
mod port;
mod postgres;
mod running;
mod supervisor;
pub mod up;
mod vault;

pub use aws::{AwsCall, AwsLogin};
pub use local_kms::LocalKms;
pub use localstack::LocalStack;
pub use moto::Moto;
pub use postgres::Postgres;
pub use running::Running;
pub use vault::{Vault, VaultCall, VaultCluster};

use install::go::GoProgram;
use install::python::Environment;
use install::{Tell, debian};

/// A server that this kit can start, or the packages of Python that stand witness in tests.
#[derive(Clone, Copy)]
pub struct Server {
    name: &'static str,
    what: &'static str,
    source: Source,
    start: Option<fn() -> Result<Running, ServerError>>,
}

/// Where it comes from.
#[derive(Clone, Copy)]
enum Source {
    /// A package of the system's, and the variable that names the folder of its programs instead.
    Debian {
        package: &'static str,
        variable: &'static str,
        find: fn() -> Option<PathBuf>,
    },
    Go(&'static GoProgram),
    Python(&'static Environment),
}

/// Everything there is, the longest to install first.
pub const ALL: &[Server] = &[
    Server {
        name: "vault",
        what: "HashiCorp Vault, for vault-connection and vault-kms-hashicorp",
        source: Source::Go(&pins::VAULT),
        start: Some(|| Vault::start().map(Running::Vault)),
    },
    Server {
        name: "localstack",
        what: "LocalStack with KMS and STS, for vault-kms-aws",
        source: Source::Python(&pins::LOCALSTACK),
        start: Some(|| LocalStack::start().map(Running::LocalStack)),
    },
    Server {
        name: "local-kms",
        what: "local-kms, for vault-kms-aws under load",
        source: Source::Go(&pins::LOCAL_KMS),
        start: Some(|| LocalKms::start().map(Running::LocalKms)),
    },
    Server {
        name: "moto",
        what: "moto, for what LocalStack lacks of AWS",
        source: Source::Python(&pins::MOTO),
        start: Some(|| Moto::start().map(Running::Moto)),
    },
    Server {
        name: "postgres",
        what: "PostgreSQL, for vault-storage-postgres",
        source: Source::Debian {
            package: "postgresql",
            variable: postgres::FOLDER,
            find: postgres::find,
        },
        start: Some(|| Postgres::start().map(Running::Postgres)),
    },
    Server {
        name: "clients",
        what: "no server: the vendors' Python clients, witnesses beside ours",
        source: Source::Python(&pins::CLIENTS),
        start: None,
    },
];

/// The Python that has the vendors' clients: boto3, hvac, azure-keyvault-keys, azure-identity and
/// google-cloud-kms.
///
/// # Errors
/// If they are not installed, with the command that installs them.
pub fn python_clients() -> Result<PathBuf, ServerError> {
    pins::CLIENTS.found().ok_or_else(|| missing("clients"))
}

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

    /// The version that is installed; none where it is the system's own.
    #[must_use]
    pub fn version(&self) -> Option<&'static str> {
        match self.source {
            Source::Debian { .. } => None,
            Source::Go(program) => Some(program.version),
            Source::Python(environment) => Some(environment.version),
        }
    }

    /// Whether it can be started; the Python clients cannot.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.start.is_some()
    }

    /// Its program, or the folder that holds its programs, if it is installed.
    #[must_use]
    pub fn found(&self) -> Option<PathBuf> {
        match self.source {
            Source::Debian { find, .. } => find(),
            Source::Go(program) => program.found(),
            Source::Python(environment) => environment.found(),
        }
    }

    /// The command that installs it by hand.
    #[must_use]
    pub fn install_command(&self) -> String {
        match self.source {
            Source::Debian { package, .. } => debian::command(package),
            Source::Go(program) => program.command(),
            Source::Python(environment) => environment.command(),
        }
    }

    /// Installs it unless it is there and works; `tell` gets the lines of progress. What is the system's
    /// only root can install; anybody else gets the command.
    ///
    /// # Errors
    /// What kept it from being installed, with the command.
    pub fn install(&self, tell: Tell<'_>) -> Result<(), ServerError> {
        match self.source {
            Source::Go(program) => return program.install(tell),
            Source::Python(environment) => return environment.install(tell),
            Source::Debian { .. } if self.found().is_some() => return Ok(()),
            Source::Debian { variable, .. } if std::env::var_os(variable).is_some() => {
                return Err(self.missing());
            }
            Source::Debian { package, .. } => {
                tell(&format!("installing {} from the system's packages, once", self.name));
                debian::install(package)?;
            }
        }
        self.found().map(drop).ok_or_else(|| self.missing())
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it is not installed, or what it said instead of starting.
    pub fn start(&self) -> Result<Running, ServerError> {
        let Some(start) = self.start else {
            return Err(ServerError(format!("{} is no server", self.name)));
        };
        start()
    }

    fn missing(&self) -> ServerError {
        if let Source::Debian { variable, .. } = self.source
            && let Some(folder) = std::env::var_os(variable)
        {
            return ServerError(format!(
                "{variable} names {}, where the programs of {} are not",
                folder.display(),
                self.name
            ));
        }
        ServerError(format!(
            "{} is not installed here; `cargo xtask servers install {}` installs it, or: {}",
            self.name,
            self.name,
            self.install_command()
        ))
    }
}

/// The error for what is called `name` and is not installed.
fn missing(name: &str) -> ServerError {
    Server::named(name).map_or_else(|unknown| unknown, |server| server.missing())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).finish_non_exhaustive()
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
