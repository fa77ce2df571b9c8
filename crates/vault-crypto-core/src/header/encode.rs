//! Header to bytes. The encoder checks what the parser would refuse, so nothing unreadable is written.

use super::{
    ALIGN_FROM, BODY_ALIGNMENT, Header, MAC_LEN, MAGIC, MAX_HEADER_LEN, PREFIX_LEN, Slot, parse,
};
use crate::{CryptoError, ErrorKind, Operation, Result};

impl Header {
    /// The covered part: what the MAC is computed over.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] where a field is longer than its length prefix can say.
    pub fn covered(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(128);
        out.push(self.suite.code());
        out.push(self.shape.code());
        out.push(self.body_flags());
        out.push(u8::from(self.exclusive));
        out.push(self.threshold);
        out.push(u8::try_from(self.slots.len()).map_err(|_| too_long())?);
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.data_key_id);
        out.extend_from_slice(&self.message_id);
        out.extend_from_slice(&self.share_set);
        push_field(&mut out, &self.encode_extensions()?)?;
        for slot in &self.slots {
            push_field(&mut out, &slot.descriptor()?)?;
        }
        Ok(out)
    }

    /// The whole header. `body_len` is the plaintext's length where it is known: a long body, or
    /// one of unknown length, starts on a multiple of [`BODY_ALIGNMENT`].
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] for a header over 64 KiB, [`ErrorKind::InvalidInput`] for one
    /// that no reader would take (no slot, a repeated key, a bad key id).
    pub fn encode(&self, mac: &[u8; MAC_LEN], body_len: Option<u64>) -> Result<Vec<u8>> {
        let covered = self.covered()?;
        let mut out = Vec::with_capacity(PREFIX_LEN + covered.len() + 256);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&u32::try_from(covered.len()).map_err(|_| too_long())?.to_be_bytes());
        out.extend_from_slice(&covered);
        out.extend_from_slice(mac);
        for slot in &self.slots {
            push_field(&mut out, slot.version.as_str().as_bytes())?;
            push_field(&mut out, &slot.wrapped)?;
        }
        if self.shape == super::Shape::Stream && body_len.is_none_or(|len| len >= ALIGN_FROM) {
            out.resize(out.len().next_multiple_of(BODY_ALIGNMENT), 0);
        }
        if out.len() > MAX_HEADER_LEN {
            return Err(too_long());
        }
        let len = u32::try_from(out.len()).map_err(|_| too_long())?.to_be_bytes();
        if let Some(field) = out.get_mut(4..8) {
            field.copy_from_slice(&len);
        }
        parse(&out).map_err(|error| {
            CryptoError::new(ErrorKind::InvalidInput, Operation::Seal)
                .with_detail("a header that no reader would take")
                .with_source(error)
        })?;
        Ok(out)
    }

    fn encode_extensions(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for extension in &self.extensions {
            out.extend_from_slice(&extension.kind.to_be_bytes());
            push_field(&mut out, &extension.bytes)?;
        }
        Ok(out)
    }
}

impl Slot {
    /// The slot's bytes in the covered part, without their length: all of it but `version` and
    /// `wrapped`.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] where a field is longer than its length prefix can say.
    pub fn descriptor(&self) -> Result<Vec<u8>> {
        let mut out = vec![self.kind.code(), self.binding.code(), self.share_index, 0];
        push_field(&mut out, &self.key_id)?;
        push_field(&mut out, &self.parameters)?;
        out.extend_from_slice(self.share_check.as_ref().map_or(&[], |check| check.as_slice()));
        Ok(out)
    }
}

fn push_field(out: &mut Vec<u8>, field: &[u8]) -> Result<()> {
    let len = u16::try_from(field.len()).map_err(|_| too_long())?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(field);
    Ok(())
}

fn too_long() -> CryptoError {
    CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)
        .with_detail("the header would be longer than 65536 bytes; use fewer key slots")
}
