//! `KmsAdmin`: managing keys. Nothing that may have happened is done twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use vault_connection::{VaultAnswer, VaultFailureKind};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeyRotationResult, KeySpec, KeyUsage,
    KeyVersion, KmsAdmin, Operation, Result, RotateOptions,
};

use crate::client::{NoAnswer, described};
use crate::describe::Described;
use crate::error::{after, invalid, unexpected};
use crate::key::Key;
use crate::names::check_name;
use crate::{ScopeBinding, VaultKmsProvider};

/// The type of key that is made here.
const KIND: &str = "aes256-gcm96";
const MAX_PAGE: usize = 1_000;
/// How many keys of a page are looked at at the same time.
const AT_ONCE: usize = 8;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_PERIOD: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

#[async_trait]
impl KmsAdmin for VaultKmsProvider {
    /// A key of the type `aes256-gcm96`, derived unless the provider binds the scope by the header alone.
    async fn create_key(&self, config: KeyConfig) -> Result<KeyInfo> {
        let operation = Operation::CreateKey;
        check_name(&config.name).map_err(|error| error.in_operation(operation))?;
        let key = Key { name: &config.name, id: self.place.key_id(&config.name) };
        check_config(&config, &key)?;
        // Known outside, so that what fails after it says what was done.
        let made = AtomicBool::new(false);
        let outcome = self.in_time(operation, &key.id, self.make(&key, &made)).await;
        outcome.map_err(|error| after_it(&made, "created", &key.id, error))
    }

    async fn rotate_key(
        &self,
        key_id: &KeyId,
        options: RotateOptions,
    ) -> Result<KeyRotationResult> {
        let operation = Operation::RotateKey;
        let key = self.key(key_id, operation)?;
        if options.stage {
            return Err(unsupported(operation, &key, "Transit writes with a new version at once"));
        }
        let done = AtomicBool::new(false);
        let outcome = self.in_time(operation, &key.id, self.rotate(&key, &done)).await;
        outcome.map_err(|error| after_it(&done, "rotated", &key.id, error))
    }

    async fn promote_key(&self, key_id: &KeyId) -> Result<KeyRotationResult> {
        let operation = Operation::PromoteKey;
        let key = self.key(key_id, operation)?;
        Err(unsupported(
            operation,
            &key,
            "Transit writes with a new version at once; there is nothing to promote",
        ))
    }

    async fn enable_key(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::EnableKey;
        let key = self.key(key_id, operation)?;
        Err(unsupported(operation, &key, NO_STATE))
    }

    async fn disable_key(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::DisableKey;
        let key = self.key(key_id, operation)?;
        Err(unsupported(operation, &key, NO_STATE))
    }

    async fn schedule_key_deletion(&self, key_id: &KeyId, _pending_days: u32) -> Result<KeyInfo> {
        let operation = Operation::ScheduleKeyDeletion;
        let key = self.key(key_id, operation)?;
        Err(unsupported(
            operation,
            &key,
            "Transit destroys a key at once or not at all, so nothing is deleted from here",
        ))
    }

    async fn cancel_key_deletion(&self, key_id: &KeyId) -> Result<()> {
        let operation = Operation::CancelKeyDeletion;
        let key = self.key(key_id, operation)?;
        Err(unsupported(operation, &key, "Transit schedules no deletion"))
    }

