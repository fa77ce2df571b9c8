//! No secret, token, ciphertext or word of a server comes out in errors or in what types print.

use std::error::Error as _;
use std::time::Duration;

use vault_crypto_core::{CryptoError, KeyId, KmsProvider as _};
use vault_testkit::redaction::SecretScan;

use super::support::{World, config, context, scope};

fn all_of(error: &CryptoError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn errors_and_debug_hold_no_secret() {
    let world = World::new().await;
    let key = world.key("app").await;
    let data_key = world.data_key(&key).await;
    let token = world.fake.token(Duration::from_secs(60));
    let mut texts = vec![format!("{:?} {:#?}", world.kms, config(&world.fake))];
    let mut altered = data_key.wrapped().clone();
    altered.bytes[9] ^= 1;
    let mut note = |error: CryptoError| texts.push(all_of(&error));
    note(world.kms.decrypt_data_key(&altered, &context()).await.unwrap_err());
    note(world.kms.decrypt(&key, &altered.bytes, &scope()).await.unwrap_err());
    note(world.kms.describe_key(&KeyId::from("never-made")).await.unwrap_err());
    for permission in ["wrap", "unwrap", "encrypt", "decrypt", "read"] {
        world.fake.deny(permission);
    }
    note(world.kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap_err());
    note(world.kms.encrypt(&key, data_key.plaintext().as_slice(), &scope()).await.unwrap_err());
    note(world.kms.describe_key(&key).await.unwrap_err());
    world.fake.throttle(1, None);
    note(world.kms.generate_data_key(&key, &context()).await.unwrap_err());
    world.fake.stop();
    note(world.kms.generate_data_key(&key, &context()).await.unwrap_err());
    let (_, signature) = token.rsplit_once('.').unwrap();
    for secret in [
        data_key.plaintext().as_slice(),
        &data_key.wrapped().bytes,
        world.fake.client_secret().as_bytes(),
        signature.as_bytes(),
    ] {
        let scan = SecretScan::new(secret);
        for text in &texts {
            scan.assert_absent("an error", text);
        }
    }
    let words = ["does not have keys", "was not found in this key vault", "parameter is incorrect"];
    for text in &texts {
        assert!(words.iter().all(|words| !text.contains(words)), "{text}");
    }
}
