//! TOML from anybody: what its parser makes of it, if it is neither long nor deep.

use ::toml::Table;
use ::toml::de::{DeTable, DeValue};
use vault_crypto_core::Result;

use super::super::MAX_LEN;
use super::invalid;

/// Tables within tables. The parser has a limit for inline tables and one for the dots of a name, and what
/// it reads may be as deep as both multiplied: to drop that takes more stack than threads have.
const MAX_DEPTH: usize = 16;

pub(super) fn parse(text: &str) -> Result<Table> {
    if text.len() as u64 > MAX_LEN {
        let limit = MAX_LEN >> 10;
        return Err(invalid(format!("the file has over {limit} KiB, as no configuration has")));
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    let depth = depth(root.into_inner());
    if let Some(error) = errors.first() {
        return Err(not_toml(text, error));
    }
    if depth > MAX_DEPTH {
        return Err(invalid(format!("there are over {MAX_DEPTH} tables within tables")));
    }
    text.parse().map_err(|error| not_toml(text, &error))
}

/// How deep it is; takes it apart level by level, so that nothing deep is dropped.
fn depth(root: DeTable<'_>) -> usize {
    let mut deepest = 0;
    let mut left = vec![(1, DeValue::Table(root))];
    while let Some((depth, value)) = left.pop() {
        match value {
            DeValue::Table(table) => {
                deepest = deepest.max(depth);
                left.extend(table.into_iter().map(|(_, inner)| (depth + 1, inner.into_inner())));
            }
            DeValue::Array(array) => {
                deepest = deepest.max(depth);
                left.extend(array.into_iter().map(|inner| (depth + 1, inner.into_inner())));
            }
            _ => {}
        }
    }
    deepest
}

fn not_toml(text: &str, error: &::toml::de::Error) -> vault_crypto_core::CryptoError {
    let line = error.span().and_then(|span| text.get(..span.start));
    let line = line.map_or(1, |before| before.matches('\n').count() + 1);
    // The library's message quotes the line; who writes a secret there by mistake must not see it logged.
    invalid(format!("line {line} is no TOML, or says again what was said before"))
}
