//! The contract of [`KmsProvider`](vault_crypto_core::KmsProvider).

use vault_crypto_core::ErrorKind::{
    AuthenticationFailed, InvalidInput, KeyNotFound, KeyUnusable, Malformed, Unsupported,
};
use vault_crypto_core::{
    DataKey, KeyId, KeyInfo, KeyState, KeyVersion, MAX_WRAP_LEN, Result, Scope, SecureBytes,
    WrapContext, WrapKind, WrappedKey,
};

use super::rotation::{disabled, pending_deletion};
use super::{Case, KmsFixture, PROVED, Report, Verdict, cases, ensure, fails_with, not_applicable};

/// Every case of this suite.
pub const CASES: &[Case<KmsFixture>] = cases! { KmsFixture;
    "KmsProvider::generate_data_key" {
        "Two calls give different keys." => two_calls_give_different_keys,
        "The wrapped form opens with `decrypt_data_key` under the same context." => the_wrapped_form_opens,
        "The answer's `key_id` is canonical, and names the version that wrapped where the service reports it." => the_answer_names_key_and_version,
    }
    "KmsProvider::canonical_key_id" {
        "Where it answers, the answer is the key id that `describe_key` gives." => canonical_ids_are_those_described,
    }
    "KmsProvider::wrap_data_key" {
        "1 to `Capabilities::max_payload_len` bytes are taken; none or more is `InvalidInput`." => lengths_are_checked,
        "Wrapping the same bytes twice gives different wrapped bytes." => wrapping_is_randomized,
    }
    "KmsProvider::decrypt_data_key" {
        "The key named in `wrapped` is the one asked; the service never picks another." => the_named_key_is_asked,
        "A known version is compared with the one that the service reports; a difference is `AuthenticationFailed`." => versions_are_compared,
        "Altered bytes, another scope or another kind are `AuthenticationFailed` where the service binds the scope." => alterations_are_found,
        "A version that rotation replaced still unwraps." => super::rotation::replaced_versions_unwrap,
        "A disabled key, or one pending deletion, is `KeyUnusable`; an unknown one is `KeyNotFound`." => unusable_and_unknown_keys,
    }
    "KmsProvider::rewrap_data_key" {
        "The answer unwraps to the same bytes." => rewrap_keeps_the_bytes,
        "After a rotation the answer names the new version." => super::rotation::rewrap_names_the_new_version,
        "Where `Capabilities::server_side_rewrap` holds, the plaintext of a rewrap within one key never enters this process." => rewrap_stays_in_the_service,
    }
    "KmsProvider::encrypt" {
        "A payload has 1 to `Capabilities::max_payload_len` bytes; none or more is `InvalidInput`, whatever the service itself takes." => payload_lengths_are_checked,
        "The answer decrypts under the same key and scope, and under no other scope where the service binds it." => payloads_are_bound_to_their_scope,
        "It never opens as a wrapped key, nor a wrapped key as it." => payloads_and_wrapped_keys_differ,
    }
    "KmsProvider::decrypt" {
        "The key is always named; the answer is of that key or an error." => payloads_of_another_key_fail,
        "Altered bytes are `AuthenticationFailed`; bytes that this service never made are `Malformed` or `AuthenticationFailed`." => altered_payloads_fail,
    }
    "KmsProvider::describe_key" {
        "Works for disabled keys and for those pending deletion." => unusable_keys_are_described,
        "A field that the service cannot answer is `None`." => unknown_fields_are_none,
        "The answer's key id is canonical: describing it again gives the same id." => described_ids_are_canonical,
    }
    "KmsProvider::random_bytes" {
        "Exactly as many bytes as asked come back, and never the same twice." => random_bytes_are_as_many_as_asked,
        "None, or more than 1,024, is `InvalidInput`; without `Capabilities::random_bytes` it is `Unsupported`." => random_bytes_are_limited,
    }
};

/// Runs every case, one after another.
pub async fn run_all(fixture: &KmsFixture) -> Report {
    Report::of(CASES, fixture).await
}

/// The scope that the cases wrap under.
pub(super) fn context() -> Result<WrapContext> {
    Ok(WrapContext::data_key(Scope::new([("tenant", "acme"), ("table", "cards")])?))
}

fn other_scope() -> Result<Scope> {
    Scope::new([("tenant", "acme"), ("table", "orders")])
}

pub(super) async fn generate(fixture: &KmsFixture) -> Result<DataKey> {
    fixture.kms.generate_data_key(&fixture.key, &context()?).await
}

async fn unwrap(fixture: &KmsFixture, wrapped: &WrappedKey) -> Result<SecureBytes> {
    fixture.kms.decrypt_data_key(wrapped, &context()?).await
}

