//! `KmsProvider`: using keys. Wrapped keys and payloads have different encryption contexts, so that one never
//! opens as the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kms::operation::re_encrypt::ReEncryptOutput;
use aws_sdk_kms::primitives::Blob;
use aws_smithy_async::future::timeout::Timeout;
use vault_crypto_core::{
    Capabilities, Clock, CryptoError, DATA_KEY_LEN, DataKey, ErrorKind, HealthStatus, KeyId,
    KeyInfo, KeyVersion, KmsProvider, MAX_WRAP_LEN, Operation, Result, Scope, SecureBytes,
    WrapContext, WrappedKey,
};

use crate::client::Connection;
use crate::config::AwsKmsConfig;
use crate::error::{Fault, broken_answer, invalid};
use crate::{binding, names};

/// Longest ciphertext that the service takes.
const MAX_CIPHERTEXT_LEN: usize = 6_144;
/// Most random bytes in one answer.
const MAX_RANDOM_LEN: usize = 1_024;

/// Keys of AWS KMS in one region, as one identity. Needs a tokio runtime.
#[derive(Debug)]
pub struct AwsKmsProvider {
    pub(crate) connection: Connection,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a whole call may take.
    pub(crate) patience: Duration,
}

impl AwsKmsProvider {
    /// Prepares to ask. The first call logs in; until then nobody is asked, unless the region has to be found
    /// out from the machine's metadata, which takes at most the `call_timeout`.
    ///
    /// # Errors
    /// `InvalidInput` for a setting that can never work; `TimedOut` where the machine does not tell its region in
    /// time.
    pub async fn connect(config: AwsKmsConfig) -> Result<Self> {
        let (clock, patience) = (config.clock.clone(), config.call_timeout);
        let opened = Timeout::new(Connection::open(config), clock.sleep(patience)).await;
        let late = || {
            CryptoError::new(ErrorKind::TimedOut, Operation::Configure).with_detail(
                "the machine's metadata service did not tell the region in time; configure one",
            )
        };
        Ok(Self { connection: opened.map_err(|_| late())??, clock, patience })
    }

    /// Asks by a ready-made client. Of the configuration the clock, the generator and the time-outs are used: its
    /// `call_timeout`, and the others where the client has none. The client's retries are turned off, because the
    /// decorators retry; its credentials are kept as those of a login of ours are. All else is the client's.
    ///
    /// # Errors
    /// `InvalidInput` for a setting that can never work, and for one that is the client's: credentials, a region,
    /// endpoints, FIPS, dual stack, TLS roots, a proxy.
    pub fn with_client(client: aws_sdk_kms::Client, config: AwsKmsConfig) -> Result<Self> {
        let connection = Connection::with_client(&client, &config)?;
        Ok(Self { connection, clock: config.clock, patience: config.call_timeout })
    }

    /// Who asks: the ARN that STS tells.
    ///
    /// # Errors
    /// `PermissionDenied` where the login fails; `Unsupported` with a ready-made client, whose login is its
    /// maker's.
    pub async fn who_am_i(&self) -> Result<String> {
        let operation = Operation::LogIn;
        let sts = self.connection.sts().ok_or_else(|| {
            CryptoError::new(ErrorKind::Unsupported, operation)
                .with_detail("a ready-made client's identity is known to its maker")
        })?;
        let answer = self.in_time(sts.get_caller_identity().send()).await;
        let fault = match answer {
            Some(Ok(answer)) => {
                let printable = |arn: &String| arn.bytes().all(|b| b.is_ascii_graphic());
                let missing = || Fault::new(ErrorKind::Unavailable, "STS does not say who asks");
                answer.arn.filter(printable).ok_or_else(missing)
            }
            Some(Err(error)) => Err(Fault::of(&error, self.clock.now())),
            None => Err(Fault::timed_out()),
        };
        fault.map_err(|fault| fault.into_error(operation, None))
    }

    /// The service's time, to the second, where it tells one.
    ///
    /// # Errors
    /// Where the service cannot be reached. An answer that refuses this identity has a date too.
    pub async fn server_time(&self) -> Result<Option<SystemTime>> {
        let (told, outcome) = self.probe().await;
        match (told, outcome) {
            (None, Err(fault)) => Err(fault.into_error(Operation::HealthCheck, None)),
            (told, _) => Ok(told),
        }
    }

