//! The AWS Encryption SDK's hierarchical keyring, the one cache that its Rust edition has: branch keys from
//! a table in DynamoDB, wrapped by AWS KMS, kept in its storm-tracking cache. Both services are played.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, Mutex};

use aws_esdk::client::Client;
use aws_esdk::key_store::client::Client as KeyStore;
use aws_esdk::key_store::types::KmsConfiguration;
use aws_esdk::key_store::types::key_store_config::KeyStoreConfig;
use aws_esdk::material_providers::client::Client as Materials;
use aws_esdk::material_providers::types::EsdkAlgorithmSuiteId as Suite;
use aws_esdk::material_providers::types::EsdkCommitmentPolicy;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::types::aws_encryption_sdk_config::AwsEncryptionSdkConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::fake_aws::Service;
use crate::timing::Case;

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000001";
const TABLE: &str = "bench";
const NAME: &str = "aws-esdk 1.2, hierarchical keyring, unsigned";

pub fn sealers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let sdk = Sdk::new();
    vec![Case::new(NAME, move || {
        black_box(sdk.seal(black_box(plaintext)));
    })]
}

pub fn openers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let sdk = Sdk::new();
    let sealed = sdk.seal(plaintext);
    assert_eq!(sdk.open(&sealed), plaintext);
    vec![Case::new(NAME, move || {
        black_box(sdk.open(black_box(&sealed)));
    })]
}

struct Sdk {
    runtime: Runtime,
    client: Client,
    keyring: KeyringRef,
}

impl Sdk {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let policy = EsdkCommitmentPolicy::RequireEncryptRequireDecrypt;
        let config = AwsEncryptionSdkConfig::builder().commitment_policy(policy).build();
        let client = Client::from_conf(config.expect("a good configuration")).expect("a client");
        let keyring = runtime.block_on(keyring());
        Self { runtime, client, keyring }
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let request = self
            .client
            .encrypt()
            .keyring(self.keyring.clone())
            .plaintext(plaintext.to_vec())
            .encryption_context(context())
            .algorithm_suite_id(Suite::AlgAes256GcmHkdfSha512CommitKey);
        let answer = self.runtime.block_on(request.send()).expect("the SDK seals");
        answer.ciphertext.expect("a message").as_ref().to_vec()
    }

    fn open(&self, sealed: &[u8]) -> Vec<u8> {
        let request =
            self.client.decrypt().keyring(self.keyring.clone()).ciphertext(sealed.to_vec());
        let answer = self.runtime.block_on(request.send()).expect("the SDK opens");
        answer.plaintext.expect("a plaintext").as_ref().to_vec()
    }
}

fn context() -> HashMap<String, String> {
    [("tenant", "acme"), ("table", "cards"), ("column", "number"), ("row", "0000000000000000042")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

async fn keyring() -> KeyringRef {
    let config = KeyStoreConfig::builder()
        .kms_client(kms())
        .ddb_client(table())
        .ddb_table_name(TABLE)
        .logical_key_store_name(TABLE)
        .kms_configuration(KmsConfiguration::KmsKeyArn(KEY.to_owned()))
        .build()
        .expect("a good configuration");
    let store = KeyStore::from_conf(config).expect("a key store");
    let created = store.create_key().send().await.expect("a branch key");
    let config = MaterialProvidersConfig::builder().build().expect("a good configuration");
    let materials = Materials::from_conf(config).expect("a client");
    let keyring = materials
        .create_aws_kms_hierarchical_keyring()
        .key_store(store)
        .branch_key_id(created.branch_key_identifier.expect("its name"))
        .ttl_seconds(600);
    keyring.send().await.expect("a keyring")
}

/// AWS KMS: what it wraps is the key itself with a letter in front.
fn kms() -> aws_sdk_kms::Client {
    let plaintext = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="; // 32 bytes
    let wrapped = "d3JhcHBlZA==";
    let service = Service::new(move |operation, _| match operation {
        "Decrypt" => json!({"KeyId": KEY, "Plaintext": plaintext}),
        "ReEncrypt" => json!({"KeyId": KEY, "SourceKeyId": KEY, "CiphertextBlob": wrapped}),
        _ => json!({"KeyId": KEY, "CiphertextBlob": wrapped}),
    });
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("id", "secret", None, None, "bench"))
        .region(Region::new("us-east-1"))
        .http_client(service.client())
        .build();
    aws_sdk_kms::Client::from_conf(config)
}

/// DynamoDB: one table, items by their two keys.
fn table() -> aws_sdk_dynamodb::Client {
    let items: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
    let name = |item: &Value| format!("{}{}", item["branch-key-id"], item["type"]);
    let service = Service::new(move |operation, body| {
        let mut items = items.lock().expect("one writer");
        match operation {
            "TransactWriteItems" => {
                for write in body["TransactItems"].as_array().into_iter().flatten() {
                    let item = &write["Put"]["Item"];
                    items.insert(name(item), item.clone());
                }
                json!({})
            }
            _ => json!({"Item": items.get(&name(&body["Key"]))}),
        }
    });
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .credentials_provider(Credentials::new("id", "secret", None, None, "bench"))
        .region(Region::new("us-east-1"))
        .http_client(service.client())
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}
