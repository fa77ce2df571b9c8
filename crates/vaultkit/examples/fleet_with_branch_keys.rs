//! A fleet with branch keys: many processes, one key at the KMS, a branch key for each tenant in a store that
//! they share. Records carry 96 bytes more than their plaintext, and the KMS is asked once for each branch
//! key and process, however many records there are.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vaultkit::core::{EncryptedData, EncryptionContext, KeyId, KmsAdmin, RotateOptions};
use vaultkit::envelope::{BranchKeys, EnvelopeEncryption};
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};
use vaultkit::storage::postgres::{PostgresStorage, PostgresStorageConfig};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const TENANTS: [&str; 3] = ["acme", "globex", "initech"];
const PROCESSES: usize = 4;
const RECORDS: usize = 100;

#[cfg_attr(test, expect(dead_code, reason = "the test names a server of its own"))]
fn main() -> Outcome {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL names no database")?;
    run(&url)
}

pub(crate) fn run(url: &str) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(fleet(url))
}

/// What each process of the fleet sets up when it starts.
async fn process(url: &str, keys: &Path) -> Outcome<(EnvelopeEncryption, Arc<LocalKms>)> {
    let (kms, _) = LocalKms::open_or_create(LocalKmsConfig::new(keys))?;
    let kms = Arc::new(kms);
    let storage = PostgresStorage::connect(PostgresStorageConfig::new(url)?).await?;
    let envelope = EnvelopeEncryption::builder(kms.clone(), "default")
        .branch_keys(BranchKeys::new(Arc::new(storage)))
        .build()?;
    Ok((envelope, kms))
}

async fn fleet(url: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(process(url, &keys).await?);
    }

    let context = EncryptionContext::from([("column", "number")]);
    let mut records: Vec<(&str, EncryptedData)> = Vec::new();
    for (envelope, _) in &processes {
        for tenant in TENANTS {
            let tenants = envelope.scoped([("tenant", tenant)])?;
            for _ in 0..RECORDS {
                let sealed = tenants.encrypt(b"4111 1111 1111 1111", &context).await?;
                assert_eq!(sealed.len(), 19 + 96);
                records.push((tenant, sealed));
            }
        }
    }
    // Every process opens what all of them sealed.
    for (envelope, _) in &processes {
        for (tenant, sealed) in &records {
            let tenants = envelope.scoped([("tenant", *tenant)])?;
            assert_eq!(tenants.decrypt(sealed, &context).await?, b"4111 1111 1111 1111");
        }
    }
    // 1,200 records sealed and 4,800 opened: each process unwraps each branch key once, and whoever was the
    // first had the KMS make it.
    let mut calls = 0;
    for (envelope, _) in &processes {
        let stats = envelope.branch_stats();
        calls += stats.made + stats.unwraps;
    }
    assert_eq!(calls, ((PROCESSES + 1) * TENANTS.len()) as u64);

    // A tenant's branch key is rotated: new records take the new one, old ones still open.
    let (first, kms) = processes.first().ok_or("a fleet of none")?;
    let acme = first.scoped([("tenant", "acme")])?;
    assert_eq!(acme.rotate_branch().await?, 2);
    // The KMS's key is rotated: what has to be rewrapped is a branch key each, not a record each.
    kms.rotate_key(&KeyId::new("default"), RotateOptions::now()).await?;
    let rewraps = first.rewrap_branches(|_| ()).await?;
    assert_eq!((rewraps.moved, rewraps.failed), (4, 0));
    for (tenant, sealed) in records.iter().take(RECORDS) {
        let tenants = first.scoped([("tenant", *tenant)])?;
        assert_eq!(tenants.decrypt(sealed, &context).await?, b"4111 1111 1111 1111");
    }
    Ok(())
}
