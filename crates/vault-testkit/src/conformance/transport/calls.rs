//! The calls of the suite, and what their right answers are.

use vault_crypto_core::{
    DataKey, KeyId, KeyInfo, KeyState, Operation, Result, Scope, SecureBytes, WrapContext,
    WrappedKey,
};

use super::TransportFixture;
use crate::conformance::{Failure, ensure};

/// What every provider does over the network.
pub(super) const OPERATIONS: [Operation; 7] = [
    Operation::GenerateDataKey,
    Operation::WrapDataKey,
    Operation::DecryptDataKey,
    Operation::RewrapDataKey,
    Operation::Encrypt,
    Operation::Decrypt,
    Operation::DescribeKey,
];

const PAYLOAD: &[u8] = b"a payload of the suite";

/// What was made before any fault, to be opened under one.
pub(super) struct Sample {
    pub(super) key: KeyId,
    pub(super) scope: Scope,
    pub(super) context: WrapContext,
    pub(super) data_key: DataKey,
    pub(super) payload: Vec<u8>,
    pub(super) described: KeyId,
}

/// What a call answered.
pub(super) enum Done {
    Key(DataKey),
    Wrapped(WrappedKey),
    Opened(SecureBytes),
    Payload(Vec<u8>),
    Described(KeyInfo),
}

impl Sample {
    pub(super) async fn new(fixture: &TransportFixture) -> Result<Self> {
        Self::of(fixture, &fixture.key).await
    }

    pub(super) async fn of(fixture: &TransportFixture, key: &KeyId) -> Result<Self> {
        fixture.proxy.clear();
        let scope = Scope::new([("tenant", "acme"), ("table", "cards")])?;
        let context = WrapContext::data_key(scope.clone());
        let data_key = fixture.kms.generate_data_key(key, &context).await?;
        let payload = fixture.kms.encrypt(key, PAYLOAD, &scope).await?;
        let described = fixture.kms.describe_key(key).await?.key_id;
        Ok(Self { key: key.clone(), scope, context, data_key, payload, described })
    }

    pub(super) async fn call(
        &self,
        fixture: &TransportFixture,
        operation: Operation,
    ) -> Result<Done> {
        let (kms, wrapped) = (&fixture.kms, self.data_key.wrapped());
        Ok(match operation {
            Operation::GenerateDataKey => {
                Done::Key(kms.generate_data_key(&self.key, &self.context).await?)
            }
            Operation::WrapDataKey => {
                let plaintext = self.data_key.plaintext();
                Done::Wrapped(kms.wrap_data_key(&self.key, plaintext, &self.context).await?)
            }
            Operation::DecryptDataKey => {
                Done::Opened(kms.decrypt_data_key(wrapped, &self.context).await?)
            }
            Operation::RewrapDataKey => {
                Done::Wrapped(kms.rewrap_data_key(wrapped, &self.key, &self.context).await?)
            }
            Operation::Encrypt => {
                Done::Payload(kms.encrypt(&self.key, PAYLOAD, &self.scope).await?)
            }
            Operation::Decrypt => {
                Done::Opened(kms.decrypt(&self.key, &self.payload, &self.scope).await?)
            }
            _ => Done::Described(kms.describe_key(&self.key).await?),
        })
    }

    /// Whether `done` is the right answer; asks the service, so no fault may be in force.
    pub(super) async fn check(
        &self,
        fixture: &TransportFixture,
        operation: Operation,
        done: &Done,
    ) -> Result<(), Failure> {
        let kms = &fixture.kms;
        let right = match done {
            Done::Key(key) => {
                let opened = kms.decrypt_data_key(key.wrapped(), &self.context).await?;
                opened == *key.plaintext() && opened != *self.data_key.plaintext()
            }
            Done::Wrapped(wrapped) => {
                let opened = kms.decrypt_data_key(wrapped, &self.context).await?;
                opened == *self.data_key.plaintext()
            }
            Done::Opened(bytes) if operation == Operation::Decrypt => *bytes == PAYLOAD,
            Done::Opened(bytes) => *bytes == *self.data_key.plaintext(),
            Done::Payload(payload) => {
                kms.decrypt(&self.key, payload, &self.scope).await? == PAYLOAD
            }
            Done::Described(info) => {
                info.key_id == self.described && info.state == KeyState::Enabled
            }
        };
        ensure(right, &format!("{} gave a wrong answer", operation.as_str()))
    }
}
