//! Making a key with a name.
//!
//! The service names keys itself, and a name is an alias, made by a second call. It takes no idempotency token,
//! so nothing is repeated: the alias is looked up first, and a key that gets none is scheduled for deletion.

use aws_sdk_kms::types::{KeySpec as AwsSpec, KeyUsageType};
use vault_crypto_core::{
    CryptoError, ErrorKind, KeyConfig, KeyId, KeyInfo, KeySpec, KeyUsage, Operation, Result,
};

use super::{WINDOW, sdk_tags};
use crate::error::{broken_answer, invalid};
use crate::names;
use crate::provider::AwsKmsProvider;

const OPERATION: Operation = Operation::CreateKey;
/// Longest description in characters.
const MAX_DESCRIPTION_LEN: usize = 8_192;

impl AwsKmsProvider {
    pub(super) async fn create(&self, config: KeyConfig) -> Result<KeyInfo> {
        let alias = KeyId::new(names::alias(&config.name)?);
        if self.stands_for(&alias).await?.is_some() {
            return Err(taken(&alias));
        }
        let key = self.create_unnamed(&config).await?;
        match self.name(&key, &alias).await {
            Ok(()) => self.describe(OPERATION, &key).await,
            Err(Unnamed::Surely(error)) => Err(self.give_up(&key, error).await),
            Err(Unnamed::Perhaps(error)) => Err(perhaps_named(&key, &error)),
        }
    }

    /// The key that the alias stands for, if any.
    async fn stands_for(&self, alias: &KeyId) -> Result<Option<KeyId>> {
        match self.metadata(OPERATION, alias).await {
            Ok((key, _)) => Ok(Some(key)),
            Err(error) if error.kind() == ErrorKind::KeyNotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create_unnamed(&self, config: &KeyConfig) -> Result<KeyId> {
        if config.description.chars().count() > MAX_DESCRIPTION_LEN {
            return Err(invalid(OPERATION, "AWS KMS keeps a description of up to 8192 characters"));
        }
        let (usage, spec) = kind(config)?;
        let tags = sdk_tags(OPERATION, &config.tags)?;
        let answer = self.ask(OPERATION, None, |client| {
            let call = client.create_key().key_usage(usage.clone()).key_spec(spec.clone());
            let call = call.set_tags(Some(tags.clone()).filter(|tags| !tags.is_empty()));
            call.description(&config.description).send()
        });
        let answer = answer.await.map_err(unsure)?;
        let arn = answer.key_metadata().and_then(|metadata| metadata.arn()).map(KeyId::new);
        let missing = || {
            broken_answer(
                OPERATION,
                &KeyId::new(&config.name),
                "the service does not say which key it made",
            )
        };
        arn.filter(|arn| names::canonical(arn).is_some()).ok_or_else(missing)
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
            // It may have happened: look.
            _ if error.is_retryable() => match self.stands_for(alias).await {
                Ok(Some(named)) if named == *key => Ok(()),
                Ok(_) => Err(Unnamed::Surely(error)),
                Err(_) => Err(Unnamed::Perhaps(error)),
            },
            _ => Err(Unnamed::Surely(error)),
        }
    }

    /// Nobody shall find a key without a name that nobody wanted.
    async fn give_up(&self, key: &KeyId, error: CryptoError) -> CryptoError {
        let Err(again) = self.delete(OPERATION, key, *WINDOW.start()).await else { return error };
        CryptoError::new(error.kind(), OPERATION).with_key_id(key).with_detail(format!(
            "{}; the key made for it has no name and could not be scheduled for deletion ({})",
            error.detail().unwrap_or("it could not be named"),
            again.kind().as_str(),
        ))
    }
}

/// Why a new key has no name.
enum Unnamed {
    /// It has none.
    Surely(CryptoError),
    /// Nobody answers whether it has: somebody may be using it already.
    Perhaps(CryptoError),
}

fn perhaps_named(key: &KeyId, error: &CryptoError) -> CryptoError {
    CryptoError::new(error.kind(), OPERATION).with_key_id(key).with_detail(format!(
        "{}; this key was made and may have its name: look, then use it or delete it",
        error.detail().unwrap_or("no answer")
    ))
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

fn kind(config: &KeyConfig) -> Result<(KeyUsageType, AwsSpec)> {
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
    Ok((usage, spec))
}

fn unknown_kind() -> CryptoError {
    CryptoError::new(ErrorKind::Unsupported, OPERATION).with_detail(
        "AWS KMS makes symmetric keys that encrypt, and RSA keys of 2048, 3072 or 4096 bits",
    )
}
