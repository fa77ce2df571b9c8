//! The service ends in the middle of the work and comes back: no wrong answer, no hang, every failure typed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use vault_crypto_core::{ErrorKind, KeyId, KmsProvider, Result};
use vault_kms_gcp::GcpKmsProvider;

use super::support::{Service, context};

const OPERATIONS: usize = 1_000;

/// Wraps and unwraps, and compares.
async fn round(kms: &GcpKmsProvider, key: &KeyId) -> Result<()> {
    let data_key = kms.generate_data_key(key, &context()).await?;
    let opened = kms.decrypt_data_key(data_key.wrapped(), &context()).await?;
    assert_eq!(&opened, data_key.plaintext(), "a wrong answer");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_operations_survive_two_outages() {
    let service = Arc::new(Service::start().await);
    let key = service.key("cards").await;
    let done = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (service, key, done) = (Arc::clone(&service), key.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut right, mut failed) = (0, 0);
                while done.fetch_add(1, Ordering::SeqCst) < OPERATIONS {
                    let outcome = timeout(Duration::from_secs(35), round(&service.kms, &key)).await;
                    match outcome.expect("a hang") {
                        Ok(()) => right += 1,
                        Err(error) => {
                            let kinds = [ErrorKind::Unavailable, ErrorKind::TimedOut];
                            assert!(kinds.contains(&error.kind()), "{error:?}");
                            failed += 1;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
                (right, failed)
            })
        })
        .collect();
    for at in [OPERATIONS / 4, OPERATIONS / 2] {
        while done.load(Ordering::SeqCst) < at {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        service.fake.stop();
        tokio::time::sleep(Duration::from_millis(50)).await;
        service.fake.start_again();
    }
    let (mut right, mut failed) = (0, 0);
    for worker in workers {
        let (r, f) = worker.await.unwrap();
        right += r;
        failed += f;
    }
    assert_eq!(right + failed, OPERATIONS);
    assert!(failed > 0, "no outage was seen");
    round(&service.kms, &key).await.expect("recovery without a restart");
}
