//! What to look for in a dump: keys, expanded keys and plaintext, in pieces of 16 bytes; and the search.

use std::collections::{BTreeMap, HashMap};

/// Bytes of a piece. A secret of 32 bytes is two pieces; half of one is still a finding.
pub(super) const PIECE: usize = 16;

/// Pieces by what they belong to.
#[derive(Default)]
pub(super) struct Needles {
    pieces: HashMap<[u8; PIECE], &'static str>,
    /// One bit for each hash of a piece's first 8 bytes: most places are dismissed by it.
    filter: Vec<u64>,
}

const FILTER_BITS: u32 = 24;

impl Needles {
    pub(super) fn new() -> Self {
        Self { pieces: HashMap::new(), filter: vec![0; 1 << (FILTER_BITS - 6)] }
    }

    /// Looks for every whole piece of `secret`.
    pub(super) fn add(&mut self, what: &'static str, secret: &[u8]) {
        for piece in secret.chunks_exact(PIECE) {
            let piece: [u8; PIECE] = piece.try_into().unwrap();
            let bit = slot(&piece);
            self.filter[bit / 64] |= 1 << (bit % 64);
            self.pieces.insert(piece, what);
        }
    }

    /// A key of AES-256 and its whole schedule (FIPS 197, section 5.2), as AES instructions want it.
    pub(super) fn add_aes(&mut self, what: &'static str, key: &[u8; 32]) {
        self.add(what, &schedule(key).concat());
    }

    /// Where in `memory` which kind of secret stands.
    pub(super) fn find(&self, memory: &[u8], found: &mut BTreeMap<&'static str, Vec<usize>>) {
        for (at, window) in memory.windows(PIECE).enumerate() {
            let window: &[u8; PIECE] = window.try_into().unwrap();
            let bit = slot(window);
            if self.filter[bit / 64] & (1 << (bit % 64)) != 0
                && let Some(what) = self.pieces.get(window)
            {
                found.entry(what).or_default().push(at);
            }
        }
    }
}

fn slot(piece: &[u8; PIECE]) -> usize {
    let start = u64::from_le_bytes(piece[..8].try_into().unwrap());
    (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}

/// The 60 words of an AES-256 schedule.
pub(super) fn schedule(key: &[u8; 32]) -> [[u8; 4]; 60] {
    let mut words = [[0; 4]; 60];
    for (word, bytes) in words.iter_mut().zip(key.chunks(4)) {
        *word = bytes.try_into().unwrap();
    }
    let mut round = 1_u8;
    for index in 8..60 {
        let mut last = words[index - 1];
        if index % 8 == 0 {
            last.rotate_left(1);
            last = last.map(substitute);
            last[0] ^= round;
            round <<= 1;
        } else if index % 8 == 4 {
            last = last.map(substitute);
        }
        for byte in 0..4 {
            words[index][byte] = words[index - 8][byte] ^ last[byte];
        }
    }
    words
}

/// The S-box: the inverse in GF(2^8), then an affine map (FIPS 197, section 5.1.1).
fn substitute(byte: u8) -> u8 {
    let inverse = (0..254).fold(1, |power, _| multiply(power, byte));
    (0..5).fold(0x63, |sum, turn| sum ^ inverse.rotate_left(turn))
}

fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        product ^= a * (b & 1);
        a = (a << 1) ^ (0x1b * (a >> 7));
        b >>= 1;
    }
    product
}

#[test]
fn the_schedule_is_the_one_of_fips_197() {
    // Appendix A.3.
    let key =
        hex::decode("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").unwrap();
    let words = schedule(key.as_slice().try_into().unwrap());
    assert_eq!(hex::encode(words[8]), "9ba35411");
    assert_eq!(hex::encode(words[59]), "706c631e");
}

#[test]
fn a_piece_is_found_wherever_it_lies_and_nothing_else_is() {
    let mut needles = Needles::new();
    needles.add("key", &[7; 32]);
    let mut memory = vec![0; 1_000];
    let mut found = BTreeMap::new();
    needles.find(&memory, &mut found);
    assert!(found.is_empty());
    memory[501..517].copy_from_slice(&[7; 16]);
    needles.find(&memory, &mut found);
    assert_eq!(found["key"], [501]);
}