    async fn generate(
        &self,
        operation: Operation,
        key_id: &KeyId,
        context: &WrapContext,
    ) -> Result<DataKey> {
        self.check(operation, key_id)?;
        let context = bound(operation, context)?;
        let length = i32::try_from(DATA_KEY_LEN).unwrap_or(32);
        let answer = self.ask(operation, Some(key_id), |client| {
            let call = client.generate_data_key().key_id(key_id.as_str()).number_of_bytes(length);
            call.set_encryption_context(Some(context.clone())).send()
        });
        let answer = answer.await?;
        // First, so that it is wiped whatever else is wrong.
        let plaintext = answer.plaintext.map(|blob| SecureBytes::new(blob.into_inner()));
        let canonical = names::answered(operation, key_id, answer.key_id.as_deref())?;
        let missing = || {
            broken_answer(
                operation,
                &canonical,
                "the service answers without a data key of 32 bytes",
            )
        };
        let plaintext = plaintext.filter(|key| key.len() == DATA_KEY_LEN).ok_or_else(missing)?;
        let bytes = ciphertext(operation, &canonical, answer.ciphertext_blob)?;
        let version = material(operation, &canonical, answer.key_material_id.as_deref())?;
        DataKey::new(plaintext, WrappedKey::new(bytes, canonical, version))
    }

    async fn seal(
        &self,
        operation: Operation,
        key_id: &KeyId,
        plaintext: &[u8],
        context: HashMap<String, String>,
    ) -> Result<(Vec<u8>, KeyId)> {
        self.check(operation, key_id)?;
        if plaintext.is_empty() || plaintext.len() > MAX_WRAP_LEN {
            return Err(invalid(operation, "AWS KMS takes 1 to 4096 bytes").with_key_id(key_id));
        }
        let answer = self.ask(operation, Some(key_id), |client| {
            let call = client.encrypt().key_id(key_id.as_str()).plaintext(Blob::new(plaintext));
            call.set_encryption_context(Some(context.clone())).send()
        });
        let answer = answer.await?;
        let canonical = names::answered(operation, key_id, answer.key_id())?;
        Ok((ciphertext(operation, &canonical, answer.ciphertext_blob)?, canonical))
    }

    /// Decrypts under the key named, and compares what the answer says of it.
    async fn open(
        &self,
        operation: Operation,
        key_id: &KeyId,
        ciphertext: &[u8],
        version: &KeyVersion,
        context: HashMap<String, String>,
    ) -> Result<SecureBytes> {
        self.check(operation, key_id)?;
        if ciphertext.is_empty() || ciphertext.len() > MAX_CIPHERTEXT_LEN {
            return Err(CryptoError::authentication_failed(operation).with_key_id(key_id));
        }
        let answer = self.ask(operation, Some(key_id), |client| {
            let call =
                client.decrypt().key_id(key_id.as_str()).ciphertext_blob(Blob::new(ciphertext));
            call.set_encryption_context(Some(context.clone())).send()
        });
        let answer = answer.await?;
        let plaintext = answer.plaintext.map(|blob| SecureBytes::new(blob.into_inner()));
        let missing =
            || broken_answer(operation, key_id, "the service answers without the plaintext");
        let plaintext = plaintext.filter(|bytes| !bytes.is_empty()).ok_or_else(missing)?;
        names::opened(operation, key_id, answer.key_id.as_deref())?;
        same_material(operation, key_id, version, answer.key_material_id.as_deref())?;
        Ok(plaintext)
    }

    async fn rewrap(
        &self,
        operation: Operation,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let context = bound(operation, context)?;
        self.check(operation, &wrapped.key_id)?;
        self.check(operation, to)?;
        if wrapped.bytes.is_empty() || wrapped.bytes.len() > MAX_CIPHERTEXT_LEN {
            return Err(CryptoError::authentication_failed(operation).with_key_id(&wrapped.key_id));
        }
        let answer = self.ask(operation, Some(&wrapped.key_id), |client| {
            client
                .re_encrypt()
                .ciphertext_blob(Blob::new(wrapped.bytes.as_slice()))
                .source_key_id(wrapped.key_id.as_str())
                .set_source_encryption_context(Some(context.clone()))
                .destination_key_id(to.as_str())
                .set_destination_encryption_context(Some(context.clone()))
                .send()
        });
        rewrapped(operation, answer.await?, wrapped, to)
    }
}

