//! The store: one statement for each call.

use std::fmt;

use async_trait::async_trait;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{NoTls, Row, Socket};
use vault_crypto_core::storage::{
    Expected, StorageCapabilities, StorageVersion, Stored, StoredEntry, StoredPage, check_key,
    check_list, check_put, conflict,
};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, StorageBackend};

use crate::client::{Clients, Params, Request};
use crate::config::PostgresStorageConfig;
use crate::error::{Fault, invalid};
use crate::sql;

/// A store in a table of PostgreSQL, for many processes at once. Share it in an `Arc`.
pub struct PostgresStorage {
    clients: Clients,
    statements: Statements,
}

struct Statements {
    get: String,
    make_key: String,
    replace: String,
    delete: String,
    list: String,
}

impl PostgresStorage {
    /// Connects without TLS, to a Unix socket or this machine's loopback alone, and makes the table if it
    /// is not there.
    ///
    /// # Errors
    /// `InvalidInput` for a server elsewhere, for a database that does not exist, and without a tokio
    /// runtime; `PermissionDenied` for a role that may not connect, or not make the table; `Unavailable`
    /// and `TimedOut` where the server is not there.
    pub async fn connect(config: PostgresStorageConfig) -> Result<Self> {
        if !config.is_local() {
            return Err(invalid(
                "without TLS only a Unix socket or loopback is spoken to; give `connect_with` a connector",
            ));
        }
        Self::open(config, NoTls).await
    }

    /// Connects with what `tls` makes, whatever the URL says of TLS, and makes the table if it is not
    /// there. A server that offers no TLS is refused; which certificates are taken is the connector's
    /// business.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), but for a server elsewhere.
    pub async fn connect_with<T>(mut config: PostgresStorageConfig, tls: T) -> Result<Self>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        config.server.ssl_mode(SslMode::Require);
        Self::open(config, tls).await
    }

    async fn open<T>(config: PostgresStorageConfig, tls: T) -> Result<Self>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::TlsConnect: Send,
        T::Stream: Send + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let table = &config.table;
        let statements = Statements {
            get: table.get(),
            make_key: table.make_key(),
            replace: table.replace(),
            delete: table.delete(),
            list: table.list(),
        };
        let storage = Self { clients: Clients::new(config, tls), statements };
        storage.prepare().await.map_err(|fault| fault.in_operation(Operation::Configure))?;
        Ok(storage)
    }

    /// Makes the table where it is not. Asks first: whoever may use it may not be allowed to make it.
    async fn prepare(&self) -> Result<(), Fault> {
        let table = &self.clients.config().table;
        let exists = table.exists();
        let found = self.clients.ask(Request::Rows(&exists, &[])).await?;
        if found.iter().any(|row| row.try_get(0).unwrap_or(false)) {
            return Ok(());
        }
        let make = table.make();
        self.clients.ask(Request::Script(&make)).await.map(drop)
    }

    async fn rows(
        &self,
        operation: Operation,
        statement: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let asked = self.clients.ask(Request::Rows(statement, params)).await;
        asked.map_err(|fault| fault.in_operation(operation))
    }
}

/// What stands in a column of an answer.
fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
    operation: Operation,
) -> Result<T> {
    row.try_get(index).map_err(|error| {
        CryptoError::new(ErrorKind::StoreDamaged, operation)
            .with_detail("the table is not of the shape that this crate makes")
            .with_source(error)
    })
}

fn version(row: &Row, index: usize, operation: Operation) -> Result<StorageVersion> {
    let number: i64 = column(row, index, operation)?;
    Ok(StorageVersion::new(number.cast_unsigned()))
}

/// A version that no row has where the number is none of ours.
fn number(version: StorageVersion) -> i64 {
    version.as_u64().cast_signed()
}

#[async_trait]
impl StorageBackend for PostgresStorage {
    fn storage_type(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> StorageCapabilities {
        StorageCapabilities::none().with_durable(true).with_shared(true)
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        let operation = Operation::StorageGet;
        check_key(key, operation)?;
        let rows = self.rows(operation, &self.statements.get, &[(&key, Type::TEXT)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let value: Vec<u8> = column(row, 0, operation)?;
        Ok(Some(Stored::new(value, version(row, 1, operation)?)))
    }

    async fn put(&self, key: &str, value: &[u8], expected: Expected) -> Result<StorageVersion> {
        let operation = Operation::StoragePut;
        check_put(key, value)?;
        let lock = self.clients.config().table.lock(key);
        let rows = match expected {
            Expected::Absent => {
                let params: Params<'_> =
                    &[(&key, Type::TEXT), (&value, Type::BYTEA), (&lock, Type::INT8)];
                self.rows(operation, &self.statements.make_key, params).await?
            }
            Expected::Version(held) => {
                let held = number(held);
                let params: Params<'_> = &[
                    (&key, Type::TEXT),
                    (&value, Type::BYTEA),
                    (&lock, Type::INT8),
                    (&held, Type::INT8),
                ];
                self.rows(operation, &self.statements.replace, params).await?
            }
        };
        let row = rows.first().ok_or_else(|| conflict(operation))?;
        version(row, 0, operation)
    }

    async fn delete(&self, key: &str, expected: StorageVersion) -> Result<()> {
        let operation = Operation::StorageDelete;
        check_key(key, operation)?;
        let held = number(expected);
        let params: Params<'_> = &[(&key, Type::TEXT), (&held, Type::INT8)];
        let rows = self.rows(operation, &self.statements.delete, params).await?;
        if rows.is_empty() { Err(conflict(operation)) } else { Ok(()) }
    }

    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<StoredPage> {
        let operation = Operation::StorageList;
        check_list(prefix, after, limit)?;
        let (end, after) = (sql::end_of(prefix), after.unwrap_or_default());
        // One more than the page has, to know of it.
        let asked = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let params: Params<'_> = &[
            (&prefix, Type::TEXT),
            (&end, Type::TEXT),
            (&after, Type::TEXT),
            (&asked, Type::INT8),
        ];
        let rows = self.rows(operation, &self.statements.list, params).await?;
        let entry = |row: &Row| {
            let key: String = column(row, 0, operation)?;
            Ok(StoredEntry::new(key, version(row, 1, operation)?))
        };
        let entries: Result<Vec<_>> = rows.iter().map(entry).collect();
        Ok(StoredPage::first(entries?, limit))
    }
}

impl fmt::Debug for PostgresStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStorage").field("config", self.clients.config()).finish()
    }
}