/// An id shaped as `key`'s that no key has.
fn unknown(key: &KeyId) -> KeyId {
    KeyId::new(format!("{key}-never-made"))
}

async fn two_calls_give_different_keys(fixture: &KmsFixture) -> Verdict {
    let (first, second) = (generate(fixture).await?, generate(fixture).await?);
    ensure(first.plaintext() != second.plaintext(), "the same key twice")?;
    ensure(first.wrapped().bytes != second.wrapped().bytes, "the same wrapped bytes twice")?;
    PROVED
}

async fn the_wrapped_form_opens(fixture: &KmsFixture) -> Verdict {
    let key = generate(fixture).await?;
    ensure(unwrap(fixture, key.wrapped()).await? == *key.plaintext(), "opens to other bytes")?;
    PROVED
}

async fn the_answer_names_key_and_version(fixture: &KmsFixture) -> Verdict {
    let key = generate(fixture).await?;
    let info = fixture.kms.describe_key(&key.wrapped().key_id).await?;
    ensure(info.key_id == key.wrapped().key_id, "the id in the answer is not canonical")?;
    key.wrapped().key_id.check()?;
    let version = &key.wrapped().version;
    if fixture.kms.capabilities().reports_version {
        ensure(version.is_known(), "the capability is declared, yet no version is named")?;
        let current = info.primary_version.as_ref();
        ensure(current.is_none_or(|current| current == version), "another version than current")?;
    }
    PROVED
}

async fn lengths_are_checked(fixture: &KmsFixture) -> Verdict {
    let (kms, context) = (&fixture.kms, context()?);
    let longest = kms.capabilities().max_payload_len;
    ensure((50..=MAX_WRAP_LEN).contains(&longest), "no share fits, or more than a slot takes")?;
    for len in [1, 32, 50, longest] {
        let bytes = SecureBytes::new(vec![7; len]);
        let wrapped = kms.wrap_data_key(&fixture.key, &bytes, &context).await?;
        let opened = kms.decrypt_data_key(&wrapped, &context).await?;
        ensure(opened == bytes, "wrapped bytes came back changed")?;
    }
    for len in [0, longest + 1] {
        let bytes = SecureBytes::zeroed(len);
        fails_with(kms.wrap_data_key(&fixture.key, &bytes, &context).await, &[InvalidInput])?;
    }
    PROVED
}

async fn wrapping_is_randomized(fixture: &KmsFixture) -> Verdict {
    let (bytes, context) = (SecureBytes::new(vec![7; 32]), context()?);
    let first = fixture.kms.wrap_data_key(&fixture.key, &bytes, &context).await?;
    let second = fixture.kms.wrap_data_key(&fixture.key, &bytes, &context).await?;
    ensure(first.bytes != second.bytes, "the same wrapped bytes twice")?;
    PROVED
}

async fn the_named_key_is_asked(fixture: &KmsFixture) -> Verdict {
    let key = generate(fixture).await?;
    let mut wrapped = key.wrapped().clone();
    wrapped.key_id = fixture.kms.describe_key(&fixture.other_key).await?.key_id;
    // Without a version, so that only the key can be what differs.
    wrapped.version = KeyVersion::unknown();
    fails_with(unwrap(fixture, &wrapped).await, &[AuthenticationFailed])?;
    PROVED
}

async fn versions_are_compared(fixture: &KmsFixture) -> Verdict {
    if !fixture.kms.capabilities().verifies_version {
        return not_applicable("verifies_version is not declared");
    }
    let mut wrapped = generate(fixture).await?.wrapped().clone();
    wrapped.version = KeyVersion::new(format!("{}0", wrapped.version))?;
    fails_with(unwrap(fixture, &wrapped).await, &[AuthenticationFailed])?;
    wrapped.version = KeyVersion::unknown();
    unwrap(fixture, &wrapped).await?;
    PROVED
}

async fn alterations_are_found(fixture: &KmsFixture) -> Verdict {
    if !fixture.kms.capabilities().binds_scope {
        return not_applicable("binds_scope is not declared");
    }
    let key = generate(fixture).await?;
    let whole = &key.wrapped().bytes;
    for at in [0, whole.len() / 2, whole.len().saturating_sub(1)] {
        let mut wrapped = key.wrapped().clone();
        flip(&mut wrapped.bytes, at);
        fails_with(unwrap(fixture, &wrapped).await, &[AuthenticationFailed])?;
    }
    let scope = WrapContext::data_key(other_scope()?);
    let kind = WrapContext::new(WrapKind::Share, context()?.scope);
    for other in [scope, kind, WrapContext::data_key(Scope::empty())] {
        let opened = fixture.kms.decrypt_data_key(key.wrapped(), &other).await;
        fails_with(opened, &[AuthenticationFailed])?;
    }
    PROVED
}

