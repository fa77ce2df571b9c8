//! The contract of [`StorageBackend`].
//!
//! Left to each backend's own tests: threads and processes that race, a process that is killed, a
//! server that goes away.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use vault_crypto_core::ErrorKind::{Conflict, InvalidInput, LimitExceeded};
use vault_crypto_core::storage::{
    Expected, MAX_STORAGE_KEY_LEN, MAX_STORAGE_PAGE_LEN, MAX_STORED_VALUE_LEN, StorageVersion,
    Stored, StoredPage,
};
use vault_crypto_core::{Result, StorageBackend};

use super::{
    Case, Failure, PROVED, Report, StorageFixture, Verdict, cases, ensure, fails_with,
    not_applicable,
};

/// Every case of this suite.
pub const CASES: &[Case<StorageFixture>] = cases! { StorageFixture;
    "StorageBackend::get" {
        "A key that holds nothing answers `None`." => nothing_is_none,
        "It answers the value and version of the last change, whoever made it." => last_change_is_seen,
        "A key that breaks the rules is `InvalidInput`." => get_checks_keys,
    }
    "StorageBackend::put" {
        "`Expected::Absent` makes a key, `Expected::Version` replaces the value of that version." => expectations_met,
        "A key that holds anything else is `Conflict`, and nothing changes." => expectations_not_met,
        "Of calls that race with one expectation exactly one succeeds; the others are `Conflict`." => one_racer_wins,
        "The versions of a key only grow and none comes twice, even after the key was deleted." => versions_grow,
        "Up to 65,536 bytes of any kind come back as they were, none at all included." => values_come_back,
        "A longer value is `LimitExceeded`, and nothing changes; a key that breaks the rules is `InvalidInput`." => put_checks_arguments,
        "Where `StorageCapabilities::durable` holds, what was answered with `Ok` is there for whoever opens the store anew." => changes_last,
    }
    "StorageBackend::delete" {
        "Afterwards `get` answers `None`, and the key can be made anew." => deleted_is_gone,
        "A key that holds another version or nothing is `Conflict`, and nothing changes." => delete_needs_the_version,
        "A key that breaks the rules cannot be deleted: `InvalidInput`." => delete_checks_keys,
    }
    "StorageBackend::list" {
        "Walking all pages names every key with the prefix and no other, once, with its version, ascending in the order of bytes." => pages_name_each_key,
        "The page begins strictly after `after`, whether that key exists, or has the prefix, or not." => pages_begin_after,
        "A page has `limit` keys unless it is the last, and `more` is true unless it is the last." => pages_are_full,
        "Keys that stay are named once each, whatever is made and deleted between the pages." => walks_survive_changes,
        "A limit outside 1 to 1,000, or a prefix or `after` that breaks the rules of keys, is `InvalidInput`; an empty prefix means all keys." => list_checks_arguments,
    }
};

/// Runs every case.
pub async fn run_all(fixture: &StorageFixture) -> Report {
    Report::of(CASES, fixture).await
}

/// Keys that no backend may take.
fn bad_keys() -> Vec<String> {
    let mut bad: Vec<String> =
        ["a b", "caf\u{e9}", "a\0b", "a%b", "a\\b", "a'b", "*"].map(String::from).into();
    bad.push("k".repeat(MAX_STORAGE_KEY_LEN + 1));
    bad
}

async fn make(storage: &dyn StorageBackend, key: &str) -> Result<StorageVersion> {
    storage.put(key, key.as_bytes(), Expected::Absent).await
}

/// What a key must hold now, seen through both handles.
async fn holds(fixture: &StorageFixture, key: &str, held: Option<&Stored>) -> Result<(), Failure> {
    for storage in [&fixture.storage, &fixture.other] {
        let found = storage.get(key).await?;
        ensure(found.as_ref() == held, "a key holds something else than it must")?;
    }
    Ok(())
}

async fn nothing_is_none(fixture: &StorageFixture) -> Verdict {
    holds(fixture, &fixture.fresh("never-made"), None).await?;
    PROVED
}

async fn last_change_is_seen(fixture: &StorageFixture) -> Verdict {
    let key = fixture.fresh("shared");
    let first = fixture.storage.put(&key, b"first", Expected::Absent).await?;
    holds(fixture, &key, Some(&Stored::new(*b"first", first))).await?;
    let second = fixture.other.put(&key, b"second", Expected::Version(first)).await?;
    holds(fixture, &key, Some(&Stored::new(*b"second", second))).await?;
    fixture.other.delete(&key, second).await?;
    holds(fixture, &key, None).await?;
    PROVED
}

