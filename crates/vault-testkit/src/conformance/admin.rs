//! The contract of [`KmsAdmin`](vault_crypto_core::KmsAdmin).

use std::collections::BTreeMap;
use std::time::Duration;

use vault_crypto_core::ErrorKind::{Conflict, InvalidInput, KeyUnusable, Unsupported};
use vault_crypto_core::{
    DataKey, KeyConfig, KeyId, KeyState, KeyVersion, Result, RotateOptions, Scope, SecureBytes,
    WrapContext,
};

use super::{
    AdminFixture, Case, Failure, PROVED, Report, Verdict, cases, ensure, fails_with, not_applicable,
};

/// Every case of this suite.
pub const CASES: &[Case<AdminFixture>] = cases! { AdminFixture;
    "KmsAdmin::create_key" {
        "The key is enabled and usable at once." => new_keys_work,
        "A name that exists is `Conflict`, and the existing key is unchanged." => names_are_unique,
        "Description and tags come back from `describe_key`; one that the service cannot keep is `Unsupported`." => description_and_tags_come_back,
    }
    "KmsAdmin::rotate_key" {
        "With `RotateOptions::stage` the new version is readable and is not written with until `promote_key`." => staged_versions_wait,
        "Otherwise the next wrap uses the new version." => rotation_takes_effect,
        "What older versions wrapped still unwraps." => older_versions_unwrap,
        "A disabled key is `KeyUnusable`; a second rotation while one is staged is `Conflict`." => rotation_is_refused,
    }
    "KmsAdmin::promote_key" {
        "Without a staged version it is `Conflict`." => nothing_to_promote,
    }
    "KmsAdmin::enable_key" {
        "Enabling an enabled key changes nothing." => enabling_twice,
        "A key pending deletion is `KeyUnusable`: cancel the deletion first." => pending_keys_stay_pending,
    }
    "KmsAdmin::disable_key" {
        "Afterwards wrapping and unwrapping are `KeyUnusable`, and `describe_key` says `Disabled`." => disabled_keys_rest,
    }
    "KmsAdmin::schedule_key_deletion" {
        "The key is unusable at once, and `describe_key` says `PendingDeletion` and when it ends." => pending_keys_rest,
        "A window shorter than `Capabilities::deletion_window_days` is `InvalidInput`." => windows_are_checked,
    }
    "KmsAdmin::cancel_key_deletion" {
        "The key is `Disabled` afterwards, so that somebody decides to use it again." => cancelled_keys_are_disabled,
        "Without a pending deletion it is `Conflict`." => nothing_to_cancel,
    }
    "KmsAdmin::list_keys" {
        "Walking all pages names every key once." => pages_name_every_key_once,
    }
    "KmsAdmin::tag_key" {
        "`describe_key` answers exactly these labels." => labels_are_replaced,
    }
    "KmsAdmin::set_rotation_period" {
        "`describe_key` answers the period; `None` turns it off." => periods_are_told,
        "A period that the service cannot have is `InvalidInput`, and the old one stays." => impossible_periods_are_refused,
    }
};

/// Runs every case, one after another, then schedules the deletion of the keys it made where the
/// service can.
pub async fn run_all(fixture: &AdminFixture) -> Report {
    let report = Report::of(CASES, fixture).await;
    fixture.clean_up().await;
    report
}

fn context() -> WrapContext {
    WrapContext::data_key(Scope::empty())
}

async fn generate(fixture: &AdminFixture, key: &KeyId) -> Result<DataKey> {
    fixture.admin.generate_data_key(key, &context()).await
}

async fn state(fixture: &AdminFixture, key: &KeyId) -> Result<KeyState> {
    Ok(fixture.admin.describe_key(key).await?.state)
}

/// Opens what `data_key` wraps and compares.
async fn opens(fixture: &AdminFixture, data_key: &DataKey) -> Result<(), Failure> {
    let opened = fixture.admin.decrypt_data_key(data_key.wrapped(), &context()).await?;
    ensure(opened == *data_key.plaintext(), "unwraps to other bytes")
}

/// Wrapping and unwrapping are both refused because of the key's state.
async fn rests(fixture: &AdminFixture, key: &KeyId, old: &DataKey) -> Result<(), Failure> {
    let (admin, bytes) = (&fixture.admin, SecureBytes::new(vec![7; 32]));
    fails_with(generate(fixture, key).await, &[KeyUnusable])?;
    fails_with(admin.wrap_data_key(key, &bytes, &context()).await, &[KeyUnusable])?;
    fails_with(admin.decrypt_data_key(old.wrapped(), &context()).await, &[KeyUnusable])?;
    fails_with(admin.encrypt(key, b"payload", &Scope::empty()).await, &[KeyUnusable])
}

