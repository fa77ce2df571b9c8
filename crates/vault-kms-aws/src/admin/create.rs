//! Making a key with a name.
//!
//! The service names keys itself, and a name is an alias, made by a second call. It takes no idempotency token,
//! so nothing is repeated: the alias is looked up first, and a key that surely gets none is scheduled for deletion.
//! Whatever fails after the key was made, a deadline too, names it.

use std::sync::{Mutex, PoisonError};

use aws_sdk_kms::types::{KeyMetadata, KeySpec as AwsSpec, KeyUsageType, Tag};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeySpec, KeyUsage, Operation, Result,
};

use super::{WINDOW, sdk_tags};
use crate::describe::of_metadata;
use crate::error::{Fault, invalid};
use crate::names;
use crate::provider::AwsKmsProvider;

const OPERATION: Operation = Operation::CreateKey;
/// Longest description in characters.
const MAX_DESCRIPTION_LEN: usize = 8_192;

/// How far a creation has come: what its deadline leaves behind.
enum Stage {
    Nothing,
    Asked,
    Made(KeyId),
}

impl AwsKmsProvider {
    pub(super) async fn create(&self, config: KeyConfig) -> Result<KeyInfo> {
        let alias = KeyId::new(names::alias(&config.name)?);
        let stage = Mutex::new(Stage::Nothing);
        if let Some(outcome) = self.in_time(self.create_named(&config, &alias, &stage)).await {
            return outcome;
        }
        let late = || Fault::timed_out().into_error(OPERATION, Some(&alias));
        Err(match stage.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Stage::Nothing => late(),
            Stage::Asked => unsure(late()),
            Stage::Made(key) => perhaps_named(&key, &late()),
        })
    }

    async fn create_named(
        &self,
        config: &KeyConfig,
        alias: &KeyId,
        stage: &Mutex<Stage>,
    ) -> Result<KeyInfo> {
        let reached = |now| *stage.lock().unwrap_or_else(PoisonError::into_inner) = now;
        let wanted = Wanted::of(config)?;
        if self.stands_for(alias).await?.is_some() {
            return Err(taken(alias));
        }
        reached(Stage::Asked);
        let metadata = self.create_unnamed(config, wanted).await?;
        let arn = metadata.arn().map(KeyId::new).filter(|arn| names::canonical(arn).is_some());
        let key = arn.ok_or_else(nameless)?;
        reached(Stage::Made(key.clone()));
        match self.name(&key, alias).await {
            Ok(()) => {}
            Err(Unnamed::Surely(error)) => return Err(self.give_up(&key, error).await),
            Err(Unnamed::Perhaps(error)) => return Err(perhaps_named(&key, &error)),
        }
        let mut info = of_metadata(OPERATION, key.clone(), &metadata)
            .map_err(|error| but(&key, &error, "the service does not describe it as asked"))?;
        info.tags.clone_from(&config.tags);
        Ok(info)
    }

    /// The key that the alias stands for, if any.
    async fn stands_for(&self, alias: &KeyId) -> Result<Option<KeyId>> {
        match self.metadata(OPERATION, alias).await {
            Ok((key, _)) => Ok(Some(key)),
            Err(error) if error.kind() == ErrorKind::KeyNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create_unnamed(&self, config: &KeyConfig, wanted: Wanted) -> Result<KeyMetadata> {
        let answer = self.ask(OPERATION, None, |client| {
            let call = client.create_key().key_usage(wanted.usage.clone());
            let call = call.key_spec(wanted.spec.clone());
            let call = call.set_tags(Some(wanted.tags.clone()).filter(|tags| !tags.is_empty()));
            call.description(&config.description).send()
        });
        answer.await.map_err(unsure)?.key_metadata.ok_or_else(nameless)
    }

    async fn name(&self, key: &KeyId, alias: &KeyId) -> Result<(), Unnamed> {
        let answer = self.ask(OPERATION, Some(alias), |client| {
            client.create_alias().alias_name(alias.as_str()).target_key_id(key.as_str()).send()
        });
        let error = match answer.await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Conflict => Err(Unnamed::Surely(taken(alias))),
            // It may have happened: look. The service takes a while to show what it did, so that not to see it
            // says nothing.
            ErrorKind::Unavailable | ErrorKind::TimedOut => match self.stands_for(alias).await {
                Ok(Some(named)) if named == *key => Ok(()),
                Ok(Some(_)) => Err(Unnamed::Surely(taken(alias))),
                Ok(None) | Err(_) => Err(Unnamed::Perhaps(error)),
            },
            _ => Err(Unnamed::Surely(error)),
        }
    }

    /// Nobody shall find a key without a name that nobody wanted.
    async fn give_up(&self, key: &KeyId, error: CryptoError) -> CryptoError {
        let why = error.detail().unwrap_or("no answer");
        let left = match self.delete(OPERATION, key, *WINDOW.start()).await {
            Ok(_) => format!("it could not be named, and its deletion is scheduled ({why})"),
            Err(again) => format!(
                "it could not be named ({why}), nor scheduled for deletion ({}): delete it",
                again.kind().as_str()
            ),
        };
        but(key, &error, &left)
    }
}

