//! What the SDK and everything under it write to the log while they carry secrets.

use tracing::Level;
use vault_crypto_core::KmsProvider;
use vault_kms_gcp::GcpKmsProvider;
use vault_testkit::LogListener;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault, Match};
use vault_testkit::redaction::SecretScan;

use super::support::{Service, Tokens, at, context, scope};

const TOKEN: &str = "ya29.a-token-that-no-log-may-hold";
const CANARY: &str = "canary-in-the-words-of-the-service";
const PAYLOAD: &[u8] = b"4111 1111 1111 1111";

/// On one thread, so that the log sees the tasks of channel and connection too.
#[tokio::test]
async fn no_level_of_the_log_holds_a_secret_or_a_word_of_the_service() {
    let service = Service::start().await;
    let key = service.key("cards").await;
    let proxy = FaultProxy::start(service.fake.endpoint().as_str()).unwrap();
    let log = LogListener::start(Level::TRACE);
    let config = at(&proxy.url()).with_credentials(Tokens::new(TOKEN).credentials());
    let kms = GcpKmsProvider::connect(config).await.unwrap();
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    let sealed = kms.encrypt(&key, PAYLOAD, &scope()).await.unwrap();
    kms.decrypt(&key, &sealed, &scope()).await.unwrap();
    let random = kms.random_bytes(32).await.unwrap();
    for answer in [Answer::grpc(7, CANARY), Answer::new(500).with_body(CANARY)] {
        proxy.on(Match::any()).fault(HttpFault::Answer(answer));
        kms.decrypt(&key, &sealed, &scope()).await.unwrap_err();
    }
    let text = log.heard();
    assert!(text.contains("h2::"), "nothing was logged");
    let secrets: [(&str, &[u8]); 5] = [
        ("the data key", data_key.plaintext().as_slice()),
        ("the payload", PAYLOAD),
        ("the random bytes", random.as_slice()),
        ("the token", TOKEN.as_bytes()),
        ("the service's words", CANARY.as_bytes()),
    ];
    for (name, secret) in secrets {
        let found = SecretScan::new(secret).find(&text);
        assert_eq!(found, None, "{name}");
    }
}
