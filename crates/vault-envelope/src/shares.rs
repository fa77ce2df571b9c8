//! A data key dealt in shares of which several parties must put enough together: Shamir's scheme over
//! GF(2^8), docs/FORMAT.md section 6.8.
//!
//! Left to others: wrapping the shares and asking for them.

use vault_crypto_core::derive::share_check;
use vault_crypto_core::header::{Header, Slot};
use vault_crypto_core::{
    CryptoError, DATA_KEY_LEN, ErrorKind, Operation, RandomSource, Result, SecureBytes,
    constant_time_eq,
};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

const SET_LEN: usize = 16;
/// `share set id || u8 k || u8 index || y`.
const SHARE_LEN: usize = SET_LEN + 2 + DATA_KEY_LEN;

/// One data key, dealt once.
pub(crate) struct Dealing {
    pub(crate) set: [u8; SET_LEN],
    pub(crate) shares: Vec<Share>,
}

/// What one party gets.
pub(crate) struct Share {
    pub(crate) index: u8,
    pub(crate) check: [u8; 16],
    pub(crate) payload: SecureBytes,
}

/// Deals `data_key` to `count` parties, any `needed` of which can put it together again.
pub(crate) fn deal(
    data_key: &SecureBytes,
    needed: u8,
    count: u8,
    random: &dyn RandomSource,
) -> Result<Dealing> {
    if needed < 2 || needed > count || data_key.len() != DATA_KEY_LEN {
        return Err(defect("shares that no reader would take"));
    }
    let mut set = [0; SET_LEN];
    while set == [0; SET_LEN] {
        random.fill(&mut set)?;
    }
    // For each byte of the data key the coefficients c_(k-1) to c_1, uniform over all 256 values.
    let mut coefficients = Zeroizing::new(vec![0; usize::from(needed - 1) * DATA_KEY_LEN]);
    random.fill(&mut coefficients)?;
    let shares = (1..=count).map(|index| {
        let mut payload = SecureBytes::zeroed(SHARE_LEN);
        let head = set.iter().chain([&needed, &index]);
        let points = coefficients
            .chunks_exact(usize::from(needed - 1))
            .zip(data_key.as_slice())
            .map(|(coefficients, secret)| evaluate(coefficients, *secret, index));
        let places = payload.as_mut_slice().iter_mut();
        places.zip(head.copied().chain(points)).for_each(|(to, from)| *to = from);
        let check = check_value(&payload).ok_or_else(|| defect("a share of another length"))?;
        Ok(Share { index, check, payload })
    });
    Ok(Dealing { set, shares: shares.collect::<Result<_>>()? })
}

/// Horner's rule, constant time in all but the number of coefficients.
fn evaluate(coefficients: &[u8], secret: u8, index: u8) -> u8 {
    let x = Gf256(index);
    let sum = coefficients.iter().fold(Gf256(0), |sum, c| (sum + Gf256(*c)) * x);
    (sum + Gf256(secret)).0
}

/// Whether `payload`, unwrapped from `slot`, is the share that the header means. Nothing else may be
/// combined: too few or wrong shares would combine to wrong bytes without any error.
pub(crate) fn is_good(payload: &SecureBytes, header: &Header, slot: &Slot) -> bool {
    let head = header.share_set.iter().chain([&header.threshold, &slot.share_index]);
    let head: Vec<u8> = head.copied().collect();
    let (Some(found), Some(check)) = (payload.as_slice().get(..head.len()), check_value(payload))
    else {
        return false;
    };
    let same_head = constant_time_eq(found, &head);
    let same_check = slot.share_check.is_some_and(|expected| constant_time_eq(&expected, &check));
    same_head & same_check
}

/// The data key that good shares of one dealing, as many as its threshold, put together.
pub(crate) fn combine<'a>(
    shares: impl IntoIterator<Item = &'a SecureBytes>,
) -> Result<SecureBytes> {
    let points: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(
        shares
            .into_iter()
            .map(|share| share.as_slice().get(SET_LEN + 1..).unwrap_or_default().to_vec())
            .collect(),
    );
    Gf256::combine_bytes(points.as_slice())
        .map(SecureBytes::new)
        .map_err(|_| CryptoError::authentication_failed(Operation::Open))
}

fn check_value(payload: &SecureBytes) -> Option<[u8; 16]> {
    payload.as_slice().try_into().ok().map(share_check)
}

fn defect(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::Internal, Operation::Seal).with_detail(why)
}

#[cfg(test)]
mod tests {
    use vault_crypto_core::SystemRandom;
    use vault_crypto_core::header::{Binding, Shape, SlotKind, Suite};
    use vault_crypto_core::{KeyId, KeyVersion};

    use super::*;

    fn data_key() -> SecureBytes {
        SecureBytes::new((0..32).map(|byte| byte * 7 + 1).collect())
    }

    fn dealt(needed: u8, count: u8) -> Dealing {
        deal(&data_key(), needed, count, &SystemRandom::new()).unwrap()
    }

    /// Multiplication by the book: shift, and reduce by x^8 + x^4 + x^3 + x + 1.
    fn times(mut a: u8, mut b: u8) -> u8 {
        let mut product = 0;
        while b != 0 {
            if b & 1 == 1 {
                product ^= a;
            }
            a = if a & 0x80 == 0 { a << 1 } else { (a << 1) ^ 0x1B };
            b >>= 1;
        }
        product
    }

    /// Gives the same bytes in the order they are asked for.
    #[derive(Debug)]
    struct Counting;

