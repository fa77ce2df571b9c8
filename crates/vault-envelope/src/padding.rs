//! Hiding a plaintext's length: plaintext, zeros, then the length as u64 (docs/FORMAT.md section 7).
//!
//! Off unless asked. The amount is PADMÉ's (Nikitin et al., PETS 2019): at most 12 % more, and the
//! length leaks only O(log log n) bits. Readers accept any amount.

use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result};

/// Length of the trailer that holds the plaintext's length.
pub(crate) const TRAILER_LEN: usize = 8;

/// Whether and how a plaintext's length is hidden.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// The stored length tells the plaintext's length.
    #[default]
    None,
    /// Lengths are rounded up so that few bits of them remain.
    Padme,
}

impl Padding {
    pub(crate) const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// Length of the content that is sealed for a plaintext of `len` bytes.
    pub(crate) fn padded_len(self, len: usize) -> Result<usize> {
        match self {
            Self::None => Ok(len),
            Self::Padme => len
                .checked_add(TRAILER_LEN)
                .and_then(|total| usize::try_from(padme(total as u64)).ok())
                .ok_or_else(|| CryptoError::new(ErrorKind::LimitExceeded, Operation::Seal)),
        }
    }

    /// Appends zeros and trailer behind a plaintext of `len` bytes.
    pub(crate) fn append(self, len: usize, out: &mut Vec<u8>) -> Result<()> {
        if !self.is_none() {
            let zeros = self.padded_len(len)? - len - TRAILER_LEN;
            out.resize(out.len() + zeros, 0);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
        Ok(())
    }

    /// The content to seal, as a new buffer.
    pub(crate) fn padded(self, plaintext: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.padded_len(plaintext.len())?);
        out.extend_from_slice(plaintext);
        self.append(plaintext.len(), &mut out)?;
        Ok(out)
    }

    /// The plaintext within authenticated content; what is wrong here, a holder of the key wrote.
    pub(crate) fn strip(content: &mut [u8]) -> Result<&mut [u8]> {
        let wrong = || CryptoError::authentication_failed(Operation::Open);
        let (rest, trailer) = content.split_last_chunk_mut::<TRAILER_LEN>().ok_or_else(wrong)?;
        let len = usize::try_from(u64::from_be_bytes(*trailer)).map_err(|_| wrong())?;
        let (plaintext, zeros) = rest.split_at_mut_checked(len).ok_or_else(wrong)?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(wrong());
        }
        Ok(plaintext)
    }
}

/// PADMÉ: keeps the highest bits of a length, as many as its exponent has bits.
pub(crate) fn padme(len: u64) -> u64 {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1_u64 << exponent.saturating_sub(kept)) - 1;
    len.checked_add(mask).map_or(len, |sum| sum & !mask)
}

/// Takes padding off a stream: holds back trailing zeros as a count, and the last eight bytes.
#[derive(Debug, Default)]
pub(crate) struct Unpadder {
    tail: Vec<u8>,
    zeros: u64,
    released: u64,
}

impl Unpadder {
    /// Takes authenticated content and hands out what is certainly plaintext.
    pub(crate) fn push(
        &mut self,
        content: &[u8],
        emit: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.push_runs(content, &mut |zeros, bytes| {
            emit_zeros(zeros, emit)?;
            emit(bytes)
        })
    }

    /// Checks the trailer and hands out the zeros that belong to the plaintext.
    pub(crate) fn finish(self, emit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        emit_zeros(self.finish_runs()?, emit)
    }

    /// As [`push`](Self::push), with the zeros before each run of bytes as a count: they may be
    /// more than fit in memory.
    pub(crate) fn push_runs(
        &mut self,
        content: &[u8],
        emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let split = content.len().saturating_sub(TRAILER_LEN);
        let (body, last) = content.split_at_checked(split).unwrap_or_default();
        let mut tail = std::mem::take(&mut self.tail);
        let ready = (tail.len() + last.len()).saturating_sub(TRAILER_LEN);
        let result = self
            .push_body(tail.get(..ready).unwrap_or_default(), emit)
            .and_then(|()| self.push_body(body, emit));
        tail.drain(..ready);
        tail.extend_from_slice(last);
        self.tail = tail;
        result
    }

    /// As [`finish`](Self::finish): how many zeros end the plaintext.
    pub(crate) fn finish_runs(self) -> Result<u64> {
        let wrong = || CryptoError::authentication_failed(Operation::Open);
        let trailer: [u8; TRAILER_LEN] = self.tail.as_slice().try_into().map_err(|_| wrong())?;
        let len = u64::from_be_bytes(trailer);
        let zeros = len.checked_sub(self.released).ok_or_else(wrong)?;
        if zeros > self.zeros { Err(wrong()) } else { Ok(zeros) }
    }

    fn push_body(
        &mut self,
        body: &[u8],
        emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let end = body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let (plain, zeros) = body.split_at_checked(end).unwrap_or_default();
        if !plain.is_empty() {
            let before = std::mem::take(&mut self.zeros);
            self.released += before + plain.len() as u64;
            emit(before, plain)?;
        }
        self.zeros += zeros.len() as u64;
        Ok(())
    }
}

fn emit_zeros(mut zeros: u64, emit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    const ZEROS: [u8; 4_096] = [0; 4_096];
    while zeros > 0 {
        let len = zeros.min(ZEROS.len() as u64);
        emit(ZEROS.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default())?;
        zeros -= len;
    }
    Ok(())
}

impl Drop for Unpadder {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_gives_the_published_lengths() {
        // From the definition: 9 -> 10 (E = 3, S = 2), 100 -> 104, 1000 -> 1024, 1_000_000 -> 1_015_808.
        for (len, padded) in [(0, 0), (1, 1), (8, 8), (9, 10), (100, 104), (1000, 1024)] {
            assert_eq!(padme(len), padded, "{len}");
        }
        assert_eq!(padme(1_000_000), 1_015_808);
    }

    #[test]
    fn an_unpadded_stream_is_the_plaintext_wherever_it_is_cut() {
        for plaintext in [&b""[..], b"a", b"a\0\0", b"\0\0\0\0\0\0\0\0\0\0", &[7; 5000]] {
            let content = Padding::Padme.padded(plaintext).unwrap();
            for step in [1, 3, 8, 4096, content.len().max(1)] {
                let mut out = Vec::new();
                let mut emit = |bytes: &[u8]| {
                    out.extend_from_slice(bytes);
                    Ok(())
                };
                let mut unpadder = Unpadder::default();
                for piece in content.chunks(step) {
                    unpadder.push(piece, &mut emit).unwrap();
                }
                unpadder.finish(&mut emit).unwrap();
                assert_eq!(out, plaintext);
            }
        }
    }

    #[test]
    fn a_lying_trailer_or_a_byte_in_the_zeros_is_refused() {
        let content = Padding::Padme.padded(&[7; 100]).unwrap();
        for (index, value) in [(content.len() - 1, 255), (101, 1), (content.len() - 1, 99)] {
            let mut bad = content.clone();
            bad[index] = value;
            assert!(Padding::strip(&mut bad.clone()).is_err());
            let mut emit = |_: &[u8]| Ok(());
            let mut unpadder = Unpadder::default();
            unpadder.push(&bad, &mut emit).unwrap();
            assert!(unpadder.finish(&mut emit).is_err());
        }
    }
}