async fn get_checks_keys(fixture: &StorageFixture) -> Verdict {
    fails_with(fixture.storage.get("").await, &[InvalidInput])?;
    for key in bad_keys() {
        fails_with(fixture.storage.get(&key).await, &[InvalidInput])?;
    }
    PROVED
}

async fn expectations_met(fixture: &StorageFixture) -> Verdict {
    for key in [fixture.fresh("A.b_c-d/e:f"), fixture.longest()] {
        let mut version = fixture.storage.put(&key, b"0", Expected::Absent).await?;
        for value in [&b"1"[..], b"", b"1", b"1"] {
            let expected = Expected::Version(version);
            version = fixture.storage.put(&key, value, expected).await?;
            holds(fixture, &key, Some(&Stored::new(value, version))).await?;
        }
    }
    PROVED
}

async fn expectations_not_met(fixture: &StorageFixture) -> Verdict {
    let (key, neighbour) = (fixture.fresh("held"), fixture.fresh("neighbour"));
    let old = fixture.storage.put(&key, b"old", Expected::Absent).await?;
    let new = fixture.storage.put(&key, b"new", Expected::Version(old)).await?;
    let ahead = StorageVersion::new(new.as_u64() + 1);
    for expected in [Expected::Absent, Expected::Version(old), Expected::Version(ahead)] {
        fails_with(fixture.other.put(&key, b"mine", expected).await, &[Conflict])?;
        holds(fixture, &key, Some(&Stored::new(*b"new", new))).await?;
    }
    let absent = fixture.other.put(&neighbour, b"mine", Expected::Version(new)).await;
    fails_with(absent, &[Conflict])?;
    holds(fixture, &neighbour, None).await?;
    PROVED
}

async fn one_racer_wins(fixture: &StorageFixture) -> Verdict {
    let key = fixture.fresh("race");
    let mut expected = Expected::Absent;
    for _ in 0..5 {
        let values: Vec<Vec<u8>> = (0..16_u8).map(|racer| vec![racer; 3]).collect();
        let handles = [&fixture.storage, &fixture.other].into_iter().cycle();
        let racers = handles.zip(&values).map(|(to, value)| to.put(&key, value, expected));
        let outcomes = together(racers.collect()).await;
        let mut won = None;
        for (outcome, value) in outcomes.into_iter().zip(&values) {
            match outcome {
                Ok(version) if won.is_none() => won = Some(Stored::new(value.as_slice(), version)),
                Ok(_) => return Err(Failure::new("two calls with one expectation succeeded")),
                lost => fails_with(lost, &[Conflict])?,
            }
        }
        let won = won.ok_or_else(|| Failure::new("no call succeeded"))?;
        holds(fixture, &key, Some(&won)).await?;
        expected = Expected::Version(won.version);
    }
    PROVED
}

async fn versions_grow(fixture: &StorageFixture) -> Verdict {
    let (key, storage) = (fixture.fresh("again"), &fixture.storage);
    let mut versions = Vec::new();
    for _ in 0..3 {
        let made = make(storage.as_ref(), &key).await?;
        let replaced = fixture.other.put(&key, b"r", Expected::Version(made)).await?;
        versions.extend([made, replaced]);
        storage.delete(&key, replaced).await?;
        fails_with(storage.put(&key, b"r", Expected::Version(replaced)).await, &[Conflict])?;
    }
    ensure(versions.is_sorted_by(|a, b| a < b), "a version did not grow, or came twice")?;
    PROVED
}

async fn values_come_back(fixture: &StorageFixture) -> Verdict {
    let every_byte: Vec<u8> = (0..=255).collect();
    let longest: Vec<u8> = every_byte.iter().copied().cycle().take(MAX_STORED_VALUE_LEN).collect();
    for value in [&[][..], &[0], b"\\x00 'quoted' \xff\xfe", &every_byte, &longest] {
        let key = fixture.fresh("value");
        let version = fixture.storage.put(&key, value, Expected::Absent).await?;
        holds(fixture, &key, Some(&Stored::new(value, version))).await?;
    }
    PROVED
}

async fn put_checks_arguments(fixture: &StorageFixture) -> Verdict {
    let (key, storage) = (fixture.fresh("limits"), &fixture.storage);
    let too_long = vec![7; MAX_STORED_VALUE_LEN + 1];
    fails_with(storage.put(&key, &too_long, Expected::Absent).await, &[LimitExceeded])?;
    holds(fixture, &key, None).await?;
    let version = make(storage.as_ref(), &key).await?;
    let replaced = storage.put(&key, &too_long, Expected::Version(version)).await;
    fails_with(replaced, &[LimitExceeded])?;
    holds(fixture, &key, Some(&Stored::new(key.as_bytes(), version))).await?;
    fails_with(make(storage.as_ref(), "").await, &[InvalidInput])?;
    for key in bad_keys() {
        fails_with(make(storage.as_ref(), &key).await, &[InvalidInput])?;
    }
    PROVED
}

