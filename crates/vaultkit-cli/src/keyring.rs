//! Files with keys of people: private ones (identities), which only their owner may read, and public
//! ones. One key a line, or a block of PEM; blank lines and those that begin with `#` are skipped.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use vaultkit::core::{CryptoError, ErrorKind, SecureString};
use vaultkit::envelope::{PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::source::is_dash;
use crate::{platform, text};

/// Longest file with keys in bytes.
const MAX_LEN: usize = 64 << 10;
/// What private keys begin with.
const PRIVATE: [&str; 2] = ["VK-SECRET-KEY-1", "-----BEGIN PRIVATE KEY-----"];

/// The private keys of a file; at least one.
pub(crate) fn identities(path: &Path) -> Result<Vec<Arc<PrivateKey>>, Failure> {
    let content = read(path, Secrecy::Private)?;
    let keys = entries(&content).into_iter().map(|entry| {
        // Sized once, so that nothing is left behind where the text was before it grew.
        let key = PrivateKey::from_text(&SecureString::new(entry.to_owned()));
        key.map(Arc::new).map_err(|error| not_a_key(path, &error))
    });
    let keys = keys.collect::<Result<Vec<_>, Failure>>()?;
    if keys.is_empty() { Err(without_keys(path)) } else { Ok(keys) }
}

/// The public keys of a file; at least one.
pub(crate) fn public_keys(path: &Path) -> Result<Vec<PublicKey>, Failure> {
    let content = read(path, Secrecy::Public)?;
    let keys = entries(&content).into_iter().map(|entry| {
        if is_private(entry) {
            let message = format!(
                "it holds a private key; seal for the public one, which `vaultkit keys public {}` prints",
                text::path(path)
            );
            return Err(Failure::new(Exit::Key, ErrorKind::InvalidInput, message).at(path));
        }
        entry.parse().map_err(|error| not_a_key(path, &error))
    });
    let keys = keys.collect::<Result<Vec<_>, Failure>>()?;
    if keys.is_empty() { Err(without_keys(path)) } else { Ok(keys) }
}

/// Whether text is a private key, whole or not.
pub(crate) fn is_private(text: &str) -> bool {
    PRIVATE.iter().any(|start| text.starts_with(start))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    Private,
}

fn read(path: &Path, secrecy: Secrecy) -> Result<Zeroizing<String>, Failure> {
    let fault = |error| Failure::io(path, "read it", &error);
    let file = if is_dash(path) { platform::stdin() } else { File::open(path) }.map_err(fault)?;
    let meta = file.metadata().map_err(fault)?;
    if secrecy == Secrecy::Private && meta.is_file() && platform::is_open_to_others(&meta) {
        let name = text::path(path);
        let message = format!(
            "others may read the private keys in it; make it yours alone: chmod 600 {name}"
        );
        return Err(Failure::new(Exit::Key, ErrorKind::PermissionDenied, message).at(path));
    }
    // Sized once, so that no reallocation leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 2));
    file.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(fault)?;
    if bytes.len() > MAX_LEN {
        return Err(Failure::new(
            Exit::Key,
            ErrorKind::LimitExceeded,
            "it is too long for a file with keys",
        )
        .at(path));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| without_keys(path))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The lines and blocks that are keys.
fn entries(content: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.trim();
        if line.starts_with("-----BEGIN ") {
            let block = rest.trim_start();
            // Up to the end of the line that ends the block; without one, all that is left.
            let end = block.find("-----END ").map_or(block.len(), |at| {
                block.get(at..).and_then(|tail| tail.find('\n')).map_or(block.len(), |len| at + len)
            });
            let (entry, behind) = block.split_at_checked(end).unwrap_or((block, ""));
            entries.push(entry.trim());
            rest = behind;
        } else {
            if !line.is_empty() && !line.starts_with('#') {
                entries.push(line);
            }
            rest = after;
        }
    }
    entries
}

fn not_a_key(path: &Path, error: &CryptoError) -> Failure {
    let message = error.detail().unwrap_or("not a key").to_owned();
    Failure::new(Exit::Key, error.kind(), message).at(path)
}

fn without_keys(path: &Path) -> Failure {
    let message = "there is no key in it; `vaultkit keys generate` makes one";
    Failure::new(Exit::Key, ErrorKind::InvalidInput, message).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_blocks_are_entries_and_comments_are_not() {
        let block = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
        let content = format!("# one\n\n  vkpub1x  \r\n{block}\n#two\n{block}");
        assert_eq!(entries(&content), ["vkpub1x", block, block]);
        assert_eq!(entries("-----BEGIN X-----\nAAA"), ["-----BEGIN X-----\nAAA"]);
        assert!(entries("\n# only words\n").is_empty());
    }
}