/// Why a new key has no name.
enum Unnamed {
    /// It has none.
    Surely(CryptoError),
    /// Nobody knows whether it has: somebody may be using it already, or will.
    Perhaps(CryptoError),
}

fn perhaps_named(key: &KeyId, error: &CryptoError) -> CryptoError {
    let why = error.detail().unwrap_or("no answer");
    but(key, error, &format!("it may have its name or not ({why}): look, then use it or delete it"))
}

/// What failed after `key` was made, by its kind.
fn but(key: &KeyId, error: &CryptoError, left: &str) -> CryptoError {
    let told = CryptoError::new(error.kind(), OPERATION)
        .with_key_id(key)
        .with_detail(format!("the key was created, but {left}"));
    error.retry_after().into_iter().fold(told, CryptoError::with_retry_after)
}

/// The creation's answer lacks the one thing that matters.
fn nameless() -> CryptoError {
    CryptoError::new(ErrorKind::Unavailable, OPERATION).with_detail(
        "the key was created, but the service does not say which it is: look for one without alias",
    )
}

fn taken(alias: &KeyId) -> CryptoError {
    CryptoError::new(ErrorKind::Conflict, OPERATION)
        .with_key_id(alias)
        .with_detail("a key of this name exists already")
}

/// A key without a name costs money: say how to find it.
fn unsure(error: CryptoError) -> CryptoError {
    if !error.is_retryable() {
        return error;
    }
    let wait = error.retry_after();
    let detail = format!(
        "{}; a key without alias may have been made: look for one before creating again",
        error.detail().unwrap_or("no answer")
    );
    let error = CryptoError::new(error.kind(), OPERATION).with_detail(detail);
    wait.into_iter().fold(error, CryptoError::with_retry_after)
}

/// What the service is asked for, checked before anything is.
struct Wanted {
    usage: KeyUsageType,
    spec: AwsSpec,
    tags: Vec<Tag>,
}

impl Wanted {
    fn of(config: &KeyConfig) -> Result<Self> {
        if config.description.chars().count() > MAX_DESCRIPTION_LEN {
            return Err(invalid(OPERATION, "AWS KMS keeps a description of up to 8192 characters"));
        }
        let usage = match config.usage {
            KeyUsage::EncryptDecrypt => KeyUsageType::EncryptDecrypt,
            KeyUsage::SignVerify => KeyUsageType::SignVerify,
            _ => return Err(unknown_kind()),
        };
        let spec = match config.spec {
            KeySpec::Symmetric256 if config.usage == KeyUsage::EncryptDecrypt => {
                AwsSpec::SymmetricDefault
            }
            KeySpec::Rsa { bits: 2_048 } => AwsSpec::Rsa2048,
            KeySpec::Rsa { bits: 3_072 } => AwsSpec::Rsa3072,
            KeySpec::Rsa { bits: 4_096 } => AwsSpec::Rsa4096,
            _ => return Err(unknown_kind()),
        };
        Ok(Self { usage, spec, tags: sdk_tags(OPERATION, &config.tags)? })
    }
}

fn unknown_kind() -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, OPERATION).with_detail(
        "AWS KMS makes symmetric keys that encrypt, and RSA keys of 2048, 3072 or 4096 bits",
    )
}
