//! Journey 2 with a database: a sealed column in PostgreSQL. What the server stores, backs up and logs is
//! sealed; whoever moves a value to another row or tenant has broken it.

use std::error::Error;
use std::sync::Arc;

use vaultkit::core::{EncryptedData, EncryptionContext, SecureBytes};
use vaultkit::envelope::EnvelopeEncryption;
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};
use vaultkit::storage::postgres::tokio_postgres::{Client, NoTls, connect};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[cfg_attr(test, expect(dead_code, reason = "the test names a server of its own"))]
fn main() -> Outcome {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL names no database")?;
    run(&url)
}

pub(crate) fn run(url: &str) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(field(url))
}

/// The table, and what seals its column `number`.
struct Cards {
    client: Client,
    envelope: EnvelopeEncryption,
}

impl Cards {
    async fn put(&self, row: i64, tenant: &str, number: &str) -> Outcome {
        let tenants = self.envelope.scoped([("tenant", tenant)])?;
        let sealed = tenants.encrypt(number.as_bytes(), &bound_to(row)).await?;
        let insert = "insert into cards (row, tenant, number) values ($1, $2, $3)";
        self.client.execute(insert, &[&row, &tenant, &sealed.as_bytes()]).await?;
        Ok(())
    }

    async fn get(&self, row: i64) -> Outcome<SecureBytes> {
        let select = "select tenant, number from cards where row = $1";
        let found = self.client.query_one(select, &[&row]).await?;
        let (tenant, sealed): (&str, Vec<u8>) = (found.try_get(0)?, found.try_get(1)?);
        let tenants = self.envelope.scoped([("tenant", tenant)])?;
        Ok(tenants.decrypt(&EncryptedData::from_bytes(sealed), &bound_to(row)).await?)
    }
}

/// Bound to the one value, stored nowhere.
fn bound_to(row: i64) -> EncryptionContext {
    EncryptionContext::from([("row", row.to_string())])
}

async fn field(url: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(folder.path().join("keys")))?;
    let envelope = EnvelopeEncryption::builder(Arc::new(kms), "default")
        .scope([("table", "cards")])
        .build()?;

    let (client, connection) = connect(url, NoTls).await?;
    let driver = tokio::spawn(connection);
    let columns = "row bigint primary key, tenant text not null, number bytea not null";
    client.batch_execute(&format!("create temporary table cards ({columns})")).await?;

    let cards = Cards { client, envelope };
    for row in 0..50 {
        cards.put(row, "acme", "4111 1111 1111 1111").await?;
        cards.put(100 + row, "globex", "5500 0000 0000 0004").await?;
    }
    assert_eq!(cards.get(42).await?, b"4111 1111 1111 1111");
    assert_eq!(cards.get(142).await?, b"5500 0000 0000 0004");
    // A data key for each tenant; all the rest came from the cache.
    assert_eq!(cards.envelope.cache().stats().kms_calls, 2);

    // Whoever can write to the table cannot give one row's value to another, nor move it to another tenant.
    let swap = "update cards set number = (select number from cards where row = 7) where row = 8";
    let take = "update cards set tenant = 'globex' where row = 9";
    for forgery in [swap, take] {
        cards.client.execute(forgery, &[]).await?;
    }
    assert!(cards.get(8).await.is_err() && cards.get(9).await.is_err());

    drop(cards);
    Ok(driver.await??)
}