async fn new_keys_work(fixture: &AdminFixture) -> Verdict {
    let info = fixture.create(fixture.fresh_config()).await?;
    ensure(info.state == KeyState::Enabled, "a new key is not enabled")?;
    opens(fixture, &generate(fixture, &info.key_id).await?).await?;
    PROVED
}

async fn names_are_unique(fixture: &AdminFixture) -> Verdict {
    let (mut config, mut again) = (fixture.fresh_config(), None);
    if fixture.admin.capabilities().descriptions {
        again = Some(config.clone().with_description("the second"));
        config = config.with_description("the first");
    }
    let before = fixture.create(config.clone()).await?;
    let data_key = generate(fixture, &before.key_id).await?;
    let again = again.unwrap_or_else(|| config.clone());
    fails_with(fixture.admin.create_key(again).await, &[Conflict])?;
    let after = fixture.admin.describe_key(&before.key_id).await?;
    ensure(after.description == config.description, "the existing key has another description")?;
    ensure(after.primary_version == before.primary_version, "the existing key was rotated")?;
    opens(fixture, &data_key).await?;
    PROVED
}

async fn description_and_tags_come_back(fixture: &AdminFixture) -> Verdict {
    let can = fixture.admin.capabilities();
    let described = || fixture.fresh_config().with_description("cards, PCI scope");
    let tagged = |config: KeyConfig| config.with_tag("team", "payments").with_tag("env", "test");
    let mut config = fixture.fresh_config();
    if can.descriptions {
        config = described();
    } else {
        fails_with(fixture.create(described()).await, &[Unsupported])?;
    }
    if can.tags {
        config = tagged(config);
    } else {
        fails_with(fixture.create(tagged(fixture.fresh_config())).await, &[Unsupported])?;
    }
    let (description, tags) = (config.description.clone(), config.tags.clone());
    let key = fixture.create(config).await?.key_id;
    let info = fixture.admin.describe_key(&key).await?;
    ensure(info.description == description, "another description comes back")?;
    ensure(info.tags == tags, "other tags come back")?;
    PROVED
}

async fn staged_versions_wait(fixture: &AdminFixture) -> Verdict {
    let (admin, key) = (&fixture.admin, fixture.fresh_key().await?);
    if !admin.capabilities().staged_rotation {
        let staged = admin.rotate_key(&key, RotateOptions::staged()).await;
        fails_with(staged, &[Unsupported])?;
        return not_applicable("staged_rotation is not declared, and refused");
    }
    let before = generate(fixture, &key).await?;
    let staged = admin.rotate_key(&key, RotateOptions::staged()).await?;
    ensure(staged.staged, "the answer does not say that the version waits")?;
    let meanwhile = generate(fixture, &key).await?;
    let same = meanwhile.wrapped().version == before.wrapped().version;
    ensure(same, "a staged version is written with")?;
    let info = admin.describe_key(&key).await?;
    let listed = info.versions.iter().find(|listed| listed.version == staged.new_version);
    let waits = listed.is_none_or(|listed| listed.state == KeyState::Staged);
    ensure(waits, "the new version is not described as staged")?;
    let promoted = admin.promote_key(&key).await?;
    ensure(promoted.new_version == staged.new_version, "another version was promoted")?;
    let after = generate(fixture, &key).await?;
    names(fixture, &after, &staged.new_version)?;
    for data_key in [&before, &meanwhile, &after] {
        opens(fixture, data_key).await?;
    }
    PROVED
}

/// The version is named where versions are reported at all.
fn names(fixture: &AdminFixture, key: &DataKey, version: &KeyVersion) -> Result<(), Failure> {
    let reported = fixture.admin.capabilities().reports_version;
    ensure(!reported || key.wrapped().version == *version, "written with another version")
}

async fn rotation_takes_effect(fixture: &AdminFixture) -> Verdict {
    let key = fixture.fresh_key().await?;
    let before = generate(fixture, &key).await?;
    let rotated = fixture.admin.rotate_key(&key, RotateOptions::now()).await?;
    ensure(!rotated.staged, "a rotation that was to take effect waits")?;
    let can = fixture.admin.capabilities();
    ensure(!can.native_rotation || rotated.new_key_id == rotated.old_key_id, "the key id changed")?;
    let after = generate(fixture, &rotated.new_key_id).await?;
    names(fixture, &after, &rotated.new_version)?;
    let [old, new] = [&before, &after].map(|key| (&key.wrapped().key_id, &key.wrapped().version));
    ensure(!can.reports_version || old != new, "the old version is still written with")?;
    PROVED
}

