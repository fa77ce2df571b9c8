//! Key derivation: HKDF (RFC 5869) from keys, and PBKDF2 (RFC 8018), Argon2id (RFC 9106) and scrypt
//! (RFC 7914) from passwords.
//!
//! [`KdfParams`] is what is stored beside the salt. Left to others: drawing the salt, and hashes of
//! passwords for logins ([`password`](crate::password)).

use argon2::{Algorithm, Argon2, Block, ParamsBuilder, Version};
use hkdf::Hkdf;
use sha2::{Sha256, Sha512};
use zeroize::Zeroize as _;

use crate::{CryptoError, ErrorKind, Operation, Result};

#[cfg(feature = "hazmat")]
pub mod danger;
mod params;

pub use params::{Argon2Params, KdfParams, Pbkdf2Params, ScryptParams};

/// Shortest salt that a password is hashed with, in bytes (NIST SP 800-132, section 5.1).
pub const MIN_SALT_LEN: usize = 16;

/// The hash function under HKDF or PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// FIPS 180-4, 32 bytes.
    Sha256,
    /// FIPS 180-4, 64 bytes.
    Sha512,
}

/// Fills `okm` with HKDF of the key `ikm`; `info` says what the output is for.
///
/// `ikm` must be a key, with the entropy of one. For a password use [`KdfParams::derive`].
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for more than 255 hash lengths of output.
pub fn hkdf(
    hash: HashAlgorithm,
    ikm: &[u8],
    salt: Option<&[u8]>,
    info: &[u8],
    okm: &mut [u8],
) -> Result<()> {
    match hash {
        HashAlgorithm::Sha256 => Hkdf::<Sha256>::new(salt, ikm).expand(info, okm),
        HashAlgorithm::Sha512 => Hkdf::<Sha512>::new(salt, ikm).expand(info, okm),
    }
    .map_err(|_| invalid("HKDF gives at most 255 times the hash's length"))
}

impl KdfParams {
    /// Fills `out` with a key derived from `password`.
    ///
    /// The limits of [`check`](Self::check) are enforced before anything is allocated, because
    /// parameters are read from stored data.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a salt under [`MIN_SALT_LEN`] bytes or an output that the
    /// function cannot have; otherwise as [`check`](Self::check).
    pub fn derive(&self, password: &[u8], salt: &[u8], out: &mut [u8]) -> Result<()> {
        if salt.len() < MIN_SALT_LEN {
            return Err(invalid("a salt has at least 16 random bytes"));
        }
        self.derive_with_any_salt(password, salt, out)
    }

    pub(crate) fn derive_with_any_salt(
        &self,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        self.check()?;
        if out.is_empty() {
            return Err(invalid("a derived key has at least one byte"));
        }
        match self {
            Self::Pbkdf2(params) => {
                pbkdf2(params, password, salt, out);
                Ok(())
            }
            Self::Argon2id(params) => argon2id(params, password, salt, &[], &[], out),
            Self::Scrypt(params) => scrypt(params, password, salt, out),
        }
    }
}

/// Fills `out` with Argon2id, version 0x13, bound also to `secret` (a pepper kept apart from the
/// stored hashes) and `associated` data of at most 32 bytes; both may be empty.
///
/// # Errors
/// As [`KdfParams::derive`].
pub fn argon2id_keyed(
    params: &Argon2Params,
    password: &[u8],
    salt: &[u8],
    secret: &[u8],
    associated: &[u8],
    out: &mut [u8],
) -> Result<()> {
    params.check()?;
    if salt.len() < MIN_SALT_LEN {
        return Err(invalid("a salt has at least 16 random bytes"));
    }
    argon2id(params, password, salt, secret, associated, out)
}

/// `params` are checked already.
fn argon2id(
    params: &Argon2Params,
    password: &[u8],
    salt: &[u8],
    secret: &[u8],
    associated: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(params.memory_kib).t_cost(params.passes).p_cost(params.lanes);
    builder.data(argon2::AssociatedData::new(associated).map_err(from_argon2)?);
    let built = builder.build().map_err(from_argon2)?;
    let block_count = built.block_count();
    let argon2 = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, built)
        .map_err(from_argon2)?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(block_count).map_err(|error| {
        CryptoError::new(ErrorKind::LimitExceeded, Operation::Primitive)
            .with_detail("there is not enough memory for Argon2id")
            .with_source(error)
    })?;
    memory.resize(block_count, Block::default());
    let done = argon2.hash_password_into_with_memory(password, salt, out, &mut memory);
    memory.iter_mut().for_each(|block| block.zeroize());
    done.map_err(from_argon2)
}

fn pbkdf2(params: &Pbkdf2Params, password: &[u8], salt: &[u8], out: &mut [u8]) {
    match params.hash {
        HashAlgorithm::Sha256 => {
            pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, params.iterations, out);
        }
        HashAlgorithm::Sha512 => {
            pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, params.iterations, out);
        }
    }
}

fn scrypt(params: &ScryptParams, password: &[u8], salt: &[u8], out: &mut [u8]) -> Result<()> {
    let checked = scrypt::Params::new(params.log_n, params.r, params.p)
        .map_err(|_| invalid("scrypt does not take these parameters"))?;
    scrypt::scrypt(password, salt, &checked, out)
        .map_err(|_| invalid("scrypt does not give that much output"))
}

fn from_argon2(error: argon2::Error) -> CryptoError {
    invalid("Argon2id does not take these parameters").with_source(error)
}

fn invalid(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Primitive).with_detail(why)
}
