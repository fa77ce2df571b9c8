//! The client of a KMS over HTTP, small enough to be broken in every way that the transport suite must see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use vault_crypto_core::{
    Capabilities, CryptoError, DataKey, ErrorKind, HealthStatus, KeyConfig, KeyId, KeyInfo,
    KeyRotationResult, KeyState, KeyVersion, KmsAdmin, KmsProvider, Operation, Result,
    RotateOptions, Scope, SecureBytes, WrapContext, WrappedKey,
};
use vault_testkit::MemoryKms;
use vault_testkit::proxy::FaultProxy;
use vault_testkit::tls::TestCa;

use super::proxy_kms_server::{Fields, OWN_REFUSAL, fields, hex};
use super::proxy_support::{Client, Reply};

/// Long enough for a machine that does other things too.
pub(super) const DEADLINE: Duration = Duration::from_secs(1);
pub(super) const TOKEN: &str = "token-of-the-remote-kms";

/// What is wrong with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    NoDeadline,
    ThrottledIsUnavailable,
    NoRetryAfter,
    FailuresAreInternal,
    ResetsAreInternal,
    RefusedIsInternal,
    BelievesHalfAnswers,
    BrokenIsInternal,
    BelievesAnyKey,
    AnotherKeyIsInternal,
    HidesTheOtherKey,
    ShowsTheBody,
    ShowsTheToken,
    LogsInForEver,
    NeverLogsIn,
    OnceIsForEver,
    BelievesAnybody,
    LimitsAreUnavailable,
    HidesTheCertificate,
    RepeatsMutations,
    BelievesTheDate,
}

/// Speaks to [`serve`](super::proxy_kms_server::serve) through a proxy.
pub(super) struct RemoteKms {
    proxy: Arc<FaultProxy>,
    ca: Arc<TestCa>,
    flaw: Flaw,
    broken: AtomicBool,
}

impl RemoteKms {
    pub(super) fn new(proxy: Arc<FaultProxy>, ca: Arc<TestCa>, flaw: Flaw) -> Self {
        Self { proxy, ca, flaw, broken: AtomicBool::new(false) }
    }