async fn changes_last(fixture: &StorageFixture) -> Verdict {
    if !fixture.storage.capabilities().durable {
        return not_applicable("durable is not declared");
    }
    let Some(open_anew) = &fixture.open_anew else {
        return Err(Failure::new(
            "durable is declared, yet the fixture cannot open the store anew",
        ));
    };
    let [made, replaced, deleted] = ["made", "replaced", "deleted"].map(|key| fixture.fresh(key));
    let version = make(fixture.storage.as_ref(), &made).await?;
    let first = make(fixture.storage.as_ref(), &replaced).await?;
    let second = fixture.storage.put(&replaced, b"second", Expected::Version(first)).await?;
    let gone = make(fixture.storage.as_ref(), &deleted).await?;
    fixture.storage.delete(&deleted, gone).await?;
    let anew = open_anew().await?;
    let held = [
        (&made, Some(Stored::new(made.as_bytes(), version))),
        (&replaced, Some(Stored::new(*b"second", second))),
        (&deleted, None),
    ];
    for (key, held) in held {
        ensure(anew.get(key).await? == held, "not what was answered with `Ok`")?;
    }
    let again = anew.put(&deleted, b"again", Expected::Absent).await?;
    ensure(again > gone, "a version came twice after the store was opened anew")?;
    PROVED
}

async fn deleted_is_gone(fixture: &StorageFixture) -> Verdict {
    let key = fixture.fresh("gone");
    for _ in 0..2 {
        let version = make(fixture.storage.as_ref(), &key).await?;
        fixture.storage.delete(&key, version).await?;
        holds(fixture, &key, None).await?;
        ensure(all(fixture, &key, 10).await?.is_empty(), "a deleted key is listed")?;
    }
    PROVED
}

async fn delete_needs_the_version(fixture: &StorageFixture) -> Verdict {
    let (key, absent) = (fixture.fresh("kept"), fixture.fresh("absent"));
    let old = make(fixture.storage.as_ref(), &key).await?;
    let new = fixture.storage.put(&key, b"new", Expected::Version(old)).await?;
    for version in [old, StorageVersion::new(new.as_u64() + 1)] {
        fails_with(fixture.other.delete(&key, version).await, &[Conflict])?;
        holds(fixture, &key, Some(&Stored::new(*b"new", new))).await?;
    }
    fails_with(fixture.storage.delete(&absent, new).await, &[Conflict])?;
    fixture.storage.delete(&key, new).await?;
    fails_with(fixture.storage.delete(&key, new).await, &[Conflict])?;
    PROVED
}

async fn delete_checks_keys(fixture: &StorageFixture) -> Verdict {
    let version = StorageVersion::new(1);
    fails_with(fixture.storage.delete("", version).await, &[InvalidInput])?;
    for key in bad_keys() {
        fails_with(fixture.storage.delete(&key, version).await, &[InvalidInput])?;
    }
    PROVED
}

/// Names and versions of all keys with `prefix`, in the order in which pages of `limit` name them.
async fn all(
    fixture: &StorageFixture,
    prefix: &str,
    limit: usize,
) -> Result<Vec<(String, StorageVersion)>, Failure> {
    let (mut named, mut after): (Vec<_>, Option<String>) = (Vec::new(), None);
    loop {
        let page = fixture.other.list(prefix, after.as_deref(), limit).await?;
        named.extend(page.entries.into_iter().map(|entry| (entry.key, entry.version)));
        let last = named.last().map(|(key, _)| key.clone());
        if !page.more {
            return Ok(named);
        }
        ensure(last != after, "a page says that there is more, and leads nowhere")?;
        after = last;
    }
}

/// Names whose order differs between bytes, languages and numbers.
const NAMES: [&str; 9] = ["-", ".", "/", "10", "9", "B", "_", "a", "a/b"];

async fn make_names(
    fixture: &StorageFixture,
) -> Result<(String, BTreeMap<String, StorageVersion>)> {
    let prefix = format!("{}/", fixture.fresh("list"));
    let mut made = BTreeMap::new();
    // In no order.
    for name in NAMES.iter().rev().step_by(2).chain(NAMES.iter().rev().skip(1).step_by(2)) {
        let key = format!("{prefix}{name}");
        made.insert(key.clone(), make(fixture.storage.as_ref(), &key).await?);
    }
    Ok((prefix, made))
}

