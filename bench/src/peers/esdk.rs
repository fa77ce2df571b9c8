//! The AWS Encryption SDK with a raw AES keyring: committing, and signing as it does by default.

use std::collections::HashMap;
use std::hint::black_box;

use aws_esdk::client::Client;
use aws_esdk::material_providers::client::Client as Materials;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{
    AesWrappingAlg, EsdkAlgorithmSuiteId as Suite, EsdkCommitmentPolicy,
};
use aws_esdk::types::aws_encryption_sdk_config::AwsEncryptionSdkConfig;
use tokio::runtime::Runtime;

use crate::timing::Case;

const SUITES: [(&str, Suite); 2] = [
    ("aws-esdk 1.2, unsigned", Suite::AlgAes256GcmHkdfSha512CommitKey),
    ("aws-esdk 1.2, signed (its default)", Suite::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384),
];

struct Sdk {
    runtime: Runtime,
    client: Client,
    keyring: KeyringRef,
}

pub fn record_sealers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let cases = SUITES.into_iter().map(|(name, suite)| {
        let sdk = Sdk::new();
        Case::new(name, move || {
            black_box(sdk.seal(black_box(plaintext), &suite));
        })
    });
    cases.collect()
}

pub fn record_openers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let cases = SUITES.into_iter().map(|(name, suite)| {
        let sdk = Sdk::new();
        let sealed = sdk.seal(plaintext, &suite);
        Case::new(name, move || {
            black_box(sdk.open(black_box(&sealed)));
        })
    });
    cases.collect()
}

impl Sdk {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let policy = EsdkCommitmentPolicy::RequireEncryptRequireDecrypt;
        let config = AwsEncryptionSdkConfig::builder().commitment_policy(policy).build();
        let client = Client::from_conf(config.expect("a good configuration")).expect("a client");
        let config = MaterialProvidersConfig::builder().build().expect("a good configuration");
        let materials = Materials::from_conf(config).expect("a client");
        let keyring = materials
            .create_raw_aes_keyring()
            .key_name("bench")
            .key_namespace("bench")
            .wrapping_key(vec![9; 32])
            .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16);
        let keyring = runtime.block_on(keyring.send()).expect("a keyring");
        Self { runtime, client, keyring }
    }

    fn seal(&self, plaintext: &[u8], suite: &Suite) -> Vec<u8> {
        let context = HashMap::from([("table", "cards"), ("row", "0000000000000000042")]);
        let context = context.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = self
            .client
            .encrypt()
            .keyring(self.keyring.clone())
            .plaintext(plaintext.to_vec())
            .encryption_context(context.collect::<HashMap<_, _>>())
            .algorithm_suite_id(suite.clone());
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
