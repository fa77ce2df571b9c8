//! The outer form of key files and backups: docs/LOCAL-STORE.md section 2. A clear header, the sealed
//! body, a checksum that tells an accident from a wrong secret. The body is `record`'s.

use sha2::{Digest as _, Sha256};
use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::locked::LockedPool;
use vault_crypto_core::{CryptoError, RandomSource, Result, SecureBytes};

use crate::codec::{Reader, Writer};
use crate::cost::{self, SALT_LEN};
use crate::id::StoreId;
use crate::memory::Material;
use crate::record::{self, Keys};
use crate::{error, sealed};

/// Longest key file or backup in bytes.
pub(crate) const MAX_LEN: u64 = 16 << 20;
const VERSION: u8 = 1;
const HEADER_LEN: usize = 56;
const CHECKSUM_LEN: usize = 32;
const NO_COST: Argon2Params = Argon2Params::new(0, 0, 0);
const NO_SALT: [u8; SALT_LEN] = [0; SALT_LEN];
const AAD_LABEL: &[u8] = b"vaultkit.v1/local-file\0";

/// Which of the two files it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    KeyFile,
    Backup,
}

impl Form {
    const fn magic(self) -> &'static [u8; 4] {
        match self {
            Self::KeyFile => b"\xf8vks",
            Self::Backup => b"\xf8vkb",
        }
    }
}

/// What the root secret behind the file is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// 32 random bytes kept elsewhere.
    Secret,
    /// A passphrase.
    Passphrase { cost: Argon2Params, salt: [u8; SALT_LEN] },
}

/// The clear part. Authenticated only once the body has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) form: Form,
    pub(crate) protection: Protection,
    pub(crate) store_id: StoreId,
    pub(crate) generation: u64,
}

/// Why bytes are not a file of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another kind of file, or nothing.
    NotOurs,
    /// A later version of the form.
    Newer(u8),
    /// Ours, and damaged.
    Damaged(&'static str),
}

/// A file taken apart and checked for accidents, not yet authenticated.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) header: Header,
    clear: &'a [u8],
    sealed: &'a [u8],
}

/// Takes a file apart; nothing is allocated.
pub(crate) fn parse(form: Form, bytes: &[u8]) -> Result<Parsed<'_>, Fault> {
    let rest = bytes.strip_prefix(form.magic()).ok_or(Fault::NotOurs)?;
    match rest.first() {
        Some(&VERSION) => {}
        Some(&version) if version > VERSION => return Err(Fault::Newer(version)),
        _ => return Err(Fault::Damaged("its version is impossible")),
    }
    let cut_off = Fault::Damaged("it is cut off");
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(cut_off)?;
    if Sha256::digest(content).as_slice() != checksum {
        return Err(Fault::Damaged("its checksum does not match: it was altered or cut off"));
    }
    let (clear, sealed) = content.split_at_checked(HEADER_LEN).ok_or(cut_off)?;
    let (header, body_len) =
        parse_header(form, clear).ok_or(Fault::Damaged("its header breaks the rules"))?;
    if sealed.len() != sealed::OVERHEAD.saturating_add(body_len) {
        return Err(Fault::Damaged("its length is not the one its header says"));
    }
    Ok(Parsed { header, clear, sealed })
}

/// Whether a key file's header says that a passphrase protects it, however damaged the rest is.
pub(crate) fn names_passphrase(bytes: &[u8]) -> bool {
    let header = bytes.get(..HEADER_LEN).and_then(|clear| parse_header(Form::KeyFile, clear));
    matches!(header, Some((Header { protection: Protection::Passphrase { .. }, .. }, _)))
}

fn parse_header(form: Form, clear: &[u8]) -> Option<(Header, usize)> {
    let mut reader = Reader::new(clear);
    reader.bytes(5)?;
    let kind = reader.u8()?;
    let reserved = reader.u16()?;
    let store_id = StoreId(*reader.array()?);
    let generation = reader.u64()?;
    let cost = Argon2Params::new(reader.u32()?, reader.u32()?, reader.u32()?);
    let salt = *reader.array()?;
    let body_len = usize::try_from(reader.u32()?).ok()?;
    let protection = match (kind, salt) {
        (1, NO_SALT) if cost == NO_COST => Protection::Secret,
        (2, salt) if cost::check(&cost).is_ok() => Protection::Passphrase { cost, salt },
        _ => return None,
    };
    let clean = reserved == 0 && reader.is_empty();
    clean.then_some((Header { form, protection, store_id, generation }, body_len))
}

impl Parsed<'_> {
    /// Opens the body under the file's key; see [`OpenFault`].
    pub(crate) fn open(&self, key: &SecureBytes, pool: &LockedPool) -> Result<Keys, OpenFault> {
        let body = sealed::open(key.as_slice(), &aad(self.clear), self.sealed)
            .map_err(|_| OpenFault::WrongSecret)?;
        let mut no_room = None;
        let keys = record::decode(body.as_slice(), |material| {
            Material::keep(pool, material).map_err(|error| no_room = Some(error)).ok()
        });
        keys.ok_or_else(|| no_room.map_or(OpenFault::BadBody, OpenFault::NoRoom))
    }
}

/// Why the body of a whole file did not open.
#[derive(Debug)]
pub(crate) enum OpenFault {
    /// Not the secret it was sealed under, or altered by somebody who could fix the checksum.
    WrongSecret,
    /// Authentic, yet against the rules: written by a defective program.
    BadBody,
    /// The pool of locked memory did not take all keys.
    NoRoom(CryptoError),
}

/// The store that a file claims to belong to, even where the rest is damaged; not authenticated.
pub(crate) fn claimed_store(form: Form, bytes: &[u8]) -> Option<StoreId> {
    let mut reader = Reader::new(bytes.strip_prefix(form.magic())?);
    reader.bytes(4)?;
    reader.array().copied().map(StoreId)
}

/// The bytes of a file.
pub(crate) fn encode(
    header: &Header,
    key: &SecureBytes,
    keys: &Keys,
    random: &dyn RandomSource,
) -> Result<Vec<u8>> {
    let too_large =
        || error::limit("a key store has at most 16 MiB; delete keys or use a second store");
    let body = record::encode(keys).ok_or_else(too_large)?;
    let body_len = u32::try_from(body.len()).map_err(|_| too_large())?;
    let clear = encode_header(header, body_len).ok_or_else(too_large)?;
    let mut out = clear.clone();
    out.extend_from_slice(&sealed::seal(key.as_slice(), &aad(&clear), &body, random)?);
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    if out.len() as u64 > MAX_LEN {
        return Err(too_large());
    }
    Ok(out)
}

fn encode_header(header: &Header, body_len: u32) -> Option<Vec<u8>> {
    let (kind, cost, salt) = match header.protection {
        Protection::Secret => (1, NO_COST, NO_SALT),
        Protection::Passphrase { cost, salt } => (2, cost, salt),
    };
    let mut out = Writer::with_capacity(HEADER_LEN);
    out.bytes(header.form.magic());
    out.u8(VERSION);
    out.u8(kind);
    out.u16(0);
    out.bytes(&header.store_id.0);
    out.u64(header.generation);
    out.u32(cost.memory_kib);
    out.u32(cost.passes);
    out.u32(cost.lanes);
    out.bytes(&salt);
    out.u32(body_len);
    out.finish().map(|clear| clear.to_vec())
}

fn aad(clear: &[u8]) -> Vec<u8> {
    [AAD_LABEL, clear].concat()
}
