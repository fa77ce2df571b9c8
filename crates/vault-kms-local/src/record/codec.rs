//! The body of key files and backups: docs/LOCAL-STORE.md section 3. One encoding per set of keys;
//! whatever is not that encoding is refused.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{
    Key, Keys, MAX_DESCRIPTION_LEN, MAX_KEYS, MAX_TAG_LEN, MAX_TAGS, MAX_VERSIONS, State, Version,
};
use crate::codec::{Reader, Writer};
use crate::id::check_name;
use crate::memory::{MATERIAL_LEN, Material};

const NEVER: u64 = u64::MAX;
const FLAG_COMPROMISED: u8 = 1;
const FIXED_LEN: usize = 1 + 1 + 8 + 8 + 8 + 4 + 4;
const VERSION_LEN: usize = 4 + 8 + MATERIAL_LEN;

/// The canonical bytes; `None` if a field is longer than its length can say, or a key is gone.
pub(crate) fn encode(keys: &Keys) -> Option<Zeroizing<Vec<u8>>> {
    let size: usize = keys.iter().map(|(name, key)| key_len(name, key)).sum();
    let mut out = Writer::with_capacity(2 + size);
    out.count(keys.len());
    for (name, key) in keys {
        out.text(name);
        encode_key(&mut out, key)?;
    }
    out.finish()
}

fn key_len(name: &str, key: &Key) -> usize {
    let tags: usize = key.tags.iter().map(|(n, v)| 4 + n.len() + v.len()).sum();
    let texts = 2 + name.len() + 2 + key.description.len() + 2 + tags;
    texts + FIXED_LEN + 2 + key.versions.len() * VERSION_LEN
}

fn encode_key(out: &mut Writer, key: &Key) -> Option<()> {
    let (state, until) = match key.state {
        State::Enabled => (1, NEVER),
        State::Disabled => (2, NEVER),
        State::PendingDeletion { until_millis } => (3, until_millis),
        State::Destroyed => (4, NEVER),
    };
    out.u8(state);
    out.u8(if key.compromised { FLAG_COMPROMISED } else { 0 });
    out.u64(key.created_millis);
    out.u64(key.rotated_millis.unwrap_or(NEVER));
    out.u64(until);
    out.u32(key.primary);
    out.u32(key.staged.unwrap_or(0));
    out.text(&key.description);
    out.count(key.tags.len());
    for (name, value) in &key.tags {
        out.text(name);
        out.text(value);
    }
    out.count(key.versions.len());
    for (number, version) in &key.versions {
        out.u32(*number);
        out.u64(version.created_millis);
        out.bytes(version.material.bytes().ok()?);
    }
    Some(())
}

/// The keys; `None` unless the bytes are canonical and obey every rule, and `keep` takes every key.
pub(crate) fn decode(
    bytes: &[u8],
    mut keep: impl FnMut(&[u8; MATERIAL_LEN]) -> Option<Material>,
) -> Option<Keys> {
    let mut reader = Reader::new(bytes);
    let count = usize::from(reader.u16()?);
    if count > MAX_KEYS {
        return None;
    }
    let mut keys = Keys::new();
    for _ in 0..count {
        let name = reader.text()?;
        check_name(&name).ok()?;
        let key = decode_key(&mut reader, &mut keep)?;
        push_ascending(&mut keys, name, key)?;
    }
    reader.is_empty().then_some(keys)
}

fn decode_key(
    reader: &mut Reader<'_>,
    keep: &mut impl FnMut(&[u8; MATERIAL_LEN]) -> Option<Material>,
) -> Option<Key> {
    let state = reader.u8()?;
    let flags = reader.u8()?;
    let created_millis = reader.u64()?;
    let rotated = reader.u64()?;
    let until = reader.u64()?;
    let primary = reader.u32()?;
    let staged = reader.u32()?;
    let description = reader.text().filter(|text| text.len() <= MAX_DESCRIPTION_LEN)?;
    let tags = decode_tags(reader)?;
    let versions = decode_versions(reader, keep)?;
    let state = match (state, until) {
        (1, NEVER) => State::Enabled,
        (2, NEVER) => State::Disabled,
        (3, until_millis) if until_millis != NEVER => State::PendingDeletion { until_millis },
        (4, NEVER) => State::Destroyed,
        _ => return None,
    };
    let key = Key {
        state,
        compromised: flags == FLAG_COMPROMISED,
        created_millis,
        rotated_millis: Some(rotated).filter(|at| *at != NEVER),
        description,
        tags,
        primary,
        staged: Some(staged).filter(|version| *version != 0),
        versions,
    };
    (flags <= FLAG_COMPROMISED && is_consistent(&key)).then_some(key)
}

/// The primary exists, a staged version is newer than it and the newest; a destroyed key has neither.
fn is_consistent(key: &Key) -> bool {
    if key.state == State::Destroyed {
        return key.versions.is_empty() && key.staged.is_none();
    }
    let newest = key.versions.keys().next_back().copied();
    let staged_fits = key.staged.is_none_or(|v| Some(v) == newest && v > key.primary);
    key.versions.contains_key(&key.primary) && staged_fits
}

fn decode_tags(reader: &mut Reader<'_>) -> Option<BTreeMap<String, String>> {
    let count = usize::from(reader.u16()?);
    if count > MAX_TAGS {
        return None;
    }
    let mut tags = BTreeMap::new();
    for _ in 0..count {
        let name = reader.text().filter(|name| !name.is_empty() && name.len() <= MAX_TAG_LEN)?;
        let value = reader.text().filter(|value| value.len() <= MAX_TAG_LEN)?;
        push_ascending(&mut tags, name, value)?;
    }
    Some(tags)
}

fn decode_versions(
    reader: &mut Reader<'_>,
    keep: &mut impl FnMut(&[u8; MATERIAL_LEN]) -> Option<Material>,
) -> Option<BTreeMap<u32, Version>> {
    let count = usize::from(reader.u16()?);
    if count > MAX_VERSIONS {
        return None;
    }
    let mut versions = BTreeMap::new();
    for _ in 0..count {
        let number = reader.u32().filter(|number| *number != 0)?;
        let created_millis = reader.u64()?;
        let material = keep(reader.array()?)?;
        push_ascending(&mut versions, number, Version { created_millis, material })?;
    }
    Some(versions)
}

/// Inserts at the end; `None` if the name is not greater than the last.
fn push_ascending<K: Ord, V>(map: &mut BTreeMap<K, V>, name: K, value: V) -> Option<()> {
    if map.last_key_value().is_some_and(|(last, _)| *last >= name) {
        return None;
    }
    map.insert(name, value);
    Some(())
}
