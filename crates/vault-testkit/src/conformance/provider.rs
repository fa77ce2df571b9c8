//! The contract of [`EncryptionProvider`](vault_crypto_core::EncryptionProvider).

use vault_crypto_core::ErrorKind::{AuthenticationFailed, KeyNotAllowed};
use vault_crypto_core::{EncryptedData, EncryptionContext};

use super::{Case, PROVED, ProviderFixture, Report, Verdict, cases, ensure, fails_with};

/// Every case of this suite.
pub const CASES: &[Case<ProviderFixture>] = cases! { ProviderFixture;
    "EncryptionProvider::encrypt" {
        "Sealing the same plaintext twice gives different messages." => sealing_is_randomized,
    }
    "EncryptionProvider::decrypt" {
        "Another context, another key and altered bytes are the same `AuthenticationFailed`." => every_difference_is_the_same_error,
        "A message whose key is not allowed is `KeyNotAllowed`, without any call to a KMS." => foreign_keys_are_not_asked,
    }
};

const PLAINTEXT: &[u8] = b"4111 1111 1111 1111";

/// Runs every case.
pub async fn run_all(fixture: &ProviderFixture) -> Report {
    Report::of(CASES, fixture).await
}

fn context() -> EncryptionContext {
    EncryptionContext::from([("table", "cards"), ("row", "42")])
}

async fn sealing_is_randomized(fixture: &ProviderFixture) -> Verdict {
    let first = fixture.provider.encrypt(PLAINTEXT, &context()).await?;
    let second = fixture.provider.encrypt(PLAINTEXT, &context()).await?;
    ensure(first != second, "the same message twice")?;
    for sealed in [&first, &second] {
        let opened = fixture.provider.decrypt(sealed, &context()).await?;
        ensure(opened == PLAINTEXT, "opens to other bytes")?;
    }
    PROVED
}

async fn every_difference_is_the_same_error(fixture: &ProviderFixture) -> Verdict {
    let provider = &fixture.provider;
    let sealed = provider.encrypt(PLAINTEXT, &context()).await?;
    let mut errors = Vec::new();
    let another = EncryptionContext::from([("table", "cards"), ("row", "43")]);
    for context in [another, EncryptionContext::new()] {
        errors.push(provider.decrypt(&sealed, &context).await);
    }
    let foreign = fixture.impostor.encrypt(PLAINTEXT, &context()).await?;
    errors.push(provider.decrypt(&foreign, &context()).await);
    let mut altered = sealed.as_bytes().to_vec();
    if let Some(last) = altered.last_mut() {
        *last ^= 1;
    }
    errors.push(provider.decrypt(&EncryptedData::from_bytes(altered), &context()).await);
    let mut seen = Vec::new();
    for outcome in errors {
        if let Err(error) = &outcome {
            seen.push((error.to_string(), std::error::Error::source(error).is_some()));
        }
        fails_with(outcome, &[AuthenticationFailed])?;
    }
    let same = seen.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
    ensure(same && seen.iter().all(|(_, source)| !source), "the error tells which one it was")?;
    PROVED
}

async fn foreign_keys_are_not_asked(fixture: &ProviderFixture) -> Verdict {
    let foreign = fixture.stranger.encrypt(PLAINTEXT, &context()).await?;
    let before = (fixture.kms_calls)();
    let opened = fixture.provider.decrypt(&foreign, &context()).await;
    fails_with(opened, &[KeyNotAllowed])?;
    ensure((fixture.kms_calls)() == before, "a KMS was asked")?;
    fixture.provider.generate_data_key().await?;
    ensure((fixture.kms_calls)() > before, "the count of calls does not count")?;
    PROVED
}
