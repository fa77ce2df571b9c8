//! A server that dies in the middle of many operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vault_crypto_core::{ErrorKind, KeyId, KmsProvider};
use vault_kms_aws::AwsKmsProvider;
use vault_testkit::servers::LocalKms;

use super::support::{connect, context, new_key};

const OPERATIONS: u64 = 1_000;

/// One data key, made and opened: right, or an error that says that the service was away.
async fn round_trip(kms: &AwsKmsProvider, key: &KeyId) -> Result<(), ErrorKind> {
    let data_key = kms.generate_data_key(key, &context()).await.map_err(|error| error.kind())?;
    let opened =
        kms.decrypt_data_key(data_key.wrapped(), &context()).await.map_err(|error| error.kind())?;
    assert_eq!(opened, *data_key.plaintext(), "a wrong answer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_among_a_thousand_operations_costs_typed_errors_only() {
    let server = Arc::new(LocalKms::start().unwrap());
    let kms = connect(&server.url()).await;
    let key = new_key(&kms).await;
    let (done, right, away) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let (kms, key) = (kms.clone(), key.clone());
        let (done, right, away) = (done.clone(), right.clone(), away.clone());
        tasks.push(tokio::spawn(async move {
            while done.fetch_add(1, Ordering::Relaxed) < OPERATIONS {
                match round_trip(&kms, &key).await {
                    Ok(()) => right.fetch_add(1, Ordering::Relaxed),
                    Err(kind) => {
                        assert!(
                            matches!(kind, ErrorKind::Unavailable | ErrorKind::TimedOut),
                            "{kind:?}"
                        );
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        away.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        }));
    }
    while done.load(Ordering::Relaxed) < OPERATIONS / 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let died = server.clone();
    tokio::task::spawn_blocking(move || died.crash()).await.unwrap().unwrap();
    while away.load(Ordering::Relaxed) < 8 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let risen = server.clone();
    tokio::task::spawn_blocking(move || risen.recover()).await.unwrap().unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    let (right, away) = (right.load(Ordering::Relaxed), away.load(Ordering::Relaxed));
    assert_eq!(right + away, OPERATIONS);
    assert!(away >= 8 && right > OPERATIONS / 2, "{right} right, {away} away");
    // The same client goes on.
    round_trip(&kms, &key).await.unwrap();
}
