//! Keys as one line of text: Bech32m (BIP 350), whose checksum finds every mistyped key that differs in
//! up to four places. Which keys there are is left to `key_pair`.
//!
//! Private keys pass through here, so no table is looked up, and nothing branches, by their bits.

use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use vault_crypto_core::SecureBytes;
use zeroize::Zeroizing;

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
const BECH32M: u32 = 0x2bc8_30a3;
const CHECKSUM_LEN: usize = 6;

/// How one sort of key looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// What its text starts with: the human-readable part and the separator `1`.
    pub(super) prefix: &'static str,
    /// Whether it is written in capitals, so that a private key is seen to be one.
    pub(super) capitals: bool,
}

impl Form {
    /// `data` as text.
    pub(super) fn encode(self, data: &[u8]) -> Zeroizing<String> {
        let mut digits = Zeroizing::new(Vec::with_capacity(data.len() * 2 + CHECKSUM_LEN));
        let (mut held, mut bits) = (0_u32, 0);
        for byte in data {
            held = (held << 8) | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                digits.push(low_five(held >> bits));
            }
        }
        if bits > 0 {
            digits.push(low_five(held << (5 - bits)));
        }
        let sum = (0..CHECKSUM_LEN).fold(self.sum(&digits), |sum, _| step(sum, 0)) ^ BECH32M;
        digits.extend((0..CHECKSUM_LEN).rev().map(|place| low_five(sum >> (5 * place))));
        // Sized once, so that nothing is left behind where the text was before it grew.
        let mut text = Zeroizing::new(String::with_capacity(self.prefix.len() + digits.len()));
        text.push_str(self.prefix);
        digits.iter().for_each(|digit| text.push(char::from(self.character(*digit))));
        text
    }

    /// The data of `text`; `None` unless it is exactly what [`encode`](Self::encode) writes.
    pub(super) fn decode(self, text: &str) -> Option<SecureBytes> {
        let rest = text.strip_prefix(self.prefix)?;
        let mut digits = Zeroizing::new(Vec::with_capacity(rest.len()));
        for character in rest.bytes() {
            digits.push(self.digit(character)?);
        }
        if self.sum(&digits) != BECH32M {
            return None;
        }
        let (payload, _) = digits.split_at_checked(digits.len().checked_sub(CHECKSUM_LEN)?)?;
        let mut data = Vec::with_capacity(payload.len() * 5 / 8);
        let (mut held, mut bits) = (0_u32, 0);
        for digit in payload {
            held = (held << 5) | u32::from(*digit);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                let [.., byte] = (held >> bits).to_be_bytes();
                data.push(byte);
                held &= (1 << bits) - 1;
            }
        }
        let data = SecureBytes::new(data);
        // Fewer than five bits are left, all zero: one text for one key.
        (bits < 5 && held == 0).then_some(data)
    }

    /// The checksum's state after the human-readable part and `digits`.
    fn sum(self, digits: &[u8]) -> u32 {
        let name = self.prefix.strip_suffix('1').unwrap_or(self.prefix);
        let name = name.bytes().map(|byte| byte.to_ascii_lowercase());
        let high = name.clone().map(|byte| byte >> 5);
        let low = name.map(|byte| byte & 31);
        high.chain([0]).chain(low).chain(digits.iter().copied()).fold(1, step)
    }

    fn cased(self, character: u8) -> u8 {
        if self.capitals { character.to_ascii_uppercase() } else { character }
    }

    fn character(self, digit: u8) -> u8 {
        (0..).zip(CHARSET).fold(0, |found, (index, character)| {
            u8::conditional_select(&found, &self.cased(*character), digit.ct_eq(&index))
        })
    }

    fn digit(self, character: u8) -> Option<u8> {
        let found = (0..).zip(CHARSET).fold(0xff, |found, (index, known)| {
            u8::conditional_select(&found, &index, character.ct_eq(&self.cased(*known)))
        });
        // That the text is no key at all is no secret.
        (found < 32).then_some(found)
    }
}

fn low_five(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    low & 31
}

/// One step of the checksum: a polynomial over GF(32), reduced by BIP 173's generator.
fn step(sum: u32, digit: u8) -> u32 {
    let top = sum >> 25;
    let shifted = ((sum & 0x01ff_ffff) << 5) ^ u32::from(digit);
    (0..)
        .zip(GENERATOR)
        .fold(shifted, |sum, (bit, term)| sum ^ (term & 0_u32.wrapping_sub((top >> bit) & 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOWER: Form = Form { prefix: "vkpub1", capitals: false };
    const CAPITALS: Form = Form { prefix: "VK-SECRET-KEY-1", capitals: true };

    /// Valid strings of BIP 350, which cover the checksum and the charset.
    #[test]
    fn the_checksum_is_that_of_bip_350() {
        let abc = Form { prefix: "abcdef1", capitals: false };
        let text = "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx";
        let digits: Vec<u8> = text[7..].bytes().map(|c| abc.digit(c).unwrap()).collect();
        assert_eq!(digits[..32], (0..32).rev().collect::<Vec<u8>>());
        assert_eq!(abc.sum(&digits), BECH32M);
        let capital = Form { prefix: "A1", capitals: true };
        assert_eq!(&*capital.encode(b""), "A1LQFN3A");
        assert_eq!(capital.decode("A1LQFN3A").unwrap().len(), 0);
        // BIP 173's checksum, of which one letter may be left out unnoticed.
        assert!(capital.decode("A12UEL5L").is_none());
    }

    #[test]
    fn data_of_every_length_comes_back() {
        for form in [LOWER, CAPITALS] {
            for len in 0..70_u8 {
                let data: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37) ^ 0xa5).collect();
                let text = form.encode(&data);
                assert_eq!(form.decode(&text).unwrap(), data, "{}", *text);
            }
        }
    }

    #[test]
    fn every_single_change_is_found() {
        let text = LOWER.encode(&[0x5a; 34]);
        for place in LOWER.prefix.len()..text.len() {
            for other in *CHARSET {
                let mut bytes = text.as_bytes().to_vec();
                if bytes[place] != other {
                    bytes[place] = other;
                    let altered = String::from_utf8(bytes).unwrap();
                    assert!(LOWER.decode(&altered).is_none(), "{altered}");
                }
            }
            let mut shorter = text.to_string();
            shorter.remove(place);
            assert!(LOWER.decode(&shorter).is_none());
        }
    }

    #[test]
    fn one_key_has_one_text() {
        let text = LOWER.encode(&[1; 34]);
        assert!(LOWER.decode(&text.to_uppercase()).is_none());
        assert!(LOWER.decode(&format!("{} ", *text)).is_none());
        assert!(CAPITALS.decode(&text).is_none());
        // The last three bits of 34 bytes belong to no byte and are zero.
        let mut digits: Vec<u8> =
            text[LOWER.prefix.len()..].bytes().map(|c| LOWER.digit(c).unwrap()).collect();
        digits.truncate(digits.len() - CHECKSUM_LEN);
        *digits.last_mut().unwrap() |= 1;
        let sum = (0..CHECKSUM_LEN).fold(LOWER.sum(&digits), |sum, _| step(sum, 0)) ^ BECH32M;
        digits.extend((0..CHECKSUM_LEN).rev().map(|place| low_five(sum >> (5 * place))));
        let second: String = digits.iter().map(|d| char::from(LOWER.character(*d))).collect();
        assert!(LOWER.decode(&format!("vkpub1{second}")).is_none());
    }
}
