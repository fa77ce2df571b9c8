//! The key that a call is about: its name checked, its kind looked at, its refusals told.
//!
//! Left to others: how long a look lasts (`fitness`), which kinds there are (`describe`).

use vault_connection::VaultFailureKind;
use vault_crypto_core::{CryptoError, ErrorKind, KeyId, Operation, Result};

use crate::VaultKmsProvider;
use crate::client::{NoAnswer, Sealed};
use crate::describe::Described;
use crate::error::{classified, unexpected};

/// A key of this engine.
pub(crate) struct Key<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: KeyId,
}

impl VaultKmsProvider {
    pub(crate) fn key<'a>(&self, key_id: &'a KeyId, operation: Operation) -> Result<Key<'a>> {
        let name = self.place.name_in(key_id).map_err(|error| {
            // An id of ten thousand bytes does not belong into a message.
            let error = error.in_operation(operation);
            if key_id.check().is_ok() { error.with_key_id(key_id) } else { error }
        })?;
        Ok(Key { name, id: self.place.key_id(name) })
    }

    /// The key, after a look at it if it has not been looked at lately.
    pub(crate) async fn usable_key<'a>(
        &self,
        key_id: &'a KeyId,
        operation: Operation,
    ) -> Result<Key<'a>> {
        let key = self.key(key_id, operation)?;
        let clock = self.connection().clock();
        if self.fitness.is_known(key.name, clock.monotonic()) {
            return Ok(key);
        }
        self.look(&key, operation).await?;
        Ok(key)
    }

    /// What was wrapped, after another look at the key if no look has shown the version that wrapped: the key
    /// was rotated, or exchanged for one that may not bind the scope.
    pub(crate) async fn vouched(
        &self,
        key: &Key<'_>,
        sealed: Sealed,
        operation: Operation,
    ) -> Result<Sealed> {
        if !self.fitness.has_shown(key.name, sealed.version) {
            self.look(key, operation).await?;
        }
        Ok(sealed)
    }

    async fn look(&self, key: &Key<'_>, operation: Operation) -> Result<()> {
        let asked_at = self.connection().clock().monotonic();
        let described = self.described(key, operation).await?;
        if let Some(why) = described.unfit_for(self.binding) {
            self.fitness.forget(key.name);
            return Err(CryptoError::new(ErrorKind::KeyUnusable, operation)
                .with_key_id(&key.id)
                .with_detail(why));
        }
        self.fitness.remember(key.name, described.latest_version, asked_at);
        Ok(())
    }

    pub(crate) async fn described(&self, key: &Key<'_>, operation: Operation) -> Result<Described> {
        match self.transit.describe(key.name).await {
            Err(NoAnswer::Failed(failure))
                if failure.kind() == VaultFailureKind::PermissionDenied && !failure.was_login() =>
            {
                Err(CryptoError::new(ErrorKind::PermissionDenied, operation).with_key_id(&key.id).with_detail(
                    "the token may not read the key's settings, by which this provider sees that the key binds the \
                     scope; allow `read` on keys/NAME of the mount",
                ))
            }
            described => self.answered(described, key, operation),
        }
    }

    pub(crate) fn answered<T>(
        &self,
        answer: Result<T, NoAnswer>,
        key: &Key<'_>,
        operation: Operation,
    ) -> Result<T> {
        answer.map_err(|no_answer| match no_answer {
            NoAnswer::Failed(failure) => {
                let error = classified(&failure, operation, &key.id);
                // Any of these may mean that another key has taken the place of the one looked at.
                if matches!(
                    error.kind(),
                    ErrorKind::KeyNotFound
                        | ErrorKind::KeyUnusable
                        | ErrorKind::AuthenticationFailed
                ) {
                    self.fitness.forget(key.name);
                }
                error
            }
            NoAnswer::Unexpected(what) => unexpected(operation, &key.id, what),
        })
    }
}
