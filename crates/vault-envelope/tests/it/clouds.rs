//! Several KMSs with faults in front, on one virtual clock, and messages sealed for them.

use std::io::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use vault_crypto_core::header::{Header, parse};
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, HealthStatus, KeyId, KeyInfo, KmsProvider, Operation,
    Result, Scope, SecureBytes, WrapContext, WrappedKey,
};
use vault_envelope::{AllowedKeys, EnvelopeEncryption, OpenedBy, Recipient, Recipients};
use vault_testkit::{Faults, FaultyKms, MemoryKms, VirtualClock};

use super::support::context;

/// One cloud's KMS with one key.
pub(crate) struct Cloud {
    pub(crate) memory: Arc<MemoryKms>,
    pub(crate) faults: Faults,
    pub(crate) kms: Arc<dyn KmsProvider>,
    pub(crate) key: KeyId,
}

impl Cloud {
    pub(crate) fn new(clock: &VirtualClock) -> Self {
        let memory = Arc::new(MemoryKms::new());
        let key = memory.add_key("app").unwrap();
        let faults = Faults::new(Arc::new(clock.clone()));
        let kms: Arc<dyn KmsProvider> = Arc::new(FaultyKms::new(memory.clone(), faults.clone()));
        Self { memory, faults, kms, key }
    }

    pub(crate) fn recipient(&self) -> Recipient {
        Recipient::kms(self.kms.clone(), self.key.clone())
    }

    pub(crate) fn allowed(&self) -> AllowedKeys {
        AllowedKeys::none().key(self.kms.clone(), self.key.clone())
    }

    /// Calls of `operation` that came this far.
    pub(crate) fn calls(&self, operation: Operation) -> u64 {
        self.faults.calls().of(operation)
    }

    /// An envelope that may open by this cloud alone.
    pub(crate) fn reader(&self, clock: &VirtualClock) -> EnvelopeEncryption {
        EnvelopeEncryption::builder(self.kms.clone(), self.key.clone())
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap()
    }
}

pub(crate) fn clouds<const N: usize>() -> (VirtualClock, [Cloud; N]) {
    let clock = VirtualClock::new();
    let clouds = std::array::from_fn(|_| Cloud::new(&clock));
    (clock, clouds)
}

pub(crate) fn recipients(clouds: &[Cloud]) -> Vec<Recipient> {
    clouds.iter().map(Cloud::recipient).collect()
}

pub(crate) fn envelope_to(clock: &VirtualClock, recipients: Recipients) -> EnvelopeEncryption {
    EnvelopeEncryption::to(recipients).clock(Arc::new(clock.clone())).build().unwrap()
}

/// An envelope that may open by these clouds, in this order.
pub(crate) fn reader_of(clock: &VirtualClock, clouds: &[&Cloud]) -> EnvelopeEncryption {
    let allowed = clouds.iter().fold(AllowedKeys::none(), |allowed, cloud| {
        allowed.key(cloud.kms.clone(), cloud.key.clone())
    });
    EnvelopeEncryption::to(Recipients::all([clouds[0].recipient()]))
        .allow_only(allowed)
        .clock(Arc::new(clock.clone()))
        .build()
        .unwrap()
}

/// A message with a data key of its own.
pub(crate) async fn seal(envelope: &EnvelopeEncryption) -> Result<Vec<u8>> {
    let mut writer = envelope.writer(Vec::new(), &context()).await?;
    writer.write_all(b"value").unwrap();
    writer.finish()
}

/// Opens what [`seal`] sealed.
pub(crate) async fn open(envelope: &EnvelopeEncryption, sealed: &[u8]) -> Result<OpenedBy> {
    let message = envelope.open_whole(sealed, &context(), 1 << 10).await?;
    assert_eq!(message.as_slice(), b"value");
    Ok(message.opened_by().clone())
}

/// The message with its header replaced by `header`.
pub(crate) fn with_header(sealed: &[u8], header: &[u8]) -> Vec<u8> {
    [header, &sealed[parse(sealed).unwrap().len()..]].concat()
}

/// The message after somebody with access to the store changed its header, who has no key for the MAC.
pub(crate) fn tampered(sealed: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let parsed = parse(sealed).unwrap();
    let mut header = parsed.header.clone();
    change(&mut header);
    with_header(sealed, &header.encode(parsed.mac, None).unwrap())
}

pub(crate) fn header_of(sealed: &[u8]) -> Header {
    parse(sealed).unwrap().header
}

/// A KMS that tells no canonical id without being asked, as for an alias.
pub(crate) struct Private(pub(crate) Arc<dyn KmsProvider>);

#[async_trait]
impl KmsProvider for Private {
    fn provider_type(&self) -> &'static str {
        self.0.provider_type()
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        self.0.generate_data_key(key_id, context).await
    }
    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.0.wrap_data_key(key_id, plaintext, context).await
    }
    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        self.0.decrypt_data_key(wrapped, context).await
    }
    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.0.rewrap_data_key(wrapped, to, context).await
    }
    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        self.0.encrypt(key_id, plaintext, scope).await
    }
    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        self.0.decrypt(key_id, ciphertext, scope).await
    }
    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.0.describe_key(key_id).await
    }
    async fn health_check(&self) -> Result<HealthStatus> {
        self.0.health_check().await
    }
}

/// The sentence of the first error in the chain that has one.
pub(crate) fn detail(error: &CryptoError) -> &str {
    error.detail().unwrap_or_default()
}
