//! Parameters of the password functions: defaults, limits, and the text that is stored.

use std::fmt;
use std::str::FromStr;

use super::{HashAlgorithm, invalid};
use crate::{CryptoError, ErrorKind, Operation, Result};

/// Most memory a password function may take, in KiB: 1 GiB.
const MAX_MEMORY_KIB: u64 = 1 << 20;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
const MAX_ITERATIONS: u32 = 10_000_000;
/// Most memory in KiB that scrypt takes besides: 128 * r * p bytes, which RFC 7914 calls B.
const MAX_SCRYPT_BLOCK_KIB: u64 = 64 << 10;

/// Which function turns a password into a key, and how dear it is. Public: it is stored beside the
/// salt, as the text of its `Display`.
///
/// ```
/// use vault_crypto_core::kdf::KdfParams;
/// let params = KdfParams::default();
/// assert_eq!(params.to_string(), "$argon2id$v=19$m=65536,t=3,p=4");
/// assert_eq!("$argon2id$v=19$m=65536,t=3,p=4".parse::<KdfParams>()?, params);
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KdfParams {
    /// RFC 8018, section 5.2.
    Pbkdf2(Pbkdf2Params),
    /// RFC 9106, version 0x13.
    Argon2id(Argon2Params),
    /// RFC 7914.
    Scrypt(ScryptParams),
}

/// Parameters of PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pbkdf2Params {
    /// The hash under its HMAC.
    pub hash: HashAlgorithm,
    /// How often it is applied.
    pub iterations: u32,
}

/// Parameters of Argon2id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Argon2Params {
    /// Memory in KiB (m).
    pub memory_kib: u32,
    /// Passes over the memory (t).
    pub passes: u32,
    /// Lanes (p).
    pub lanes: u32,
}

/// Parameters of scrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScryptParams {
    /// The binary logarithm of N.
    pub log_n: u8,
    /// The block size r.
    pub r: u32,
    /// The parallelisation p.
    pub p: u32,
}

/// Argon2id with its defaults.
impl Default for KdfParams {
    fn default() -> Self {
        Self::Argon2id(Argon2Params::default())
    }
}

impl KdfParams {
    /// Refuses parameters that would cost more than 1 GiB, 16 passes, 16 lanes or 10,000,000
    /// iterations, and those that the function does not have.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] for too dear, [`ErrorKind::InvalidInput`] for impossible.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Pbkdf2(params) => params.check(),
            Self::Argon2id(params) => params.check(),
            Self::Scrypt(params) => params.check(),
        }
    }
}

impl Pbkdf2Params {
    /// `iterations` of PBKDF2 over `hash`.
    #[must_use]
    pub const fn new(hash: HashAlgorithm, iterations: u32) -> Self {
        Self { hash, iterations }
    }

    /// What OWASP's password storage guide asks of `hash`: 600,000 iterations of SHA-256, 210,000
    /// of SHA-512.
    #[must_use]
    pub const fn recommended(hash: HashAlgorithm) -> Self {
        match hash {
            HashAlgorithm::Sha256 => Self::new(hash, 600_000),
            HashAlgorithm::Sha512 => Self::new(hash, 210_000),
        }
    }

    fn check(&self) -> Result<()> {
        match self.iterations {
            0 => Err(invalid("PBKDF2 needs at least one iteration")),
            1..=MAX_ITERATIONS => Ok(()),
            _ => Err(too_dear("PBKDF2 is refused above 10,000,000 iterations")),
        }
    }
}

/// SHA-256 with its recommended iterations.
impl Default for Pbkdf2Params {
    fn default() -> Self {
        Self::recommended(HashAlgorithm::Sha256)
    }
}

impl Argon2Params {
    /// Argon2id over `memory_kib` KiB, `passes` times, in `lanes` lanes.
    #[must_use]
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Self {
        Self { memory_kib, passes, lanes }
    }

    /// As [`KdfParams::check`].
    ///
    /// # Errors
    /// As [`KdfParams::check`].
    pub fn check(&self) -> Result<()> {
        let Self { memory_kib, passes, lanes } = *self;
        if u64::from(memory_kib) > MAX_MEMORY_KIB || passes > MAX_PASSES || lanes > MAX_LANES {
            return Err(too_dear("Argon2id is refused above 1 GiB, 16 passes or 16 lanes"));
        }
        // RFC 9106, section 3.1: memory from 8 * p KiB, at least one pass and one lane.
        if passes == 0 || lanes == 0 || memory_kib < 8 * lanes {
            return Err(invalid("Argon2id needs a pass, a lane and 8 KiB for each lane"));
        }
        Ok(())
    }
}

/// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4.
impl Default for Argon2Params {
    fn default() -> Self {
        Self::new(64 * 1024, 3, 4)
    }
}

impl ScryptParams {
    /// scrypt with N = 2^`log_n`, block size `r`, parallelisation `p`.
    #[must_use]
    pub const fn new(log_n: u8, r: u32, p: u32) -> Self {
        Self { log_n, r, p }
    }

    fn check(&self) -> Result<()> {
        let Self { log_n, r, p } = *self;
        if log_n == 0 || r == 0 || p == 0 {
            return Err(invalid("scrypt needs N above 1, and r and p of at least 1"));
        }
        // Memory: 128 * r * N bytes.
        let memory_kib = 1u64
            .checked_shl(log_n.into())
            .and_then(|n| n.checked_mul(u64::from(r)))
            .map(|nr| nr / 8);
        let block_kib = (u64::from(r) * u64::from(p)).div_ceil(8);
        if p > MAX_LANES
            || block_kib > MAX_SCRYPT_BLOCK_KIB
            || memory_kib.is_none_or(|kib| kib > MAX_MEMORY_KIB)
        {
            return Err(too_dear("scrypt is refused above 1 GiB, p = 16 or r * p = 524288"));
        }
        Ok(())
    }
}

/// N = 2^17, r = 8, p = 1: 128 MiB, as OWASP's password storage guide asks.
impl Default for ScryptParams {
    fn default() -> Self {
        Self::new(17, 8, 1)
    }
}

/// The PHC string without salt and hash.
impl fmt::Display for KdfParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pbkdf2(Pbkdf2Params { hash, iterations }) => {
                let hash = match hash {
                    HashAlgorithm::Sha256 => "sha256",
                    HashAlgorithm::Sha512 => "sha512",
                };
                write!(f, "$pbkdf2-{hash}$i={iterations}")
            }
            Self::Argon2id(Argon2Params { memory_kib, passes, lanes }) => {
                write!(f, "$argon2id$v=19$m={memory_kib},t={passes},p={lanes}")
            }
            Self::Scrypt(ScryptParams { log_n, r, p }) => {
                write!(f, "$scrypt$ln={log_n},r={r},p={p}")
            }
        }
    }
}

/// Reads exactly what `Display` writes, and checks the limits.
impl FromStr for KdfParams {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self> {
        let params = parse(text).ok_or_else(|| {
            invalid("not parameters of a key derivation, such as $argon2id$v=19$m=65536,t=3,p=4")
        })?;
        params.check()?;
        Ok(params)
    }
}

fn parse(text: &str) -> Option<KdfParams> {
    let params = if let Some(values) = text.strip_prefix("$argon2id$v=19$") {
        let [m, t, p] = numbers(values, ["m=", "t=", "p="])?;
        KdfParams::Argon2id(Argon2Params::new(m, t, p))
    } else if let Some(values) = text.strip_prefix("$scrypt$") {
        let [log_n, r, p] = numbers(values, ["ln=", "r=", "p="])?;
        KdfParams::Scrypt(ScryptParams::new(u8::try_from(log_n).ok()?, r, p))
    } else if let Some(values) = text.strip_prefix("$pbkdf2-sha256$") {
        let [iterations] = numbers(values, ["i="])?;
        KdfParams::Pbkdf2(Pbkdf2Params::new(HashAlgorithm::Sha256, iterations))
    } else {
        let [iterations] = numbers(text.strip_prefix("$pbkdf2-sha512$")?, ["i="])?;
        KdfParams::Pbkdf2(Pbkdf2Params::new(HashAlgorithm::Sha512, iterations))
    };
    // One text for one value: no leading zeros, no signs.
    (params.to_string() == text).then_some(params)
}

fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut values = [0; N];
    let mut fields = text.split(',');
    for (value, name) in values.iter_mut().zip(names) {
        *value = fields.next()?.strip_prefix(name)?.parse().ok()?;
    }
    fields.next().is_none().then_some(values)
}

fn too_dear(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Primitive).with_detail(why)
}
