//! What a layer is: something that stands around one call, whichever method it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::{CryptoError, ErrorKind, KeyId, Operation, Result, Scope};

/// Stands around every call to a KMS.
///
/// One method for all of them: a layer decides when, how often and whether the call is made, and
/// what becomes of its answer, without knowing what the answer is.
pub trait Intercept: Send + Sync {
    /// Answers `call`, making as many attempts as the layer sees fit.
    fn intercept<T: Send + 'static>(
        &self,
        call: &Call<'_>,
        attempt: Attempt<'_, T>,
    ) -> impl Future<Output = Result<T>> + Send;
}

/// What a layer may know of a call. No plaintext, no key bytes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The method.
    pub operation: Operation,
    /// The backend's `provider_type`.
    pub provider: &'static str,
    /// The key, for calls that name one.
    pub key_id: Option<&'a KeyId>,
    /// The scope, for calls that bind one.
    pub scope: Option<&'a Scope>,
}

impl<'a> Call<'a> {
    pub(super) const fn new(operation: Operation, provider: &'static str) -> Self {
        Self { operation, provider, key_id: None, scope: None }
    }

    pub(super) const fn on(mut self, key_id: &'a KeyId) -> Self {
        self.key_id = Some(key_id);
        self
    }

    pub(super) const fn within(mut self, scope: &'a Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Whether repeating the call could change something twice: every management call but listing,
    /// and any operation that this build does not know to be harmless.
    #[must_use]
    pub const fn is_mutation(&self) -> bool {
        !matches!(
            self.operation,
            Operation::GenerateDataKey
                | Operation::WrapDataKey
                | Operation::DecryptDataKey
                | Operation::RewrapDataKey
                | Operation::Encrypt
                | Operation::Decrypt
                | Operation::DescribeKey
                | Operation::HealthCheck
                | Operation::RandomBytes
                | Operation::ListKeys
        )
    }

    /// An error of `kind` about this call: its operation, its key.
    #[must_use]
    pub fn error(&self, kind: ErrorKind) -> CryptoError {
        let error = CryptoError::new(kind, self.operation);
        match self.key_id {
            Some(key_id) => error.with_key_id(key_id),
            None => error,
        }
    }

    /// The names in the scope, never the values.
    pub fn scope_names(&self) -> impl Iterator<Item = &'a str> {
        self.scope.into_iter().flat_map(|scope| scope.pairs().map(|(name, _)| name))
    }
}

/// The call itself, to be made as often as the layer decides.
pub struct Attempt<'a, T>(&'a (dyn Fn() -> Pending<'a, T> + Send + Sync));

pub(super) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

impl<'a, T> Attempt<'a, T> {
    pub(super) const fn new(make: &'a (dyn Fn() -> Pending<'a, T> + Send + Sync)) -> Self {
        Self(make)
    }

    /// Makes the call once. Nothing happens before the future is polled.
    #[must_use = "futures do nothing unless polled"]
    pub fn run(&self) -> Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>> {
        (self.0)()
    }
}

impl<T> fmt::Debug for Attempt<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt")
    }
}