    async fn ask(&self, operation: Operation, fields: &[(&str, &[u8])]) -> Result<Fields> {
        let mut body = format!("token={TOKEN}\n");
        for (name, value) in fields {
            body.push_str(&format!("{name}={}\n", hex(value)));
        }
        let limit = if self.flaw == Flaw::NoDeadline { Duration::MAX } else { DEADLINE };
        let mut outcome = Err(CryptoError::new(ErrorKind::Internal, operation));
        let logins = match self.flaw {
            Flaw::LogsInForEver => 9,
            Flaw::NeverLogsIn => 1,
            _ => 2,
        };
        for _ in 0..logins {
            outcome = match timeout(limit, self.send(operation, &body)).await {
                Err(_) => Err(CryptoError::new(ErrorKind::TimedOut, operation)),
                Ok(Err(failure)) => Err(self.failed(operation, &failure.to_string())),
                Ok(Ok(reply)) => self.read(operation, &reply),
            };
            if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::PermissionDenied) {
                break;
            }
        }
        if self.flaw == Flaw::OnceIsForEver && self.broken.load(Ordering::SeqCst) {
            return Err(CryptoError::new(ErrorKind::PermissionDenied, operation));
        }
        if outcome.is_err() {
            self.broken.store(true, Ordering::SeqCst);
        }
        outcome
    }

    async fn send(
        &self,
        operation: Operation,
        body: &str,
    ) -> std::result::Result<Reply, Box<dyn std::error::Error + Send + Sync>> {
        let addr = self.proxy.addr();
        let mut client = match self.proxy.has_tls() {
            true => Client::https(addr, "kms.test", &self.ca).await?,
            false => Client::http1(addr).await?,
        };
        client.post(&format!("/{}", operation.as_str()), body).await
    }

    fn failed(&self, operation: Operation, failure: &str) -> CryptoError {
        let kind = match self.flaw {
            Flaw::RefusedIsInternal if failure.contains("refused") => ErrorKind::Internal,
            Flaw::ResetsAreInternal if !failure.contains("refused") => ErrorKind::Internal,
            _ => ErrorKind::Unavailable,
        };
        let error = CryptoError::new(kind, operation);
        if failure.contains("certificate") && self.flaw != Flaw::HidesTheCertificate {
            return error.with_detail("the server's certificate is not accepted");
        }
        error
    }

    fn read(&self, operation: Operation, reply: &Reply) -> Result<Fields> {
        let lossy = String::from_utf8_lossy(&reply.body).into_owned();
        let error = |kind| {
            let error = CryptoError::new(kind, operation);
            match self.flaw {
                Flaw::ShowsTheBody => error.with_detail(format!("the server says {lossy}")),
                Flaw::ShowsTheToken => error.with_source(format!("refused {TOKEN}")),
                _ => error,
            }
        };
        let ours = |date: &http::HeaderValue| date.to_str().unwrap().contains(" 202");
        if self.flaw == Flaw::BelievesTheDate && !reply.headers.get("date").is_none_or(ours) {
            return Err(error(ErrorKind::Internal));
        }
        let wait =
            reply.headers.get("retry-after").and_then(|wait| wait.to_str().ok()?.parse().ok());
        let known = lossy == OWN_REFUSAL || self.flaw == Flaw::BelievesAnybody;
        Err(match (reply.status, wait) {
            (200, _) => {
                let whole = lossy.ends_with("end\n") || self.flaw == Flaw::BelievesHalfAnswers;
                let wrong = self.flaw == Flaw::BrokenIsInternal;
                let kind = if wrong { ErrorKind::Internal } else { ErrorKind::Unavailable };
                return fields(&lossy).filter(|_| whole).ok_or_else(|| error(kind));
            }
            (429, _) if self.flaw == Flaw::ThrottledIsUnavailable => error(ErrorKind::Unavailable),
            (429, Some(wait)) if self.flaw != Flaw::NoRetryAfter => {
                error(ErrorKind::Throttled).with_retry_after(Duration::from_secs(wait))
            }
            (429, _) => error(ErrorKind::Throttled),
            (401, _) => error(ErrorKind::PermissionDenied),
            (400, _) if known => CryptoError::authentication_failed(operation),
            (404, _) if known => error(ErrorKind::KeyNotFound),
            (408 | 413 | 504, _) if self.flaw == Flaw::LimitsAreUnavailable => {
                error(ErrorKind::Unavailable)
            }
            (408 | 504, _) => error(ErrorKind::TimedOut),
            (413, _) => error(ErrorKind::LimitExceeded),
            _ if self.flaw == Flaw::FailuresAreInternal => error(ErrorKind::Internal),
            _ => error(ErrorKind::Unavailable),
        })
    }

    async fn wrapped(
        &self,
        operation: Operation,
        asked: &[(&str, &[u8])],
    ) -> Result<(WrappedKey, Fields)> {
        let mut fields = self.ask(operation, asked).await?;
        let key = String::from_utf8(fields.remove("key").unwrap_or_default()).unwrap();
        let version = String::from_utf8(fields.remove("version").unwrap_or_default()).unwrap();
        let named = asked.iter().find(|(name, _)| *name == "key").map(|(_, key)| *key);
        if named != Some(key.as_bytes()) && self.flaw != Flaw::BelievesAnyKey {
            let opens = matches!(operation, Operation::DecryptDataKey | Operation::Decrypt);
            let told = CryptoError::new(ErrorKind::Unavailable, operation);
            return Err(match self.flaw {
                Flaw::AnotherKeyIsInternal => CryptoError::new(ErrorKind::Internal, operation),
                _ if opens => CryptoError::authentication_failed(operation),
                Flaw::HidesTheOtherKey => told,
                _ => told.with_detail("the service answered for another key"),
            });
        }
        let bytes = fields.remove("bytes").unwrap_or_default();
        Ok((WrappedKey::new(bytes, KeyId::new(key), KeyVersion::new(version)?), fields))
    }

    async fn mutate(&self, operation: Operation, name: &str) -> Result<Fields> {
        let mut outcome = self.ask(operation, &[("key", name.as_bytes())]).await;
        if outcome.is_err() && self.flaw == Flaw::RepeatsMutations {
            outcome = self.ask(operation, &[("key", name.as_bytes())]).await;
        }
        outcome
    }
}