    impl RandomSource for Counting {
        fn fill(&self, out: &mut [u8]) -> Result<()> {
            out.iter_mut().zip(1_u8..).for_each(|(to, from)| *to = from.wrapping_mul(37));
            Ok(())
        }
    }

    #[test]
    fn shares_are_the_polynomial_of_the_specification() {
        let dealing = deal(&data_key(), 3, 5, &Counting).unwrap();
        for share in &dealing.shares {
            let bytes = share.payload.as_slice();
            assert_eq!(bytes.len(), 50);
            assert_eq!(
                (bytes[..16].to_vec(), bytes[16], bytes[17]),
                (dealing.set.to_vec(), 3, share.index)
            );
            for (j, secret) in data_key().as_slice().iter().enumerate() {
                let c = |nth: usize| ((2 * j + nth + 1) as u8).wrapping_mul(37);
                let i = share.index;
                let (c2, c1) = (c(0), c(1));
                assert_eq!(bytes[18 + j], secret ^ times(c1, i) ^ times(c2, times(i, i)));
            }
        }
    }

    /// Dealt by a program that shares no line with this one: data key 00 01 .. 1f, coefficients
    /// SHA-256("c1" || j as decimal digits)[0].
    #[test]
    fn shares_of_another_program_are_good_and_combine() {
        let set = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";
        let dealt = [
            (
                1,
                "f5e977f5f63d3b006abdb2bddbcb8aa1605be56fd1e48cf2f206e6d7e95f33",
                "4b9d4077603c10981866772a53514fd7",
            ),
            (
                2,
                "f2cfebfdf8707f18cf7f6275ba9f1e69f380e4e286e93ad7d422fa91ee9c47",
                "a77a2147ab802cec2c669b68c7f47cc2",
            ),
            (
                3,
                "06249f0c0b4b4310acc8dbc46c5a9bd882c91299421ba13d3f3e075a1add6b",
                "845abf022d5c67fe178489bacb2dfcb4",
            ),
        ];
        let first_bytes = ["1f", "3e", "21"];
        let mut header = Header::new(Suite::KcXaes256Gcm, Shape::Record);
        header.threshold = 2;
        header.share_set = [0x5E; 16];
        let payloads: Vec<SecureBytes> = dealt
            .iter()
            .zip(first_bytes)
            .map(|((index, rest, check), first)| {
                let text = format!("{set}02{index:02x}{first}{rest}");
                let payload = SecureBytes::new(hex::decode(text).unwrap());
                let slot = slot(*index, hex::decode(check).unwrap().try_into().unwrap());
                assert!(is_good(&payload, &header, &slot));
                payload
            })
            .collect();
        let expected: Vec<u8> = (0..32).collect();
        for (a, b) in [(0, 1), (0, 2), (2, 1)] {
            assert_eq!(combine([&payloads[a], &payloads[b]]).unwrap(), expected);
        }
    }

    fn slot(index: u8, check: [u8; 16]) -> Slot {
        let key = KeyId::from("k");
        let mut slot =
            Slot::kms(SlotKind::OTHER_KMS, Binding::Kms, &key, KeyVersion::unknown(), vec![1]);
        slot.share_index = index;
        slot.share_check = Some(check);
        slot
    }

    #[test]
    fn any_of_the_needed_number_put_the_key_together_and_fewer_do_not() {
        let dealing = dealt(2, 3);
        for (a, b) in [(0, 1), (0, 2), (1, 2), (2, 0)] {
            let pair = [&dealing.shares[a].payload, &dealing.shares[b].payload];
            assert_eq!(combine(pair).unwrap(), data_key());
        }
        let three = dealt(3, 4);
        let two = [&three.shares[0].payload, &three.shares[3].payload];
        assert_ne!(combine(two).unwrap(), data_key());
        let one = combine([&dealing.shares[0].payload]);
        assert_eq!(one.err().map(|error| error.kind()), Some(ErrorKind::AuthenticationFailed));
    }

    #[test]
    fn all_16_recipients_can_be_needed() {
        let dealing = dealt(16, 16);
        let all = combine(dealing.shares.iter().map(|share| &share.payload)).unwrap();
        assert_eq!(all, data_key());
    }

    #[test]
    fn two_dealings_share_nothing() {
        let (a, b) = (dealt(2, 2), dealt(2, 2));
        assert_ne!(a.set, b.set);
        assert_ne!(a.shares[0].payload, b.shares[0].payload);
        assert_ne!(a.shares[0].check, b.shares[0].check);
    }

    #[test]
    fn only_the_share_that_the_header_means_is_good() {
        let dealing = dealt(2, 2);
        let mut header = Header::new(Suite::KcXaes256Gcm, Shape::Record);
        header.threshold = 2;
        header.share_set = dealing.set;
        let slot = |share: &Share| slot(share.index, share.check);
        let [first, second] = dealing.shares.as_slice() else { panic!("two shares") };
        assert!(is_good(&first.payload, &header, &slot(first)));
        assert!(!is_good(&second.payload, &header, &slot(first)), "another's share");
        assert!(!is_good(&data_key(), &header, &slot(first)), "another length");
        let other = dealt(2, 2);
        assert!(!is_good(&other.shares[0].payload, &header, &slot(first)), "another dealing");
        header.threshold = 1;
        assert!(!is_good(&first.payload, &header, &slot(first)), "another threshold");
        header.threshold = 2;
        for at in 0..SHARE_LEN {
            let mut altered = first.payload.duplicate();
            altered.as_mut_slice()[at] ^= 1;
            assert!(!is_good(&altered, &header, &slot(first)), "byte {at}");
        }
    }
}
