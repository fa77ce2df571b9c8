//! A branch key as a key management service of its own (slot kind 6, docs/FORMAT.md section 6.4): streams,
//! EXCLUSIVE messages and the branches of other scopes are wrapped without a call to the KMS.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
use vault_crypto_core::derive::branch_name;
use vault_crypto_core::xaes::XaesKey;
use vault_crypto_core::{
    Capabilities, CryptoError, DATA_KEY_LEN, DataKey, EncryptionContext, ErrorKind, HealthStatus,
    KeyId, KeyInfo, KeyState, KeyVersion, KmsProvider, MAX_WRAP_LEN, Operation, RandomSource as _,
    Result, Scope, SecureBytes, SystemRandom, WrapContext, WrappedKey,
};

use super::memory::HeldKey;
use super::{Branches, place};
use crate::EnvelopeEncryption;

/// How many versions are tried, the newest first, for wrapped bytes that name none. Only bytes that
/// somebody else wrote name none (docs/FORMAT.md section 6.4), and each try may be a call to the KMS.
const GUESSES: usize = 8;

/// The branch key of one scope, used as a KMS: an envelope over it wraps data keys in this process.
///
/// With it a hierarchy has a root: the KMS is asked for one branch key, whose scope says *service*, and
/// the branch keys of all tenants are wrapped by that one. Then the number of KMS calls does not depend on
/// the number of tenants any more; on the other side the KMS's log names none of them.
///
/// ```
/// # fn main() -> Result<(), vault_crypto_core::CryptoError> {
/// use std::sync::Arc;
/// use vault_crypto_core::{EncryptionContext, KmsProvider as _, MemoryStorage};
/// use vault_envelope::{BranchKeys, EnvelopeEncryption};
/// use vault_testkit::{MemoryKms, VirtualClock};
///
/// let kms = Arc::new(MemoryKms::new());
/// let key = kms.add_key("orders")?;
/// let storage = Arc::new(MemoryStorage::new());
/// let root = EnvelopeEncryption::builder(kms.clone(), key)
///     .scope([("service", "orders")])
///     .branch_keys(BranchKeys::new(storage.clone()))
///     .build()?
///     .branch_kms()?;
/// let root_key = root.key_id().clone();
/// let orders = EnvelopeEncryption::builder(Arc::new(root), root_key)
///     .branch_keys(BranchKeys::new(storage))
///     .build()?;
/// let clock = VirtualClock::new();
/// for tenant in ["acme", "zenith"] {
///     let tenant = orders.scoped([("tenant", tenant)])?;
///     clock.run(tenant.encrypt(b"4111", &EncryptionContext::new()))?;
/// }
/// assert_eq!(kms.calls().total(), 2); // made and read back, once
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct BranchKms {
    envelope: EnvelopeEncryption,
    branches: Arc<Branches>,
    key_id: KeyId,
}

impl EnvelopeEncryption {
    /// The branch key of this scope as a KMS.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] without [`branch_keys`](crate::EnvelopeBuilder::branch_keys).
    pub fn branch_kms(&self) -> Result<BranchKms> {
        let branches = self.branches_or_refuse()?.clone();
        let key_id = KeyId::from(place::hex(&branch_name(&self.scope)));
        Ok(BranchKms { envelope: self.clone(), branches, key_id })
    }
}

impl BranchKms {
    /// The one key that it has: the branch's name.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    fn check_key(&self, key_id: &KeyId, operation: Operation) -> Result<()> {
        if *key_id == self.key_id {
            return Ok(());
        }
        Err(CryptoError::new(ErrorKind::KeyNotFound, operation)
            .with_key_id(key_id)
            .with_detail("this branch has another name"))
    }

    async fn wrap(
        &self,
        plaintext: &SecureBytes,
        context: &WrapContext,
        operation: Operation,
    ) -> Result<WrappedKey> {
        if plaintext.is_empty() || plaintext.len() > MAX_WRAP_LEN {
            return Err(CryptoError::new(ErrorKind::InvalidInput, operation)
                .with_detail("a KMS takes 1 to 4096 bytes"));
        }
        let branch = self.branches.newest(&self.envelope).await?;
        let mut nonce = [0; 24];
        SystemRandom::new().fill(&mut nonce)?;
        let bound = bound(context, branch.version);
        let bytes = wrapping(&branch)?.seal_whole(&nonce, &bound, plaintext.as_slice())?;
        Ok(WrappedKey::new(bytes, self.key_id.clone(), branch.version.into()))
    }

    async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
        operation: Operation,
    ) -> Result<SecureBytes> {
        self.check_key(&wrapped.key_id, operation)?;
        if wrapped.version.is_known() {
            let version = number(&wrapped.version, operation)?;
            return self.unwrap_under(version, wrapped, context, operation).await;
        }
        // Nobody wrote down the version: the newest is the likeliest.
        let name = branch_name(&self.envelope.scope);
        let versions = self.branches.all_versions(&name).await?.unwrap_or_default();
        for version in versions.into_iter().rev().take(GUESSES) {
            match self.unwrap_under(version, wrapped, context, operation).await {
                Err(error) if error.kind() == ErrorKind::AuthenticationFailed => {}
                answer => return answer,
            }
        }
        Err(CryptoError::authentication_failed(operation))
    }

    async fn unwrap_under(
        &self,
        version: u32,
        wrapped: &WrappedKey,
        context: &WrapContext,
        operation: Operation,
    ) -> Result<SecureBytes> {
        let branch = self.branches.version(&self.envelope, version).await?;
        let bound = bound(context, version);
        wrapping(&branch)?
            .open_whole(&bound, &wrapped.bytes)
            .map_err(|error| error.in_operation(operation))
    }
}

