//! Shares with anything in them, under a right MAC: the message opens if and only if the first good
//! ones, as many as are needed, are on a polynomial of its data key. Dealt and combined here by a second
//! implementation of the scheme.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::derive::share_check;
use vault_crypto_core::header::{Binding, Header, Shape, Slot, SlotKind, Suite};
use vault_crypto_core::{ErrorKind, KeyId, KeyVersion};
use vault_envelope::{AllowedKeys, EnvelopeEncryption};
use vaultkit_fuzz::{DATA_KEY, Input, KEY_ID, OpenKms, block_on, context, message, scope};

const SET: [u8; 16] = [0x5E; 16];

/// What became of one share.
#[derive(Clone, Copy, PartialEq)]
enum Share {
    /// As it should be in all that can be seen of it alone; perhaps not the one that was dealt.
    Taken,
    Refused,
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let count = 2 + input.byte() % 15;
    let needed = 2 + input.byte() % (count - 1);
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::Record);
    (header.exclusive, header.threshold, header.share_set) = (true, needed, SET);
    let changes: Vec<(u8, u16)> = (0..count).map(|_| (input.byte(), input.u16())).collect();
    let coefficients = input.rest();
    let mut taken = Vec::new();
    for (index, (change, value)) in (1..=count).zip(changes) {
        let dealt = deal(coefficients, needed, index);
        let (payload, check, fate) = changed(dealt, change, value);
        if fate == Share::Taken && taken.len() < usize::from(needed) {
            taken.push((index, payload[18..].to_vec()));
        }
        let key_id = KeyId::new(format!("key {index}"));
        let version = KeyVersion::unknown();
        let mut slot = Slot::kms(SlotKind::LOCAL, Binding::Kms, &key_id, version, payload);
        (slot.share_index, slot.share_check) = (index, Some(check));
        header.slots.push(slot);
    }
    let sealed = message(&header, b"agreed");

    let kms = Arc::new(OpenKms);
    let envelope = EnvelopeEncryption::builder(kms.clone(), KEY_ID)
        .scope(scope().pairs())
        .allow_only(AllowedKeys::none().any_key_matching(kms, |_| true))
        .build()
        .expect("constants");
    // Shares that were altered so that it cancels out are on a polynomial of the data key, too.
    let opens = taken.len() == usize::from(needed) && combined(&taken) == DATA_KEY;
    match block_on(envelope.decrypt(&sealed, &context())) {
        Ok(plaintext) => assert!(opens && plaintext == b"agreed"),
        Err(error) => {
            assert!(!opens, "{error}");
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
        }
    }
});

/// `set || k || index || y`, each byte of y on its own polynomial.
fn deal(coefficients: &[u8], needed: u8, index: u8) -> [u8; 50] {
    let mut payload = [0; 50];
    payload[..16].copy_from_slice(&SET);
    (payload[16], payload[17]) = (needed, index);
    for (place, secret) in DATA_KEY.iter().enumerate() {
        let (mut y, mut power) = (*secret, index);
        for degree in 1..usize::from(needed) {
            let at = place * 15 + degree;
            let coefficient =
                coefficients.get(at % coefficients.len().max(1)).map_or(7, |c| c ^ at as u8);
            y ^= times(coefficient, power);
            power = times(power, index);
        }
        payload[18 + place] = y;
    }
    payload
}

/// The value at 0 of the polynomials through the points (Lagrange).
fn combined(points: &[(u8, Vec<u8>)]) -> [u8; 32] {
    let mut out = [0; 32];
    for (index, y) in points {
        let others = points.iter().map(|(other, _)| *other).filter(|other| other != index);
        let weight =
            others.fold(1, |weight, other| times(weight, times(other, inverse(other ^ index))));
        out.iter_mut().zip(y).for_each(|(out, y)| *out ^= times(weight, *y));
    }
    out
}

/// a^254.
fn inverse(a: u8) -> u8 {
    (0..254).fold(1, |product, _| times(product, a))
}

/// Shift and reduce by x^8 + x^4 + x^3 + x + 1.
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

fn changed(mut dealt: [u8; 50], change: u8, value: u16) -> (Vec<u8>, [u8; 16], Share) {
    let check = share_check(&dealt);
    let at = usize::from(value) % 50;
    let flip = 1 << (value >> 8 & 7);
    match change % 8 {
        // A byte altered; with the check value of what it became it is only refused for its head.
        1 => {
            dealt[at] ^= flip;
            (dealt.to_vec(), check, Share::Refused)
        }
        2 => {
            dealt[at] ^= flip;
            let fate = if at < 18 { Share::Refused } else { Share::Taken };
            (dealt.to_vec(), share_check(&dealt), fate)
        }
        3 => (dealt[..at.max(1)].to_vec(), check, Share::Refused),
        4 => ([&dealt[..], &[0; 3][..1 + at % 3]].concat(), check, Share::Refused),
        // The data key itself, as if no agreement were needed.
        5 => (DATA_KEY.to_vec(), check, Share::Refused),
        6 => {
            let mut other = check;
            other[at % 16] ^= flip;
            (dealt.to_vec(), other, Share::Refused)
        }
        _ => (dealt.to_vec(), check, Share::Taken),
    }
}
