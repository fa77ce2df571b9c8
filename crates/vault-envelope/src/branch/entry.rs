//! A branch key's entry: a header without a body that names branch and version under its MAC
//! (docs/FORMAT.md section 8.4).

use vault_crypto_core::header::{Extension, ParsedHeader, Shape, parse};
use vault_crypto_core::{CryptoError, DATA_KEY_LEN, ErrorKind, Operation, Result};
use zeroize::Zeroizing;

use super::place::Name;
use crate::fresh::Fresh;
use crate::{EnvelopeEncryption, OpenedBy};

/// A branch key that a KMS has just made or unwrapped.
pub(super) struct Opened {
    pub(super) key: Box<Zeroizing<[u8; DATA_KEY_LEN]>>,
    pub(super) opened_by: OpenedBy,
}

impl EnvelopeEncryption {
    /// A new branch key in this scope, and the entry that holds it. It was opened again before it is
    /// handed out: what a whole scope will depend on must not rest on a KMS's word alone.
    pub(super) async fn new_branch_entry(
        &self,
        name: &Name,
        version: u32,
    ) -> Result<(Opened, Vec<u8>)> {
        let suite = self.shared.record_suite;
        let Fresh { secret, mut header, .. } =
            self.fresh_branch(suite, named(name, version)).await?;
        let entry = secret.seal_header(&mut header, &self.scope, None)?;
        drop(secret);
        let opened = self.open_branch_entry(&parse_entry(&entry, name, version)?).await?;
        Ok((opened, entry))
    }

    /// Unwraps and verifies the entry of one version of this scope's branch.
    pub(super) async fn open_branch_entry(&self, parsed: &ParsedHeader<'_>) -> Result<Opened> {
        if parsed.header.threshold > 1 {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Open)
                .with_detail("the branch key needs several parties to open"));
        }
        let unlocked = self.unlock(parsed).await?;
        let (secret, mut opened_by) = (unlocked.secret, unlocked.opened_by);
        let slots = &parsed.header.slots;
        opened_by.branch_keys = slots.iter().map(|slot| slot.key_id_text().into()).collect();
        Ok(Opened { key: secret.into_branch_key(), opened_by })
    }
}

/// Reads an entry and checks that it is the one of this branch and version: the storage may hold a
/// copy of another one's. Nothing is verified yet.
pub(super) fn parse_entry<'a>(
    entry: &'a [u8],
    name: &Name,
    version: u32,
) -> Result<ParsedHeader<'a>> {
    let parsed = parse(entry).map_err(|error| match error.kind() {
        // The record that is to be opened is not what is malformed.
        ErrorKind::Malformed => damaged("a branch key's entry is malformed").with_source(error),
        _ => error,
    })?;
    let header = &parsed.header;
    let branch = header.extension(Extension::BRANCH).map(|branch| branch.bytes.as_slice());
    let own = named(name, version);
    if parsed.len() != entry.len()
        || header.shape != Shape::KeyEntry
        || branch != Some(own.as_slice())
    {
        return Err(damaged("what lies in a branch key's place is not its entry"));
    }
    Ok(parsed)
}

/// Extension 3.
fn named(name: &Name, version: u32) -> [u8; 20] {
    let mut bytes = [0; 20];
    let fields = name.iter().copied().chain(version.to_be_bytes());
    bytes.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    bytes
}

pub(super) fn damaged(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::StoreDamaged, Operation::KeyStore).with_detail(why)
}
