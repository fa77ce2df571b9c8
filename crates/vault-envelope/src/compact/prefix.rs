//! The 24 bytes before the body of a compact record (docs/FORMAT.md section 8.2).

use vault_crypto_core::header::{COMPACT_MAGIC, DATA_KEY_ID_LEN, Suite};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

/// Bytes before the body of a compact record.
pub(crate) const PREFIX_LEN: usize = 24;

/// What the prefix says. Nothing in it is verified until the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompactPrefix {
    pub(crate) suite: Suite,
    pub(crate) padded: bool,
    /// 0: the data key is stored under its id. Else the version of the branch key that gives it.
    pub(crate) branch: u32,
    pub(crate) id: [u8; DATA_KEY_ID_LEN],
}

impl CompactPrefix {
    /// Takes it off the front of a compact record; what is left is the body.
    pub(crate) fn split(sealed: &[u8]) -> Result<(Self, &[u8])> {
        let [family, version] = COMPACT_MAGIC;
        if sealed.first() == Some(&family) && sealed.get(1).is_some_and(|other| *other != version) {
            return Err(refused(
                ErrorKind::Unsupported,
                "a compact record of another format version",
            ));
        }
        let (prefix, body) = sealed
            .split_first_chunk::<PREFIX_LEN>()
            .ok_or_else(|| malformed("shorter than the prefix of a compact record"))?;
        let [magic, _, suite, flags, b0, b1, b2, b3, id @ ..] = *prefix;
        if magic != family {
            return Err(malformed("not a compact record of this format"));
        }
        let suite = Suite::from_code(suite)
            .ok_or_else(|| refused(ErrorKind::Unsupported, "an unknown suite"))?;
        if flags > 1 {
            return Err(malformed("a reserved bit is set"));
        }
        let branch = u32::from_be_bytes([b0, b1, b2, b3]);
        Ok((Self { suite, padded: flags == 1, branch, id }, body))
    }

    /// `F7 01 || suite || body flags || u32 branch version || id`.
    pub(crate) fn encode(&self) -> [u8; PREFIX_LEN] {
        let mut prefix = [0; PREFIX_LEN];
        let head = [COMPACT_MAGIC[0], COMPACT_MAGIC[1], self.suite.code(), u8::from(self.padded)];
        let branch = self.branch.to_be_bytes();
        let fields = head.iter().chain(&branch).chain(&self.id);
        prefix.iter_mut().zip(fields).for_each(|(to, from)| *to = *from);
        prefix
    }
}

#[cold]
fn refused(kind: ErrorKind, why: &'static str) -> CryptoError {
    CryptoError::new(kind, Operation::Open).with_detail(why)
}

#[cold]
fn malformed(why: &'static str) -> CryptoError {
    refused(ErrorKind::Malformed, why)
}
