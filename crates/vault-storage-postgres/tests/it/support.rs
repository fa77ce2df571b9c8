//! A table of its own for each test, and a second client that does what the crate must not.

use std::future::poll_fn;

use tokio_postgres::NoTls;
use vault_storage_postgres::{PostgresStorage, PostgresStorageConfig};
use vault_testkit::servers::Postgres;

pub(super) fn config(table: &str) -> PostgresStorageConfig {
    config_of(Postgres::shared(), table)
}

pub(super) fn config_of(server: &Postgres, table: &str) -> PostgresStorageConfig {
    PostgresStorageConfig::new(&server.url()).unwrap().with_table(table).unwrap()
}

pub(super) async fn storage(table: &str) -> PostgresStorage {
    PostgresStorage::connect(config(table)).await.unwrap()
}

/// Runs statements as the superuser and answers the first column of the rows.
pub(super) async fn sql(server: &Postgres, statements: &str) -> Vec<String> {
    let (client, mut connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
    let driver = tokio::spawn(async move {
        while poll_fn(|cx| connection.poll_message(cx)).await.is_some_and(|said| said.is_ok()) {}
    });
    let said = client.simple_query(statements).await.unwrap();
    drop(client);
    driver.await.unwrap();
    let row = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    said.iter().filter_map(row).collect()
}
