//! TOML from anybody: what its parser makes of it, if it is neither long nor deep.

use ::toml::Table;
use ::toml::de::{DeTable, DeValue};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

use super::super::MAX_LEN;
use super::invalid;

/// Tables within tables.
const MAX_DEPTH: usize = 16;

/// The parser has a limit for inline tables and one for the dots of a name, 80 each, and what it reads may be
/// as deep as both multiplied. What it throws away of that it drops down the stack, which takes more than
/// threads have; bytes.
const STACK: usize = 32 << 20;

pub(super) fn parse(text: &str) -> Result<Table> {
    if text.len() as u64 > MAX_LEN {
        let limit = MAX_LEN >> 10;
        return Err(invalid(format!("the file has over {limit} KiB, as no configuration has")));
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let parsing = thread.spawn_scoped(scope, || parse_shallow(text));
        let parsing = parsing.map_err(|error| failed().with_source(error))?;
        parsing.join().unwrap_or_else(|_| Err(failed()))
    })
}

fn failed() -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Configure)
        .with_detail("there is no thread to read the configuration")
}

fn parse_shallow(text: &str) -> Result<Table> {
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

fn not_toml(text: &str, error: &::toml::de::Error) -> CryptoError {
    let line = error.span().and_then(|span| text.get(..span.start));
    let line = line.map_or(1, |before| before.matches('\n').count() + 1);
    // The library's message quotes the line; who writes a secret there by mistake must not see it logged.
    invalid(format!("line {line} is no TOML, or says again what was said before"))
}