fn flip(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
}

async fn unusable_and_unknown_keys(fixture: &KmsFixture) -> Verdict {
    let key = generate(fixture).await?;
    let wrapped = key.wrapped();
    let mut missing = wrapped.clone();
    missing.key_id = unknown(&wrapped.key_id);
    fails_with(unwrap(fixture, &missing).await, &[KeyNotFound])?;
    if let Some(opened) = disabled(fixture, unwrap(fixture, wrapped)).await? {
        fails_with(opened, &[KeyUnusable])?;
    }
    if let Some(opened) = pending_deletion(fixture, unwrap(fixture, wrapped)).await? {
        fails_with(opened, &[KeyUnusable])?;
    }
    unwrap(fixture, wrapped).await?;
    PROVED
}

async fn rewrap_keeps_the_bytes(fixture: &KmsFixture) -> Verdict {
    let key = generate(fixture).await?;
    for to in [&fixture.key, &fixture.other_key] {
        let again = fixture.kms.rewrap_data_key(key.wrapped(), to, &context()?).await?;
        let canonical = fixture.kms.describe_key(to).await?.key_id;
        ensure(again.key_id == canonical, "the answer names another key than the target")?;
        ensure(again.bytes != key.wrapped().bytes, "nothing was wrapped anew")?;
        ensure(unwrap(fixture, &again).await? == *key.plaintext(), "unwraps to other bytes")?;
    }
    PROVED
}

async fn rewrap_stays_in_the_service(fixture: &KmsFixture) -> Verdict {
    if !fixture.kms.capabilities().server_side_rewrap {
        return not_applicable("server_side_rewrap is not declared");
    }
    let counted = "server_side_rewrap is declared: give the fixture a count of plaintexts";
    ensure(fixture.plaintexts.is_some(), counted)?;
    let count = || fixture.plaintexts.as_ref().map(|count| count());
    let before = count();
    let key = generate(fixture).await?;
    let after_generate = count();
    ensure(before < after_generate, "the count of plaintexts does not count")?;
    fixture.kms.rewrap_data_key(key.wrapped(), &fixture.key, &context()?).await?;
    ensure(count() == after_generate, "a rewrap handed out a plaintext")?;
    PROVED
}

async fn payload_lengths_are_checked(fixture: &KmsFixture) -> Verdict {
    let (kms, key, scope) = (&fixture.kms, &fixture.key, context()?.scope);
    let longest = kms.capabilities().max_payload_len;
    for len in [1, longest] {
        let sealed = kms.encrypt(key, &vec![7; len], &scope).await?;
        let opened = kms.decrypt(key, &sealed, &scope).await?;
        ensure(opened == SecureBytes::new(vec![7; len]), "a payload came back changed")?;
    }
    for len in [0, longest + 1] {
        fails_with(kms.encrypt(key, &vec![7; len], &scope).await, &[InvalidInput])?;
    }
    PROVED
}

async fn payloads_are_bound_to_their_scope(fixture: &KmsFixture) -> Verdict {
    let (kms, key, scope) = (&fixture.kms, &fixture.key, context()?.scope);
    let sealed = kms.encrypt(key, b"4111 1111 1111 1111", &scope).await?;
    let opened = kms.decrypt(key, &sealed, &scope).await?;
    ensure(opened == b"4111 1111 1111 1111", "decrypts to other bytes")?;
    if kms.capabilities().binds_scope {
        for other in [other_scope()?, Scope::empty()] {
            fails_with(kms.decrypt(key, &sealed, &other).await, &[AuthenticationFailed])?;
        }
    }
    PROVED
}

async fn payloads_and_wrapped_keys_differ(fixture: &KmsFixture) -> Verdict {
    let (kms, scope) = (&fixture.kms, context()?.scope);
    let key = generate(fixture).await?;
    let foreign = [AuthenticationFailed, Malformed];
    let as_payload = kms.decrypt(&fixture.key, &key.wrapped().bytes, &scope).await;
    fails_with(as_payload, &foreign)?;
    let mut as_wrapped = key.wrapped().clone();
    as_wrapped.bytes = kms.encrypt(&fixture.key, &[7; 32], &scope).await?;
    fails_with(unwrap(fixture, &as_wrapped).await, &foreign)?;
    PROVED
}