async fn older_versions_unwrap(fixture: &AdminFixture) -> Verdict {
    let mut key = fixture.fresh_key().await?;
    let mut data_keys = Vec::new();
    for _ in 0..3 {
        data_keys.push(generate(fixture, &key).await?);
        key = fixture.admin.rotate_key(&key, RotateOptions::now()).await?.new_key_id;
    }
    for data_key in &data_keys {
        opens(fixture, data_key).await?;
    }
    PROVED
}

async fn rotation_is_refused(fixture: &AdminFixture) -> Verdict {
    let (admin, key) = (&fixture.admin, fixture.fresh_key().await?);
    let can = admin.capabilities();
    if !can.disabling && !can.staged_rotation {
        return not_applicable("neither disabling nor staged_rotation is declared");
    }
    if can.disabling {
        admin.disable_key(&key).await?;
        fails_with(admin.rotate_key(&key, RotateOptions::now()).await, &[KeyUnusable])?;
        admin.enable_key(&key).await?;
    }
    if admin.capabilities().staged_rotation {
        admin.rotate_key(&key, RotateOptions::staged()).await?;
        for options in [RotateOptions::staged(), RotateOptions::now()] {
            fails_with(admin.rotate_key(&key, options).await, &[Conflict])?;
        }
    }
    PROVED
}

async fn nothing_to_promote(fixture: &AdminFixture) -> Verdict {
    let key = fixture.fresh_key().await?;
    let promoted = fixture.admin.promote_key(&key).await;
    if !fixture.admin.capabilities().staged_rotation {
        fails_with(promoted, &[Unsupported])?;
        return not_applicable("staged_rotation is not declared, and refused");
    }
    fails_with(promoted, &[Conflict])?;
    PROVED
}

async fn enabling_twice(fixture: &AdminFixture) -> Verdict {
    if !fixture.admin.capabilities().disabling {
        return not_applicable("disabling is not declared");
    }
    let key = fixture.fresh_key().await?;
    let (before, data_key) =
        (fixture.admin.describe_key(&key).await?, generate(fixture, &key).await?);
    fixture.admin.enable_key(&key).await?;
    ensure(fixture.admin.describe_key(&key).await? == before, "the key is described otherwise")?;
    opens(fixture, &data_key).await?;
    PROVED
}

async fn pending_keys_stay_pending(fixture: &AdminFixture) -> Verdict {
    let Some(days) = fixture.admin.capabilities().deletion_window_days else {
        return not_applicable("deletion_window_days is not declared");
    };
    let key = fixture.fresh_key().await?;
    fixture.admin.schedule_key_deletion(&key, days).await?;
    fails_with(fixture.admin.enable_key(&key).await, &[KeyUnusable])?;
    ensure(state(fixture, &key).await? == KeyState::PendingDeletion, "deletion is not pending")?;
    PROVED
}

async fn disabled_keys_rest(fixture: &AdminFixture) -> Verdict {
    let key = fixture.fresh_key().await?;
    if !fixture.admin.capabilities().disabling {
        fails_with(fixture.admin.disable_key(&key).await, &[Unsupported])?;
        return not_applicable("disabling is not declared, and refused");
    }
    let data_key = generate(fixture, &key).await?;
    fixture.admin.disable_key(&key).await?;
    ensure(state(fixture, &key).await? == KeyState::Disabled, "not described as disabled")?;
    rests(fixture, &key, &data_key).await?;
    fixture.admin.enable_key(&key).await?;
    opens(fixture, &data_key).await?;
    PROVED
}

async fn pending_keys_rest(fixture: &AdminFixture) -> Verdict {
    let Some(days) = fixture.admin.capabilities().deletion_window_days else {
        return not_applicable("deletion_window_days is not declared");
    };
    let key = fixture.fresh_key().await?;
    let data_key = generate(fixture, &key).await?;
    let answer = fixture.admin.schedule_key_deletion(&key, days).await?;
    let info = fixture.admin.describe_key(&key).await?;
    for told in [&answer, &info] {
        ensure(told.state == KeyState::PendingDeletion, "not described as pending deletion")?;
        ensure(told.deletion_at.is_some(), "not told when the window ends")?;
    }
    rests(fixture, &key, &data_key).await?;
    PROVED
}

async fn windows_are_checked(fixture: &AdminFixture) -> Verdict {
    let key = fixture.fresh_key().await?;
    let Some(days) = fixture.admin.capabilities().deletion_window_days else {
        let refused = fixture.admin.schedule_key_deletion(&key, 30).await;
        fails_with(refused, &[Unsupported])?;
        return not_applicable("deletion_window_days is not declared, and deletion refused");
    };
    if let Some(short) = days.checked_sub(1) {
        let refused = fixture.admin.schedule_key_deletion(&key, short).await;
        fails_with(refused, &[InvalidInput])?;
    }
    ensure(state(fixture, &key).await? == KeyState::Enabled, "a refused deletion did something")?;
    PROVED
}