#[async_trait]
impl KmsProvider for RemoteKms {
    fn provider_type(&self) -> &'static str {
        "remote"
    }

    fn capabilities(&self) -> Capabilities {
        MemoryKms::new().capabilities()
    }

    async fn generate_data_key(&self, key_id: &KeyId, context: &WrapContext) -> Result<DataKey> {
        let scope = context.scope.canonical_pairs();
        let asked = [("key", key_id.as_str().as_bytes()), ("scope", scope)];
        let (wrapped, mut fields) = self.wrapped(Operation::GenerateDataKey, &asked).await?;
        DataKey::new(SecureBytes::new(fields.remove("plaintext").unwrap_or_default()), wrapped)
    }

    async fn wrap_data_key(
        &self,
        key_id: &KeyId,
        plaintext: &SecureBytes,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let scope = context.scope.canonical_pairs();
        let key = key_id.as_str().as_bytes();
        let asked = [("key", key), ("scope", scope), ("plaintext", plaintext.as_slice())];
        Ok(self.wrapped(Operation::WrapDataKey, &asked).await?.0)
    }

    async fn decrypt_data_key(
        &self,
        wrapped: &WrappedKey,
        context: &WrapContext,
    ) -> Result<SecureBytes> {
        let scope = context.scope.canonical_pairs();
        let (key, version) = (wrapped.key_id.as_str(), wrapped.version.as_str());
        let asked = [("key", key.as_bytes()), ("version", version.as_bytes()), ("scope", scope)];
        let asked = [&asked[..], &[("bytes", &wrapped.bytes)]].concat();
        let mut fields = self.wrapped(Operation::DecryptDataKey, &asked).await?.1;
        Ok(SecureBytes::new(fields.remove("plaintext").unwrap_or_default()))
    }

    async fn rewrap_data_key(
        &self,
        wrapped: &WrappedKey,
        to: &KeyId,
        context: &WrapContext,
    ) -> Result<WrappedKey> {
        let plaintext = self.decrypt_data_key(wrapped, context).await?;
        self.wrap_data_key(to, &plaintext, context).await
    }

    async fn encrypt(&self, key_id: &KeyId, plaintext: &[u8], scope: &Scope) -> Result<Vec<u8>> {
        let key = key_id.as_str().as_bytes();
        let scope = scope.canonical_pairs();
        let asked = [("key", key), ("scope", scope), ("plaintext", plaintext)];
        Ok(self.wrapped(Operation::Encrypt, &asked).await?.0.bytes)
    }

    async fn decrypt(
        &self,
        key_id: &KeyId,
        ciphertext: &[u8],
        scope: &Scope,
    ) -> Result<SecureBytes> {
        let key = key_id.as_str().as_bytes();
        let asked = [("key", key), ("scope", scope.canonical_pairs()), ("bytes", ciphertext)];
        let mut fields = self.wrapped(Operation::Decrypt, &asked).await?.1;
        Ok(SecureBytes::new(fields.remove("plaintext").unwrap_or_default()))
    }

    async fn describe_key(&self, key_id: &KeyId) -> Result<KeyInfo> {
        let asked = [("key", key_id.as_str().as_bytes())];
        let (wrapped, _) = self.wrapped(Operation::DescribeKey, &asked).await?;
        Ok(KeyInfo::new(wrapped.key_id, KeyState::Enabled))
    }

    async fn health_check(&self) -> Result<HealthStatus> {
        Ok(HealthStatus::healthy("not asked"))
    }
}

#[async_trait]
impl KmsAdmin for RemoteKms {
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let name = config.name.as_bytes();
        match self.ask(Operation::DescribeKey, &[("key", name)]).await {
            Ok(_) => return Err(CryptoError::new(ErrorKind::Conflict, Operation::CreateKey)),
            Err(error) if error.kind() == ErrorKind::KeyNotFound => {}
            Err(error) => return Err(error),
        }
        let mut told = self.mutate(Operation::CreateKey, &config.name).await?;
        let key = String::from_utf8(told.remove("key").unwrap_or_default()).unwrap();
        Ok(KeyInfo::new(KeyId::new(key), KeyState::Enabled))
    }

    async fn rotate_key(&self, key_id: &KeyId, _: RotateOptions) -> Result<KeyRotationResult> {
        self.mutate(Operation::RotateKey, key_id.as_str()).await?;
        let version = KeyVersion::unknown();
        Ok(KeyRotationResult::in_place(key_id.clone(), version, false, std::time::UNIX_EPOCH))
    }

    async fn promote_key(&self, _: &KeyId) -> Result<KeyRotationResult> {
        Err(CryptoError::new(ErrorKind::Unsupported, Operation::PromoteKey))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        self.mutate(Operation::EnableKey, key_id.as_str()).await.map(drop)
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        self.mutate(Operation::DisableKey, key_id.as_str()).await.map(drop)
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, _: u32) -> Result<KeyInfo> {
        self.mutate(Operation::ScheduleKeyDeletion, key_id.as_str()).await?;
        Ok(KeyInfo::new(key_id.clone(), KeyState::PendingDeletion))
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        self.mutate(Operation::CancelKeyDeletion, key_id.as_str()).await.map(drop)
    }

    async fn list_keys(&self, _: Option<&KeyId>, _: usize) -> Result<Vec<KeyInfo>> {
        Ok(Vec::new())
    }

    async fn tag_key(&self, _: &KeyId, _: BTreeMap<String, String>) -> Result<()> {
        Ok(())
    }
}