impl fmt::Debug for BranchKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BranchKms").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[async_trait]
impl KmsProvider for BranchKms {
    fn provider_type(&self) -> &'static str {
        "branch"
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::none();
        can.binds_scope = true;
        can.reports_version = true;
        can.native_rotation = true;
        can.verifies_version = true;
        can
    }

    fn canonical_key_id(&self, key_id: &KeyId) -> Option<KeyId> {
        (*key_id == self.key_id).then(|| key_id.clone())
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        self.check_key(key_id, Operation::GenerateDataKey)?;
        let mut plaintext = SecureBytes::zeroed(DATA_KEY_LEN);
        SystemRandom::new().fill(plaintext.as_mut_slice())?;
        let wrapped = self.wrap(&plaintext, context, Operation::GenerateDataKey).await?;
        DataKey::new(plaintext, wrapped)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.check_key(key_id, Operation::WrapDataKey)?;
        self.wrap(plaintext, context, Operation::WrapDataKey).await
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        self.unwrap(wrapped, context, Operation::DecryptDataKey).await
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        self.check_key(to, Operation::RewrapDataKey)?;
        let plaintext = self.unwrap(wrapped, context, Operation::RewrapDataKey).await?;
        self.wrap(&plaintext, context, Operation::RewrapDataKey).await
    }

    /// As a record under the branch, which no wrapped key can be taken for.
    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        self.check_key(key_id, Operation::Encrypt)?;
        if plaintext.is_empty() || plaintext.len() > MAX_WRAP_LEN {
            return Err(CryptoError::new(ErrorKind::InvalidInput, Operation::Encrypt)
                .with_detail("a KMS takes 1 to 4096 bytes"));
        }
        let context = EncryptionContext::try_new(scope.pairs())?;
        Ok(self.envelope.encrypt(plaintext, &context).await?.into_bytes())
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        self.check_key(key_id, Operation::Decrypt)?;
        let context = EncryptionContext::try_new(scope.pairs())?;
        self.envelope.decrypt(ciphertext, &context).await
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        self.check_key(key_id, Operation::DescribeKey)?;
        let name = branch_name(&self.envelope.scope);
        let newest = self.branches.newest_version(&name, 0).await?;
        let newest = newest.ok_or_else(|| {
            CryptoError::new(ErrorKind::KeyNotFound, Operation::DescribeKey)
                .with_key_id(key_id)
                .with_detail("nobody has sealed under this branch yet")
        })?;
        let mut info = KeyInfo::new(self.key_id.clone(), KeyState::Enabled);
        info.primary_version = Some(newest.into());
        Ok(info)
    }

    /// That of the KMS behind.
    async fn health_check(&self) -> Result<HealthStatus> {
        self.envelope.shared.first_kms()?.kms.health_check().await
    }
}

/// What wrapped bytes are bound to: S || u32 version.
fn bound(context: &WrapContext, version: u32) -> Vec<u8> {
    let mut bound = context.binding();
    bound.extend_from_slice(&version.to_be_bytes());
    bound
}

/// `K_wrap` of a branch key.
fn wrapping(branch: &HeldKey) -> Result<XaesKey> {
    let key = branch.wrap_key().ok_or_else(super::source::wiped)?;
    Ok(XaesKey::new(&key, AeadBackend::fastest(AeadAlgorithm::Aes256Gcm)))
}

/// A version is a decimal number without leading zeros; another one cannot exist.
fn number(version: &KeyVersion, operation: Operation) -> Result<u32> {
    let text = version.as_str();
    let number = text.parse().ok().filter(|number: &u32| number.to_string() == text);
    number.ok_or_else(|| {
        CryptoError::new(ErrorKind::KeyNotFound, operation)
            .with_detail("the branch has no such version")
    })
}
