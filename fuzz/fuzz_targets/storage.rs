//! Storage in memory answers any calls with any keys and values as a plain map under the written rules
//! does.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::storage::{Expected, StorageVersion};
use vault_crypto_core::{ErrorKind, MemoryStorage, StorageBackend as _};
use vaultkit_fuzz::{Input, block_on};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let storage = MemoryStorage::new();
    let mut model: BTreeMap<String, (Vec<u8>, StorageVersion)> = BTreeMap::new();
    let mut highest: BTreeMap<String, StorageVersion> = BTreeMap::new();
    while !input.0.is_empty() {
        let call = input.byte();
        let key = key(&mut input);
        let found = model.get(&key).map(|(_, version)| *version);
        let expected = match call >> 4 {
            0..6 => found.map_or(Expected::Absent, Expected::Version),
            6 => Expected::Absent,
            other => Expected::Version(StorageVersion::new(u64::from(other))),
        };
        match call % 4 {
            0 => {
                let answer = block_on(storage.get(&key));
                assert_eq!(answer.is_err(), !is_key(&key));
                if let Ok(stored) = answer {
                    assert_eq!(stored.map(|s| (s.value, s.version)), model.get(&key).cloned());
                }
            }
            1 => {
                let value =
                    vec![call; usize::from(input.byte()) << if call & 8 == 0 { 0 } else { 9 }];
                match block_on(storage.put(&key, &value, expected)) {
                    Ok(version) => {
                        assert!(is_key(&key) && expected.is_met_by(found) && value.len() <= 65_536);
                        let before = highest.insert(key.clone(), version);
                        assert!(before.is_none_or(|before| before < version), "a version again");
                        model.insert(key, (value, version));
                    }
                    Err(error) => {
                        refused(&error, &key, value.len() > 65_536, expected.is_met_by(found))
                    }
                }
            }
            2 => {
                let Expected::Version(version) = expected else { continue };
                match block_on(storage.delete(&key, version)) {
                    Ok(()) => assert!(model.remove(&key).is_some_and(|(_, held)| held == version)),
                    Err(error) => refused(&error, &key, false, found == Some(version)),
                }
            }
            _ => pages(&storage, &model, &key, usize::from(input.byte()), call & 8 == 0),
        }
    }
});

fn key(input: &mut Input<'_>) -> String {
    let sort = input.byte();
    let (taken, rest) = input.0.split_at(usize::from(sort & 7).min(input.0.len()));
    input.0 = rest;
    let text = String::from_utf8_lossy(taken).into_owned();
    if sort & 0x80 == 0 { text } else { text.repeat(usize::from(sort)) }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && is_text(text)
}

fn is_text(text: &str) -> bool {
    text.len() <= 512 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:".contains(&b))
}

fn refused(error: &vault_crypto_core::CryptoError, key: &str, too_long: bool, met: bool) {
    let expected = match () {
        () if !is_key(key) => ErrorKind::InvalidInput,
        () if too_long => ErrorKind::LimitExceeded,
        () => ErrorKind::Conflict,
    };
    assert_eq!(error.kind(), expected);
    assert!(expected != ErrorKind::Conflict || !met);
}

/// All pages name what the map holds under the prefix, in its order.
fn pages(
    storage: &MemoryStorage,
    model: &BTreeMap<String, (Vec<u8>, StorageVersion)>,
    prefix: &str,
    limit: usize,
    from_start: bool,
) {
    let mut after = (!from_start).then(|| prefix.to_owned());
    let legal = is_text(prefix) && limit > 0 && after.as_deref().is_none_or(is_key);
    let wanted: Vec<(String, StorageVersion)> = model
        .iter()
        .filter(|(key, _)| {
            key.starts_with(prefix) && after.as_ref().is_none_or(|after| *key > after)
        })
        .map(|(key, (_, version))| (key.clone(), *version))
        .collect();
    let mut walked = Vec::new();
    loop {
        let page = match block_on(storage.list(prefix, after.as_deref(), limit)) {
            Ok(page) => page,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidInput);
                assert!(!legal, "{error}");
                return;
            }
        };
        assert!(page.entries.len() == limit || !page.more);
        after = page.entries.last().map(|entry| entry.key.clone());
        walked.extend(page.entries.into_iter().map(|entry| (entry.key, entry.version)));
        if !page.more {
            break;
        }
    }
    // An empty key to begin after is for the backend to refuse or not.
    if legal {
        assert_eq!(walked, wanted);
    }
}