async fn cancelled_keys_are_disabled(fixture: &AdminFixture) -> Verdict {
    let Some(days) = fixture.admin.capabilities().deletion_window_days else {
        return not_applicable("deletion_window_days is not declared");
    };
    let key = fixture.fresh_key().await?;
    let data_key = generate(fixture, &key).await?;
    fixture.admin.schedule_key_deletion(&key, days).await?;
    fixture.admin.cancel_key_deletion(&key).await?;
    let info = fixture.admin.describe_key(&key).await?;
    ensure(info.state == KeyState::Disabled, "not described as disabled")?;
    ensure(info.deletion_at.is_none(), "a time of deletion without a pending one")?;
    rests(fixture, &key, &data_key).await?;
    fixture.admin.enable_key(&key).await?;
    opens(fixture, &data_key).await?;
    PROVED
}

async fn nothing_to_cancel(fixture: &AdminFixture) -> Verdict {
    let key = fixture.fresh_key().await?;
    let cancelled = fixture.admin.cancel_key_deletion(&key).await;
    if fixture.admin.capabilities().deletion_window_days.is_none() {
        fails_with(cancelled, &[Conflict, Unsupported])?;
        return not_applicable("deletion_window_days is not declared");
    }
    fails_with(cancelled, &[Conflict])?;
    ensure(state(fixture, &key).await? == KeyState::Enabled, "a refused call did something")?;
    PROVED
}

async fn pages_name_every_key_once(fixture: &AdminFixture) -> Verdict {
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(fixture.fresh_key().await?);
    }
    let (mut listed, mut after): (Vec<KeyId>, Option<KeyId>) = (Vec::new(), None);
    loop {
        let page = fixture.admin.list_keys(after.as_ref(), 2).await?;
        ensure(page.len() <= 2, "a page longer than its limit")?;
        let Some(last) = page.last() else { break };
        after = Some(last.key_id.clone());
        listed.extend(page.into_iter().map(|info| info.key_id));
        let ascending = listed.is_sorted_by(|before, after| before < after);
        ensure(ascending, "ids do not ascend, or a key is named twice")?;
    }
    ensure(made.iter().all(|key| listed.contains(key)), "a key is missing")?;
    PROVED
}

async fn labels_are_replaced(fixture: &AdminFixture) -> Verdict {
    let key = fixture.fresh_key().await?;
    let first = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".into(), "2".into())]);
    if !fixture.admin.capabilities().tags {
        fails_with(fixture.admin.tag_key(&key, first).await, &[Unsupported])?;
        return not_applicable("tags is not declared, and refused");
    }
    for labels in [first, BTreeMap::from([("b".to_owned(), "3".to_owned())]), BTreeMap::new()] {
        fixture.admin.tag_key(&key, labels.clone()).await?;
        let info = fixture.admin.describe_key(&key).await?;
        ensure(info.tags == labels, "other labels come back")?;
    }
    PROVED
}

/// A period that every service has that has any.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

async fn periods_are_told(fixture: &AdminFixture) -> Verdict {
    let (admin, key) = (&fixture.admin, fixture.fresh_key().await?);
    if !admin.capabilities().rotation_period {
        fails_with(admin.set_rotation_period(&key, Some(YEAR)).await, &[Unsupported])?;
        return not_applicable("rotation_period is not declared, and refused");
    }
    for period in [Some(YEAR), Some(YEAR * 2), None, Some(YEAR)] {
        admin.set_rotation_period(&key, period).await?;
        let told = admin.describe_key(&key).await?.rotation_period;
        ensure(told == period, "another period comes back")?;
    }
    PROVED
}

async fn impossible_periods_are_refused(fixture: &AdminFixture) -> Verdict {
    let (admin, key) = (&fixture.admin, fixture.fresh_key().await?);
    if !admin.capabilities().rotation_period {
        return not_applicable("rotation_period is not declared");
    }
    admin.set_rotation_period(&key, Some(YEAR)).await?;
    for period in [Duration::ZERO, Duration::from_secs(1), YEAR * 101] {
        fails_with(admin.set_rotation_period(&key, Some(period)).await, &[InvalidInput])?;
        let told = admin.describe_key(&key).await?.rotation_period;
        ensure(told == Some(YEAR), "a refused period took effect")?;
    }
    PROVED
}