    /// Keys that neither wrap data keys nor are RSA keys are left out. One request for the names and one for
    /// each key of the page, eight at a time.
    async fn list_keys(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyInfo>> {
        let operation = Operation::ListKeys;
        if limit == 0 {
            return Err(CryptoError::new(ErrorKind::InvalidInput, operation)
                .with_detail("a page of keys has at least one key"));
        }
        let after =
            after.map(|after| self.key(after, operation).map(|key| key.name)).transpose()?;
        let page = self.connection().in_time(self.page(after, limit.min(MAX_PAGE))).await;
        let late =
            || CryptoError::new(ErrorKind::TimedOut, operation).with_detail("no answer in time");
        page.ok_or_else(late)?
    }

    async fn tag_key(&self, key_id: &KeyId, _tags: BTreeMap<String, String>) -> Result<()> {
        let operation = Operation::TagKey;
        let key = self.key(key_id, operation)?;
        Err(unsupported(operation, &key, "Transit keeps no labels"))
    }

    async fn set_rotation_period(&self, key_id: &KeyId, period: Option<Duration>) -> Result<()> {
        let operation = Operation::SetRotationPeriod;
        let key = self.key(key_id, operation)?;
        let period = period.map_or(Some(0), whole_days);
        let seconds = period.ok_or_else(|| {
            invalid(
                operation,
                &key.id,
                "a period is a number of whole days, at least one, at most a hundred years",
            )
        })?;
        #[derive(Serialize)]
        struct Body {
            auto_rotate_period: u64,
        }
        self.in_time(operation, &key.id, async {
            self.described(&key, operation).await?;
            self.change(&key, &["config"], &Body { auto_rotate_period: seconds }, operation).await
        })
        .await
        .map(drop)
    }
}

const NO_STATE: &str = "Transit has no switch for a key; `set_min_decryption_version` stops old versions, and a \
                        policy stops everybody";

impl VaultKmsProvider {
    /// What versions before `version` wrapped no longer opens, until the number is lowered again. Rewrap
    /// everything first.
    ///
    /// # Errors
    /// `InvalidInput` for a version that the key does not have; `KeyNotFound`; or what the server says.
    pub async fn set_min_decryption_version(&self, key_id: &KeyId, version: u32) -> Result<()> {
        let operation = Operation::RotateKey;
        let key = self.key(key_id, operation)?;
        #[derive(Serialize)]
        struct Body {
            min_decryption_version: u32,
        }
        self.in_time(operation, &key.id, async {
            let described = self.described(&key, operation).await?;
            if version == 0 || version > described.latest_version {
                return Err(invalid(operation, &key.id, "the key has no such version"));
            }
            let body = Body { min_decryption_version: version };
            self.change(&key, &["config"], &body, operation).await
        })
        .await
        .map(drop)
    }