async fn pages_name_each_key(fixture: &StorageFixture) -> Verdict {
    let (prefix, mut made) = make_names(fixture).await?;
    // Just before, just after, and the prefix itself without its last byte, in either case.
    let beside = prefix.trim_end_matches('/');
    for key in
        [beside.to_owned(), format!("{beside}."), format!("{beside}0"), prefix.to_ascii_uppercase()]
    {
        make(fixture.storage.as_ref(), &key).await?;
    }
    for (key, version) in made.iter_mut().step_by(3) {
        *version = fixture.other.put(key, b"changed", Expected::Version(*version)).await?;
    }
    let promised: Vec<_> = made.into_iter().collect();
    for limit in [1, 2, NAMES.len(), MAX_STORAGE_PAGE_LEN] {
        let named = all(fixture, &prefix, limit).await?;
        ensure(named == promised, "other keys, other versions or another order")?;
    }
    PROVED
}

async fn pages_begin_after(fixture: &StorageFixture) -> Verdict {
    let (prefix, made) = make_names(fixture).await?;
    let keys: Vec<&String> = made.keys().collect();
    let before = prefix.trim_end_matches('/');
    let beyond = format!("{before}0");
    let between = format!("{prefix}A");
    let mut places: Vec<&str> = vec![before, &prefix, &between, &beyond];
    places.extend(keys.iter().map(|key| key.as_str()));
    for after in places {
        let page = fixture.storage.list(&prefix, Some(after), NAMES.len()).await?;
        let named: Vec<&String> = page.entries.iter().map(|entry| &entry.key).collect();
        let rest: Vec<&String> = keys.iter().copied().filter(|key| key.as_str() > after).collect();
        ensure(named == rest, "not the keys after the one given")?;
    }
    PROVED
}

async fn pages_are_full(fixture: &StorageFixture) -> Verdict {
    let (prefix, made) = make_names(fixture).await?;
    for limit in 1..=made.len() + 1 {
        let StoredPage { entries, more, .. } = fixture.storage.list(&prefix, None, limit).await?;
        ensure(entries.len() == limit.min(made.len()), "a page of another length")?;
        ensure(more == (limit < made.len()), "`more` is not true")?;
    }
    let last = made.keys().next_back();
    let page = fixture.storage.list(&prefix, last.map(String::as_str), 1).await?;
    ensure(page.entries.is_empty() && !page.more, "something after the last key")?;
    PROVED
}

async fn walks_survive_changes(fixture: &StorageFixture) -> Verdict {
    let (prefix, mut made) = make_names(fixture).await?;
    let stay: Vec<String> = made.keys().step_by(2).cloned().collect();
    let mut go: Vec<_> = made.extract_if(.., |key, _| !stay.contains(key)).collect();
    let (mut named, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let page = fixture.storage.list(&prefix, after.as_deref(), 2).await?;
        named.extend(page.entries.into_iter().map(|entry| entry.key));
        if !page.more {
            break;
        }
        after = named.last().cloned();
        // One key behind the walk, one ahead of it, and one less.
        for key in [format!("{prefix}-/{}", named.len()), format!("{prefix}z/{}", named.len())] {
            make(fixture.other.as_ref(), &key).await?;
        }
        if let Some((key, version)) = go.pop() {
            fixture.other.delete(&key, version).await?;
        }
        ensure(named.len() < 100, "the walk does not end")?;
    }
    ensure(named.is_sorted_by(|a, b| a < b), "a key is named twice, or out of order")?;
    ensure(stay.iter().all(|key| named.contains(key)), "a key that stayed is not named")?;
    PROVED
}

async fn list_checks_arguments(fixture: &StorageFixture) -> Verdict {
    let storage = &fixture.storage;
    for limit in [0, MAX_STORAGE_PAGE_LEN + 1, usize::MAX] {
        fails_with(storage.list("", None, limit).await, &[InvalidInput])?;
    }
    fails_with(storage.list("", Some(""), 1).await, &[InvalidInput])?;
    for bad in bad_keys() {
        fails_with(storage.list(&bad, None, 1).await, &[InvalidInput])?;
        fails_with(storage.list("", Some(&bad), 1).await, &[InvalidInput])?;
    }
    let key = fixture.fresh("all");
    make(storage.as_ref(), &key).await?;
    let named = all(fixture, "", MAX_STORAGE_PAGE_LEN).await?;
    ensure(named.iter().any(|(name, _)| *name == key), "the empty prefix does not mean all keys")?;
    PROVED
}

type Racer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Drives all at once, in one task: whatever executor there is suffices.
async fn together<T: Send>(mut racers: Vec<Racer<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = racers.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (racer, done) in racers.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(outcome) = racer.as_mut().poll(cx) {
                *done = Some(outcome);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
