//! Stored bytes gathered into parts of one length.

use std::collections::VecDeque;

use bytes::Bytes;
use object_store::PutPayload;

/// Bytes that wait to be uploaded. Pieces are kept as they come; nothing is copied.
#[derive(Default)]
pub(super) struct Parts {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Parts {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// The first `len` bytes, or all.
    pub(super) fn take(&mut self, len: usize) -> PutPayload {
        let mut left = len;
        let mut taken = Vec::new();
        while let Some(mut piece) = self.pieces.pop_front() {
            if piece.len() > left {
                let rest = piece.split_off(left);
                self.pieces.push_front(rest);
            }
            left -= piece.len();
            self.len -= piece.len();
            taken.push(piece);
            if left == 0 {
                break;
            }
        }
        taken.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_length_asked_for_and_lose_nothing() {
        let data: Vec<u8> = (0..=255).collect();
        for (step, len) in [(7, 50), (50, 7), (10, 10), (256, 1), (1, 300)] {
            let mut parts = Parts::default();
            data.chunks(step).for_each(|piece| parts.push(Bytes::copy_from_slice(piece)));
            let mut all = Vec::new();
            while parts.len() > 0 {
                let expected = len.min(parts.len());
                let part = parts.take(len);
                assert_eq!(part.content_length(), expected, "{step} {len}");
                part.iter().for_each(|piece| all.extend_from_slice(piece));
            }
            assert_eq!(all, data);
        }
    }
}
