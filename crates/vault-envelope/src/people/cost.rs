//! What a passphrase costs to try: Argon2id's parameters in a slot, and the most that a reader pays.

use std::fmt;

use vault_crypto_core::kdf::Argon2Params;
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

/// Length of the salt behind the parameters in a slot.
pub(super) const SALT_LEN: usize = 16;
/// Length of a passphrase slot's public parameters.
pub(super) const PARAMETERS_LEN: usize = 9 + SALT_LEN;

/// How dear one guess of a passphrase is: Argon2id (RFC 9106), version 0x13.
///
/// ```
/// use vault_envelope::PassphraseCost;
/// let dearer = PassphraseCost::new(256 * 1024, 3, 4)?;
/// assert_eq!(dearer.to_string(), "256 MiB, 3 passes, 4 lanes");
/// # Ok::<(), vault_crypto_core::CryptoError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost(Argon2Params);

impl PassphraseCost {
    /// The most that a reader pays unless told otherwise: 256 MiB, 8 passes, 16 lanes. That is a few
    /// seconds of one core, and four times the memory that writers ask for.
    pub const DEFAULT_LIMIT: Self = Self(Argon2Params::new(256 * 1024, 8, 16));
    /// The most that the format allows: 1 GiB, 16 passes, 16 lanes.
    pub const MAX: Self = Self(Argon2Params::new(1024 * 1024, 16, 16));

    /// `memory_kib` KiB of memory, written `passes` times in `lanes` lanes.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] above [`MAX`](Self::MAX), [`ErrorKind::InvalidInput`] for what
    /// Argon2id does not have (no pass, no lane, under 8 KiB for a lane).
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self> {
        let params = Argon2Params::new(memory_kib, passes, lanes);
        params.check().map_err(|error| error.in_operation(Operation::Configure))?;
        Ok(Self(params))
    }

    pub(super) fn params(self) -> Argon2Params {
        self.0
    }

    /// A slot's public parameters: `u32 m || u32 t || u8 p || salt[16]`.
    pub(super) fn encode(self, salt: &[u8; SALT_LEN]) -> Result<Vec<u8>> {
        let Argon2Params { memory_kib, passes, lanes, .. } = self.0;
        let lanes = u8::try_from(lanes).map_err(|_| {
            CryptoError::new(ErrorKind::Internal, Operation::Seal).with_detail("more than 16 lanes")
        })?;
        let mut out = Vec::with_capacity(PARAMETERS_LEN);
        out.extend_from_slice(&memory_kib.to_be_bytes());
        out.extend_from_slice(&passes.to_be_bytes());
        out.push(lanes);
        out.extend_from_slice(salt);
        Ok(out)
    }

    /// Cost and salt of a slot, refused where they pass `limit`. Nothing is allocated for them.
    ///
    /// # Errors
    /// [`ErrorKind::AuthenticationFailed`] for parameters that the format does not have (docs/FORMAT.md
    /// section 6.5), [`ErrorKind::LimitExceeded`] for those beyond `limit`, which is the reader's own.
    pub(super) fn decode(parameters: &[u8], limit: Self) -> Result<(Self, [u8; SALT_LEN])> {
        let fields = || {
            let (memory_kib, rest) = parameters.split_first_chunk()?;
            let (passes, rest) = rest.split_first_chunk()?;
            let ([lanes], salt) = rest.split_first_chunk()?;
            let salt = <[u8; SALT_LEN]>::try_from(salt).ok()?;
            let number = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
            Some((number(memory_kib), number(passes), u32::from(*lanes), salt))
        };
        let failed = || CryptoError::authentication_failed(Operation::Open);
        let (memory_kib, passes, lanes, salt) = fields().ok_or_else(failed)?;
        let cost = Self(Argon2Params::new(memory_kib, passes, lanes));
        // Above the format's own limits, or impossible: no pass, no lane, too little memory.
        cost.0.check().map_err(|_| failed())?;
        if cost.exceeds(limit) {
            return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::Open).with_detail(
                format!("its passphrase slot asks for {cost}; this reader's limit is {limit}"),
            ));
        }
        Ok((cost, salt))
    }

    fn exceeds(self, limit: Self) -> bool {
        let (cost, limit) = (self.0, limit.0);
        cost.memory_kib > limit.memory_kib || cost.passes > limit.passes || cost.lanes > limit.lanes
    }
}

/// 64 MiB, 3 passes, 4 lanes: the second recommendation of RFC 9106, section 4.
impl Default for PassphraseCost {
    fn default() -> Self {
        Self(Argon2Params::default())
    }
}

impl fmt::Display for PassphraseCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Argon2Params { memory_kib, passes, lanes, .. } = self.0;
        match memory_kib {
            kib if kib.is_multiple_of(1024 * 1024) && kib > 0 => write!(f, "{} GiB", kib >> 20),
            kib if kib.is_multiple_of(1024) && kib > 0 => write!(f, "{} MiB", kib >> 10),
            kib => write!(f, "{kib} KiB"),
        }?;
        write!(f, ", {passes} passes, {lanes} lanes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(memory_kib: u32, passes: u32, lanes: u8) -> Vec<u8> {
        let mut out = memory_kib.to_be_bytes().to_vec();
        out.extend_from_slice(&passes.to_be_bytes());
        out.push(lanes);
        out.extend_from_slice(&[7; SALT_LEN]);
        out
    }

    fn refused(parameters: &[u8], limit: PassphraseCost) -> ErrorKind {
        PassphraseCost::decode(parameters, limit).unwrap_err().kind()
    }

    #[test]
    fn parameters_come_back_as_they_were_written() {
        let cost = PassphraseCost::new(8 * 16, 16, 16).unwrap();
        let bytes = cost.encode(&[9; SALT_LEN]).unwrap();
        assert_eq!(bytes.len(), PARAMETERS_LEN);
        let read = PassphraseCost::decode(&bytes, PassphraseCost::MAX).unwrap();
        assert_eq!(read, (cost, [9; SALT_LEN]));
    }

    #[test]
    fn what_passes_the_limit_is_refused_by_any_of_the_three() {
        let limit = PassphraseCost::DEFAULT_LIMIT;
        assert!(PassphraseCost::decode(&parameters(256 << 10, 8, 16), limit).is_ok());
        for (m, t) in [((256 << 10) + 1, 8), (256 << 10, 9), (1 << 20, 16)] {
            assert_eq!(refused(&parameters(m, t, 16), limit), ErrorKind::LimitExceeded);
        }
        let limit = PassphraseCost::new(64, 1, 2).unwrap();
        assert_eq!(refused(&parameters(64, 1, 3), limit), ErrorKind::LimitExceeded);
    }

    #[test]
    fn what_the_format_does_not_have_is_not_authentic() {
        let right = parameters(64, 1, 1);
        assert!(PassphraseCost::decode(&right, PassphraseCost::MAX).is_ok());
        let wrong = [
            parameters(0, 1, 1),
            parameters(64, 0, 1),
            parameters(64, 1, 0),
            parameters(127, 1, 16),
            parameters((1 << 20) + 1, 1, 1),
            parameters(1 << 20, 17, 1),
            parameters(1 << 20, 1, 17),
            parameters(u32::MAX, u32::MAX, 255),
            right[1..].to_vec(),
            [&*right, &[0]].concat(),
            Vec::new(),
        ];
        for bytes in wrong {
            for limit in [PassphraseCost::MAX, PassphraseCost::DEFAULT_LIMIT] {
                assert_eq!(refused(&bytes, limit), ErrorKind::AuthenticationFailed, "{bytes:?}");
            }
        }
    }
}
