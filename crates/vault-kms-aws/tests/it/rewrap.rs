//! Rewrapping after a rotation happens inside the service.

use vault_crypto_core::{KmsAdmin, KmsProvider, RotateOptions};
use vault_testkit::servers::LocalStack;

use super::support::{connect, context, new_key};

/// A server of its own, because its log of calls is what is shown.
#[tokio::test]
async fn a_rewrap_after_a_rotation_never_brings_the_data_key_here() {
    let server = LocalStack::start().unwrap();
    let kms = connect(&server.url()).await;
    let (key, other) = (new_key(&kms).await, new_key(&kms).await);
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    kms.rotate_key(&key, RotateOptions::now()).await.unwrap();
    let before = server.calls().unwrap().len();
    let again = kms.rewrap_data_key(data_key.wrapped(), &key, &context()).await.unwrap();
    let moved = kms.rewrap_data_key(&again, &other, &context()).await.unwrap();
    let calls = server.calls().unwrap();
    let called: Vec<&str> = calls[before..].iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(called, ["ReEncrypt", "ReEncrypt"]);
    assert_eq!((&again.key_id, &moved.key_id), (&key, &other));
    for wrapped in [data_key.wrapped(), &again, &moved] {
        assert_eq!(kms.decrypt_data_key(wrapped, &context()).await.unwrap(), *data_key.plaintext());
    }
}
