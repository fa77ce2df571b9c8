//! Hashes of passwords for logins: Argon2id, stored as PHC strings.
//!
//! A hash carries its own parameters, so they can be raised later: verify, then
//! [`needs_rehash`], then hash anew. Left to others: keys from passwords ([`kdf`](crate::kdf)).

use base64ct::{Base64Unpadded, Encoding as _};

use crate::kdf::{Argon2Params, KdfParams};
use crate::{CryptoError, ErrorKind, Operation, RandomSource, Result, constant_time_eq};

pub mod danger;

const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
/// Longest salt or hash that is read from a PHC string, in bytes.
const MAX_FIELD_LEN: usize = 64;

/// Hashes `password` with Argon2id and a new salt; the PHC string is what to store.
///
/// ```
/// use vault_crypto_core::SystemRandom;
/// use vault_crypto_core::kdf::Argon2Params;
/// use vault_crypto_core::password::{hash_password, needs_rehash, verify_password};
/// let weak = Argon2Params::new(1024, 1, 1); // use `Argon2Params::default()`
/// let stored = hash_password("correct horse", &weak, &SystemRandom::new())?;
/// assert!(stored.starts_with("$argon2id$v=19$m=1024,t=1,p=1$"));
/// assert!(verify_password("correct horse", &stored)?);
/// assert!(needs_rehash(&stored, &Argon2Params::default()));
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
///
/// # Errors
/// As [`KdfParams::check`], and where `random` fails.
pub fn hash_password(
    password: &str,
    params: &Argon2Params,
    random: &dyn RandomSource,
) -> Result<String> {
    let mut salt = [0; SALT_LEN];
    random.fill(&mut salt)?;
    let params = KdfParams::Argon2id(*params);
    let mut hash = [0; HASH_LEN];
    params.derive(password.as_bytes(), &salt, &mut hash)?;
    let (mut salt_text, mut hash_text) = ([0; MAX_FIELD_LEN], [0; MAX_FIELD_LEN]);
    let salt = encode(&salt, &mut salt_text)?;
    let hash = encode(&hash, &mut hash_text)?;
    Ok(format!("{params}${salt}${hash}"))
}

/// Whether `password` is the one of a stored Argon2id PHC string. The limits of
/// [`KdfParams::check`] hold for what is stored.
///
/// # Errors
/// [`ErrorKind::Malformed`] where `stored` is no such string, [`ErrorKind::LimitExceeded`] for one
/// that would be too dear to verify.
pub fn verify_password(password: &str, stored: &str) -> Result<bool> {
    let Stored { params, salt, hash } = parse(stored)?;
    let mut computed = vec![0; hash.len()];
    params.derive_with_any_salt(password.as_bytes(), salt.bytes(), &mut computed)?;
    Ok(constant_time_eq(&computed, hash.bytes()))
}

/// Whether a stored hash should be replaced after the next successful verification: it is weaker
/// than `wanted` in any respect, has a short salt, or is no Argon2id PHC string at all.
#[must_use]
pub fn needs_rehash(stored: &str, wanted: &Argon2Params) -> bool {
    let Ok(Stored { params: KdfParams::Argon2id(params), salt, hash }) = parse(stored) else {
        return true;
    };
    params.memory_kib < wanted.memory_kib
        || params.passes < wanted.passes
        || params.lanes != wanted.lanes
        || salt.len() < SALT_LEN
        || hash.len() < HASH_LEN
}

struct Stored {
    params: KdfParams,
    salt: Field,
    hash: Field,
}

/// Decoded bytes of a PHC string.
struct Field {
    buffer: [u8; MAX_FIELD_LEN],
    len: usize,
}

impl Field {
    fn decode(text: &str) -> Option<Self> {
        let mut buffer = [0; MAX_FIELD_LEN];
        let len = Base64Unpadded::decode(text, &mut buffer).ok()?.len();
        Some(Self { buffer, len })
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.len
    }
}

/// `$argon2id$v=19$m=M,t=T,p=P$SALT$HASH`, strictly: these fields, in this order.
fn parse(stored: &str) -> Result<Stored> {
    let fields = || {
        let (rest, hash) = stored.rsplit_once('$')?;
        let (params, salt) = rest.rsplit_once('$')?;
        let is_argon2id = params.starts_with("$argon2id$");
        is_argon2id.then_some((params, Field::decode(salt)?, Field::decode(hash)?))
    };
    let (params, salt, hash) = fields().ok_or_else(malformed)?;
    // RFC 9106, section 3.1 allows shorter ones, which nobody should trust.
    if salt.len() < 8 || hash.len() < 16 {
        return Err(malformed());
    }
    let params = params.parse().map_err(|error: CryptoError| match error.kind() {
        ErrorKind::LimitExceeded => error,
        _ => malformed().with_source(error),
    })?;
    Ok(Stored { params, salt, hash })
}

fn encode<'a>(bytes: &[u8], text: &'a mut [u8]) -> Result<&'a str> {
    Base64Unpadded::encode(bytes, text).map_err(|error| {
        CryptoError::new(ErrorKind::Internal, Operation::Primitive).with_source(error)
    })
}

fn malformed() -> CryptoError {
    CryptoError::new(ErrorKind::Malformed, Operation::Primitive)
        .with_detail("not an Argon2id password hash in PHC form ($argon2id$v=19$...)")
}
