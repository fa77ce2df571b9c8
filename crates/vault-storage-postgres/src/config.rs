//! Where the table is, and how long and on how many connections a store works with it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;
use vault_crypto_core::{Clock, Result, SystemClock};

use crate::error::invalid;
use crate::sql::Table;

const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 4;

/// Settings of a [`PostgresStorage`](crate::PostgresStorage).
#[derive(Clone)]
pub struct PostgresStorageConfig {
    pub(crate) server: Config,
    pub(crate) table: Table,
    pub(crate) timeout: Duration,
    pub(crate) connections: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl PostgresStorageConfig {
    /// The server and database that a `postgres://` URL or a list of `key=value` settings names.
    ///
    /// # Errors
    /// `InvalidInput` for one that cannot be read.
    pub fn new(url: &str) -> Result<Self> {
        // The driver's error may quote the URL, which may hold a password.
        let server = url.parse().map_err(|_| invalid("not a postgres:// URL"))?;
        Ok(Self::over(server))
    }

    /// The server and database that the driver's own configuration names.
    #[must_use]
    pub fn over(server: Config) -> Self {
        Self {
            server,
            table: Table::default(),
            timeout: TIMEOUT,
            connections: CONNECTIONS,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// Uses the table `name`, or `schema.name`, instead of `vault_storage`.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is not made of up to 48 of `a-z 0-9 _`, beginning with no digit.
    pub fn with_table(mut self, name: &str) -> Result<Self> {
        self.table = Table::new(name)?;
        Ok(self)
    }

    /// Ends each call after `timeout`, connecting included. At least a millisecond.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Uses up to `connections` at once, and at least one.
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Measures time on `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The statements that make the table, for whoever makes it in advance.
    #[must_use]
    pub fn schema_sql(&self) -> String {
        self.table.schema()
    }

    /// Whether every host is this machine.
    pub(crate) fn is_local(&self) -> bool {
        let addresses = self.server.get_hostaddrs();
        let local = |host: &Host| match host {
            Host::Tcp(name) if !addresses.is_empty() => !name.is_empty(),
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => addresses.is_empty(),
        };
        self.server.get_hosts().iter().all(local) && addresses.iter().all(IpAddr::is_loopback)
    }
}

impl fmt::Debug for PostgresStorageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStorageConfig")
            .field("hosts", &self.server.get_hosts())
            .field("database", &self.server.get_dbname())
            .field("table", &self.table)
            .field("timeout", &self.timeout)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(url: &str) -> bool {
        PostgresStorageConfig::new(url).unwrap().is_local()
    }

    #[test]
    fn only_this_machine_is_local() {
        for url in [
            "postgres://a@localhost/b",
            "postgres://a@127.0.0.1,[::1]/b",
            "host=/run/postgresql user=a",
            "host=db.example.com hostaddr=127.0.0.1 user=a",
        ] {
            assert!(local(url), "{url}");
        }
        for url in [
            "postgres://a@db.example.com/b",
            "postgres://a@localhost,db.example.com/b",
            "postgres://a@10.0.0.1/b",
            "host=localhost hostaddr=10.0.0.1 user=a",
            "host=localhost.example.com user=a",
        ] {
            assert!(!local(url), "{url}");
        }
    }

    #[test]
    fn a_password_is_in_no_debug_and_no_error() {
        let config = PostgresStorageConfig::new("postgres://a:hunter2@localhost/b").unwrap();
        let error =
            PostgresStorageConfig::new("postgres://a:hunter2@localhost:port/b").unwrap_err();
        let shown = format!("{config:?} {error:?} {error}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
