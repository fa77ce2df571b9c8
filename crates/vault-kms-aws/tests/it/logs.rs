//! What the SDK writes to the log while it carries secrets.

use tracing::Level;
use vault_crypto_core::KmsProvider;
use vault_kms_aws::{AssumeRole, AwsKmsProvider};
use vault_testkit::LogListener;
use vault_testkit::proxy::{Answer, FaultProxy, HttpFault};
use vault_testkit::redaction::SecretScan;
use vault_testkit::servers::LocalStack;

use super::support::{config, context, fixed, login, new_key, on, scope};

const CANARY: &str = "canary-5b1e-in-the-body";

/// Logs in, seals, opens and fails, and gives what was logged, with the secrets that must not be in it.
async fn logged(level: Level) -> (String, Vec<(&'static str, Vec<u8>)>) {
    let log = LogListener::start(level);
    let proxy = FaultProxy::start(LocalStack::shared().url().as_str()).unwrap();
    let role = AssumeRole::new("arn:aws:iam::000000000000:role/app")
        .with_external_id("the-external-id".to_owned());
    let settings = config(&proxy.url()).with_credentials(fixed(&login()).assume_role(role));
    let kms = AwsKmsProvider::connect(settings).await.unwrap();
    let key = new_key(&kms).await;
    let data_key = kms.generate_data_key(&key, &context()).await.unwrap();
    let payload = b"4111-1111-1111-1111";
    let sealed = kms.encrypt(&key, payload, &scope()).await.unwrap();
    kms.decrypt(&key, &sealed, &scope()).await.unwrap();
    kms.decrypt_data_key(data_key.wrapped(), &context()).await.unwrap();
    let random = kms.random_bytes(32).await.unwrap();
    let refusal = format!(r#"{{"__type":"AccessDeniedException","message":"{CANARY}"}}"#);
    proxy.on(on("Decrypt")).fault(HttpFault::Answer(Answer::json(400, refusal)));
    kms.decrypt(&key, &sealed, &scope()).await.unwrap_err();
    // Its beginning is that of the access key's id, which is public.
    let secret_part = login().secret_access_key.trim_start_matches("vaultkit-test-");
    let secrets = vec![
        ("the data key", data_key.plaintext().as_slice().to_vec()),
        ("the random bytes", random.as_slice().to_vec()),
        ("the payload", payload.to_vec()),
        ("the secret access key", secret_part.as_bytes().to_vec()),
        ("the external id", b"the-external-id".to_vec()),
    ];
    (log.heard(), secrets)
}

#[tokio::test]
async fn the_log_holds_no_secret_and_none_of_the_services_words() {
    let (text, secrets) = logged(Level::DEBUG).await;
    for (name, secret) in
        secrets.iter().chain([&("the service's words", CANARY.as_bytes().to_vec())])
    {
        SecretScan::new(secret).assert_absent(name, &text);
    }
}

/// At this level the SDK writes what the service answered when it refused, and no more than that.
#[tokio::test]
async fn even_at_its_most_talkative_the_log_holds_no_secret() {
    let (text, secrets) = logged(Level::TRACE).await;
    assert!(
        SecretScan::new(CANARY.as_bytes()).find(&text).is_some(),
        "README.md says that it does"
    );
    for (name, secret) in secrets {
        SecretScan::new(&secret).assert_absent(name, &text);
    }
}
