//! The cases of `KmsProvider` that need somebody to manage the key meanwhile, and how they do it.

use vault_crypto_core::{KeyId, Result, RotateOptions};

use super::kms::{context, generate};
use super::{Failure, KmsFixture, PROVED, Verdict, ensure};

/// What `ask` answers while the key is disabled; `None` where that cannot be. The key is enabled again
/// whatever it answers.
pub(super) async fn disabled<T>(
    fixture: &KmsFixture,
    ask: impl Future<Output = T>,
) -> Result<Option<T>, Failure> {
    if !fixture.admin.capabilities().disabling {
        return Ok(None);
    }
    fixture.admin.disable_key(&fixture.key).await?;
    let answer = ask.await;
    fixture.admin.enable_key(&fixture.key).await?;
    Ok(Some(answer))
}

/// What `ask` answers while the key's deletion is pending; `None` where that cannot be.
pub(super) async fn pending_deletion<T>(
    fixture: &KmsFixture,
    ask: impl Future<Output = T>,
) -> Result<Option<T>, Failure> {
    let Some(days) = fixture.admin.capabilities().deletion_window_days else { return Ok(None) };
    fixture.admin.schedule_key_deletion(&fixture.key, days).await?;
    let answer = ask.await;
    fixture.admin.cancel_key_deletion(&fixture.key).await?;
    fixture.admin.enable_key(&fixture.key).await?;
    Ok(Some(answer))
}

/// Rotates the key and says which key is to be used from now on.
async fn rotate(fixture: &KmsFixture) -> Result<KeyId> {
    Ok(fixture.admin.rotate_key(&fixture.key, RotateOptions::now()).await?.new_key_id)
}

pub(super) async fn replaced_versions_unwrap(fixture: &KmsFixture) -> Verdict {
    let old = generate(fixture).await?;
    let sealed = fixture.kms.encrypt(&fixture.key, b"payload", &context()?.scope).await?;
    for _ in 0..2 {
        rotate(fixture).await?;
        let opened = fixture.kms.decrypt_data_key(old.wrapped(), &context()?).await?;
        ensure(opened == *old.plaintext(), "unwraps to other bytes after a rotation")?;
        let opened = fixture.kms.decrypt(&fixture.key, &sealed, &context()?.scope).await?;
        ensure(opened == b"payload", "decrypts to other bytes after a rotation")?;
    }
    PROVED
}

pub(super) async fn rewrap_names_the_new_version(fixture: &KmsFixture) -> Verdict {
    let old = generate(fixture).await?;
    let to = rotate(fixture).await?;
    let new = fixture.kms.rewrap_data_key(old.wrapped(), &to, &context()?).await?;
    if fixture.kms.capabilities().reports_version {
        ensure(new.version.is_known(), "the capability is declared, yet no version is named")?;
        let same = (&new.key_id, &new.version) == (&old.wrapped().key_id, &old.wrapped().version);
        ensure(!same, "the old version after a rotation")?;
        let current = fixture.kms.describe_key(&to).await?.primary_version;
        ensure(current.is_none_or(|current| current == new.version), "not the current version")?;
    }
    let opened = fixture.kms.decrypt_data_key(&new, &context()?).await?;
    ensure(opened == *old.plaintext(), "unwraps to other bytes")?;
    PROVED
}