async fn payloads_of_another_key_fail(fixture: &KmsFixture) -> Verdict {
    let (kms, scope) = (&fixture.kms, context()?.scope);
    let sealed = kms.encrypt(&fixture.key, b"payload", &scope).await?;
    let other = kms.decrypt(&fixture.other_key, &sealed, &scope).await;
    fails_with(other, &[AuthenticationFailed])?;
    let missing = kms.decrypt(&unknown(&fixture.key), &sealed, &scope).await;
    fails_with(missing, &[KeyNotFound])?;
    PROVED
}

async fn altered_payloads_fail(fixture: &KmsFixture) -> Verdict {
    let (kms, scope) = (&fixture.kms, context()?.scope);
    let sealed = kms.encrypt(&fixture.key, b"payload", &scope).await?;
    for at in [sealed.len() / 2, sealed.len().saturating_sub(1)] {
        let mut altered = sealed.clone();
        flip(&mut altered, at);
        let opened = kms.decrypt(&fixture.key, &altered, &scope).await;
        fails_with(opened, &[AuthenticationFailed])?;
    }
    for foreign in [&b""[..], b"x", &[0xa5; 200], b"vault:v1:AAAA"] {
        let opened = kms.decrypt(&fixture.key, foreign, &scope).await;
        fails_with(opened, &[AuthenticationFailed, Malformed])?;
    }
    PROVED
}

async fn unusable_keys_are_described(fixture: &KmsFixture) -> Verdict {
    let describe = || fixture.kms.describe_key(&fixture.key);
    if let Some(info) = disabled(fixture, describe()).await? {
        ensure(info?.state == KeyState::Disabled, "a disabled key is not described so")?;
    }
    if let Some(info) = pending_deletion(fixture, describe()).await? {
        ensure(info?.state == KeyState::PendingDeletion, "a pending deletion is not described")?;
    }
    ensure(describe().await?.state == KeyState::Enabled, "an enabled key is not described so")?;
    PROVED
}

async fn unknown_fields_are_none(fixture: &KmsFixture) -> Verdict {
    let can = fixture.kms.capabilities();
    let info: KeyInfo = fixture.kms.describe_key(&fixture.other_key).await?;
    ensure(info.deletion_at.is_none(), "no deletion is pending, yet a time is told")?;
    let created = info.created_at;
    ensure(created != Some(std::time::UNIX_EPOCH), "a time of creation that was made up")?;
    if let (Some(created), Some(rotated)) = (created, info.rotated_at) {
        ensure(created <= rotated, "rotated before it was made")?;
    }
    let known = info.primary_version.as_ref().is_none_or(KeyVersion::is_known);
    ensure(known, "an empty version where `None` was promised")?;
    if !can.tags {
        ensure(info.tags.is_empty(), "labels without the capability")?;
    }
    PROVED
}

async fn random_bytes_are_as_many_as_asked(fixture: &KmsFixture) -> Verdict {
    if !fixture.kms.capabilities().random_bytes {
        return not_applicable("random_bytes is not declared");
    }
    for len in [16, 33, 1_024] {
        let first = fixture.kms.random_bytes(len).await?;
        let second = fixture.kms.random_bytes(len).await?;
        ensure(first.len() == len && second.len() == len, "another number of bytes")?;
        ensure(first != second, "the same bytes twice")?;
    }
    ensure(fixture.kms.random_bytes(1).await?.len() == 1, "another number of bytes")?;
    PROVED
}

async fn random_bytes_are_limited(fixture: &KmsFixture) -> Verdict {
    let declared = fixture.kms.capabilities().random_bytes;
    let expected = if declared { InvalidInput } else { Unsupported };
    for len in [0, 1_025] {
        fails_with(fixture.kms.random_bytes(len).await, &[expected])?;
    }
    if !declared {
        fails_with(fixture.kms.random_bytes(32).await, &[expected])?;
    }
    PROVED
}

async fn canonical_ids_are_those_described(fixture: &KmsFixture) -> Verdict {
    let described = fixture.kms.describe_key(&fixture.key).await?.key_id;
    for given in [&fixture.key, &described] {
        let told = fixture.kms.canonical_key_id(given);
        ensure(told.is_none_or(|told| told == described), "another id than the described one")?;
    }
    PROVED
}

async fn described_ids_are_canonical(fixture: &KmsFixture) -> Verdict {
    let once = fixture.kms.describe_key(&fixture.key).await?.key_id;
    let twice = fixture.kms.describe_key(&once).await?.key_id;
    ensure(once == twice, "describing the canonical id gives another one")?;
    let missing = fixture.kms.describe_key(&unknown(&once)).await;
    fails_with(missing, &[KeyNotFound])?;
    PROVED
}