    /// Makes the key, and says in `made` when that has happened.
    async fn make(&self, key: &Key<'_>, made: &AtomicBool) -> Result<KeyInfo> {
        let operation = Operation::CreateKey;
        // Transit answers the creation of a key that exists as if it had made it.
        match self.described(key, operation).await {
            Err(error) if error.kind() == ErrorKind::KeyNotFound => {}
            Err(error) => return Err(error),
            Ok(_) => {
                return Err(CryptoError::new(ErrorKind::Conflict, operation)
                    .with_key_id(&key.id)
                    .with_detail("Transit has a key of this name already"));
            }
        }
        #[derive(Serialize)]
        struct Body {
            r#type: &'static str,
            derived: bool,
        }
        let body = Body { r#type: KIND, derived: self.binding == ScopeBinding::DerivedKey };
        let answer = self.change(key, &[], &body, operation).await?;
        made.store(true, Ordering::Relaxed);
        let described = self.now(key, &answer, operation).await?;
        if described.unfit_for(self.binding).is_some() {
            // That key was not made here.
            made.store(false, Ordering::Relaxed);
            return Err(CryptoError::new(ErrorKind::Conflict, operation)
                .with_key_id(&key.id)
                .with_detail(
                    "somebody else made a key of this name at the same time, of another kind",
                ));
        }
        info(&described, key, operation)
    }

    /// Rotates the key, and says in `done` when that has happened.
    async fn rotate(&self, key: &Key<'_>, done: &AtomicBool) -> Result<KeyRotationResult> {
        let operation = Operation::RotateKey;
        // Servers tell of a key that is not there in different words.
        self.described(key, operation).await?;
        let answer = self.change(key, &["rotate"], &Nothing {}, operation).await?;
        done.store(true, Ordering::Relaxed);
        let now = self.now(key, &answer, operation).await?;
        let at = now.made_at(now.latest_version);
        let at = at.ok_or_else(|| {
            unexpected(operation, &key.id, "the server does not say when it rotated the key")
        })?;
        let (id, version) = (key.id.clone(), KeyVersion::from(now.latest_version));
        Ok(KeyRotationResult::in_place(id, version, false, at))
    }

    /// The key as it is after a change: as the answer to the change has it, or else after another look, for
    /// older servers answer nothing.
    async fn now(
        &self,
        key: &Key<'_>,
        answer: &VaultAnswer,
        operation: Operation,
    ) -> Result<Described> {
        if answer.is_empty() {
            return self.described(key, operation).await;
        }
        self.answered(described(answer, key.name), key, operation)
    }

    async fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<KeyInfo>> {
        let operation = Operation::ListKeys;
        let mut names = self.names(operation).await?;
        names.retain(|name| after.is_none_or(|after| name.as_str() > after));
        let describe = |name| self.listed(name, operation);
        let mut looks = Box::pin(stream::iter(names).map(describe).buffered(AT_ONCE));
        let mut page = Vec::new();
        while page.len() < limit
            && let Some(looked) = looks.next().await
        {
            page.extend(looked?);
        }
        Ok(page)
    }

    /// `None` for a key that is no [`KeySpec`], and for one that was deleted since the names were listed.
    async fn listed(&self, name: String, operation: Operation) -> Result<Option<KeyInfo>> {
        let key = Key { name: &name, id: self.place.key_id(&name) };
        match self.described(&key, operation).await {
            Ok(described) => Ok(described.info(key.id)),
            Err(error) if error.kind() == ErrorKind::KeyNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Posts to the key's own path.
    async fn change(
        &self,
        key: &Key<'_>,
        what: &[&str],
        body: &(impl Serialize + Sync),
        operation: Operation,
    ) -> Result<VaultAnswer> {
        let mut path = vec!["keys", key.name];
        path.extend_from_slice(what);
        let answer = self.transit.connection.post(&self.transit.mount, &path, body).await;
        self.answered(answer.map_err(NoAnswer::from), key, operation)
    }

    /// The names of all keys, ascending. Transit has no pages.
    async fn names(&self, operation: Operation) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Data {
            keys: Vec<String>,
        }
        let mut names = match self.transit.connection.list(&self.transit.mount, &["keys"]).await {
            Ok(answer) => {
                answer.data::<Data>().map_err(|failure| failure.to_error(operation))?.keys
            }
            // No keys at all is "not found" too, without a word of a missing mount.
            Err(failure)
                if failure.kind() == VaultFailureKind::NotFound
                    && !failure.says("no handler for route") =>
            {
                Vec::new()
            }
            Err(failure) => return Err(failure.to_error(operation)),
        };
        names.retain(|name| check_name(name).is_ok());
        names.sort_unstable();
        Ok(names)
    }
}

#[derive(Serialize)]
struct Nothing {}

fn after_it(
    happened: &AtomicBool,
    done: &'static str,
    key_id: &KeyId,
    error: CryptoError,
) -> CryptoError {
    if happened.load(Ordering::Relaxed) { after(done, key_id, error) } else { error }
}

fn info(described: &Described, key: &Key<'_>, operation: Operation) -> Result<KeyInfo> {
    let info = described.info(key.id.clone());
    info.ok_or_else(|| unexpected(operation, &key.id, "the server made a key of another type"))
}

fn check_config(config: &KeyConfig, key: &Key<'_>) -> Result<()> {
    let operation = Operation::CreateKey;
    if config.usage != KeyUsage::EncryptDecrypt || config.spec != KeySpec::Symmetric256 {
        return Err(unsupported(
            operation,
            key,
            "here only symmetric keys are made, to wrap data keys",
        ));
    }
    if !config.description.is_empty() || !config.tags.is_empty() {
        return Err(unsupported(operation, key, "Transit keeps neither a description nor labels"));
    }
    Ok(())
}

fn whole_days(period: Duration) -> Option<u64> {
    let whole = period.subsec_nanos() == 0 && period.as_secs().is_multiple_of(DAY.as_secs());
    (whole && (DAY..=LONGEST_PERIOD).contains(&period)).then_some(period.as_secs())
}

fn unsupported(operation: Operation, key: &Key<'_>, why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, operation).with_key_id(&key.id).with_detail(why)
}