#[async_trait]
impl KmsProvider for AwsKmsProvider {
    fn provider_type(&self) -> &'static str {
        "aws-kms"
    }

    fn capabilities(&self) -> Capabilities {
        let mut all = Capabilities::none();
        all.binds_scope = true;
        all.server_side_rewrap = true;
        // Neither `reports_version` nor `verifies_version`: Encrypt never tells the key material.
        all.native_rotation = true;
        all.named_keys = true;
        all.tags = true;
        all.deletion_window_days = Some(7);
        all.max_payload_len = MAX_WRAP_LEN;
        all.disabling = true;
        all.descriptions = true;
        all.rotation_period = true;
        all.random_bytes = true;
        all
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        names::canonical(key_id)
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let operation = Operation::GenerateDataKey;
        self.within(operation, Some(key_id), self.generate(operation, key_id, context)).await
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let operation = Operation::WrapDataKey;
        let context = bound(operation, context)?;
        let sealed = self.seal(operation, key_id, plaintext.as_slice(), context);
        let (bytes, canonical) = self.within(operation, Some(key_id), sealed).await?;
        Ok(WrappedKey::new(bytes, canonical, KeyVersion::unknown()))
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        let (operation, key_id) = (Operation::DecryptDataKey, &wrapped.key_id);
        let context = bound(operation, context)?;
        let opened = self.open(operation, key_id, &wrapped.bytes, &wrapped.version, context);
        self.within(operation, Some(key_id), opened).await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let rewrapped = self.rewrap(Operation::RewrapDataKey, wrapped, to, context);
        self.within(Operation::RewrapDataKey, Some(&wrapped.key_id), rewrapped).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let (operation, context) = (Operation::Encrypt, binding::of_payload(scope));
        let sealed = self.seal(operation, key_id, plaintext, context);
        Ok(self.within(operation, Some(key_id), sealed).await?.0)
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let (operation, any) = (Operation::Decrypt, KeyVersion::unknown());
        let context = binding::of_payload(scope);
        let opened = self.open(operation, key_id, ciphertext, &any, context);
        self.within(operation, Some(key_id), opened).await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let operation = Operation::DescribeKey;
        self.within(operation, Some(key_id), self.describe(operation, key_id)).await
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        let begun = self.clock.monotonic();
        let (_, outcome) = self.probe().await;
        let latency = self.clock.monotonic().saturating_sub(begun);
        let status = match outcome {
            Ok(()) => HealthStatus::healthy("AWS KMS answers"),
            Err(fault) if fault.forbidden => HealthStatus::healthy(
                "AWS KMS answers, and knows this identity (which may not list keys)",
            ),
            Err(fault) => HealthStatus::unhealthy(fault.sentence().to_owned()),
        };
        Ok(status.with_latency(latency))
    }

    async fn random_bytes(&self, len: usize) -> Result<SecureBytes> {
        let operation = Operation::RandomBytes;
        let wanted = i32::try_from(len).ok().filter(|_| (1..=MAX_RANDOM_LEN).contains(&len));
        let wanted =
            wanted.ok_or_else(|| invalid(operation, "AWS KMS gives 1 to 1024 random bytes"))?;
        let answer = self
            .ask(operation, None, |client| client.generate_random().number_of_bytes(wanted).send());
        let answer = self.within(operation, None, answer).await?;
        let bytes = answer.plaintext.map(|blob| SecureBytes::new(blob.into_inner()));
        bytes.filter(|bytes| bytes.len() == len).ok_or_else(|| {
            CryptoError::new(ErrorKind::Unavailable, operation)
                .with_detail("the service answers with another number of random bytes")
        })
    }
}

fn bound(operation: Operation, context: &WrapContext) -> Result<HashMap<String, String>> {
    let unknown = || {
        CryptoError::new(ErrorKind::Unsupported, operation)
            .with_detail("this version of the provider does not know what the wrapped bytes are")
    };
    binding::of_key(context).ok_or_else(unknown)
}

fn rewrapped(
    operation: Operation,
    answer: ReEncryptOutput,
    wrapped: &WrappedKey,
    to: &KeyId,
) -> Result<WrappedKey> {
    let (old, told) = (&wrapped.key_id, answer.source_key_material_id.as_deref());
    names::opened(operation, old, answer.source_key_id.as_deref())?;
    same_material(operation, old, &wrapped.version, told)?;
    let canonical = names::answered(operation, to, answer.key_id.as_deref())?;
    let bytes = ciphertext(operation, &canonical, answer.ciphertext_blob)?;
    let version = material(operation, &canonical, answer.destination_key_material_id.as_deref())?;
    Ok(WrappedKey::new(bytes, canonical, version))
}

fn ciphertext(operation: Operation, key_id: &KeyId, blob: Option<Blob>) -> Result<Vec<u8>> {
    let bytes = blob.map(Blob::into_inner).filter(|bytes| !bytes.is_empty());
    bytes
        .ok_or_else(|| broken_answer(operation, key_id, "the service answers without a ciphertext"))
}

/// The id of the key material that wrapped, where the service says it.
fn material(operation: Operation, key_id: &KeyId, told: Option<&str>) -> Result<KeyVersion> {
    KeyVersion::new(told.unwrap_or_default()).map_err(|_| {
        broken_answer(operation, key_id, "the service names a key material as it never does")
    })
}

/// A known version must be the one that unwrapped; where either is not told there is nothing to compare.
fn same_material(
    operation: Operation,
    key_id: &KeyId,
    known: &KeyVersion,
    told: Option<&str>,
) -> Result<()> {
    match told {
        Some(told) if known.is_known() && known.as_str() != told => {
            Err(CryptoError::authentication_failed(operation).with_key_id(key_id))
        }
        _ => Ok(()),
    }
}
