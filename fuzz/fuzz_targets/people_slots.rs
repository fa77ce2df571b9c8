//! Slots of people with anything in them, under a right MAC: none opens, the failure is the one that
//! the format says, and parameters over the reader's limit are refused before anything is computed.
//! Messages for people open by each of them, and altered ones never to something else.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::{Header, Shape, Slot, SlotKind, Suite, parse};
use vault_crypto_core::{ErrorKind, KeyVersion, SecureString};
use vault_envelope::{
    AllowedKeys, EnvelopeEncryption, Passphrase, PassphraseCost, Recipient, Recipients,
};
use vaultkit_fuzz::{Input, block_on, context, message, rsa_key, x25519_key};

const MEMORY_KIB: u32 = 32;
const PASSES: u32 = 2;
const LANES: u8 = 2;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => round_trip(&mut input),
        _ => hostile(&mut input),
    }
});

fn passphrase() -> Passphrase {
    let limit = PassphraseCost::new(MEMORY_KIB, PASSES, u32::from(LANES)).expect("a constant");
    let cost = PassphraseCost::new(8, 1, 1).expect("a constant");
    let text = SecureString::new("correct horse".to_owned());
    Passphrase::new(text).expect("not empty").with_cost(cost).with_limit(limit)
}

/// What one slot adds to the answer, worst last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    NotMatched,
    Wrong,
    TooDear,
    Missing,
}

fn hostile(input: &mut Input<'_>) {
    let mut header = Header::new(Suite::KcXaes256Gcm, Shape::Record);
    header.exclusive = true;
    // One that nobody here can open, so that the header is well-formed whatever the others are.
    let mut filler = Slot::without_kms(
        SlotKind::from_code(0xF7).expect("not 0"),
        b"filler".to_vec(),
        Vec::new(),
    );
    filler.wrapped = vec![1];
    header.slots.push(filler);
    let choice = input.byte();
    let mut worst = Failure::NotMatched;
    for (bit, kind) in
        [SlotKind::PASSPHRASE, SlotKind::HPKE, SlotKind::RSA_OAEP_256].into_iter().enumerate()
    {
        if choice & 1 << bit == 0 {
            continue;
        }
        let (slot, failure) = slot(kind, input);
        header.slots.push(slot);
        worst = worst.max(failure);
    }
    let sealed = message(&header, b"nobody's");
    let reader = AllowedKeys::none()
        .passphrase(passphrase())
        .private_key(x25519_key())
        .private_key(rsa_key());
    let envelope = EnvelopeEncryption::to(Recipients::all([Recipient::passphrase(passphrase())]))
        .scope([("tenant", "acme")])
        .allow_only(reader)
        .build()
        .expect("constants");
    let error = block_on(envelope.decrypt(&sealed, &context())).expect_err("nobody wrapped it");
    let expected = match worst {
        Failure::NotMatched => ErrorKind::KeyNotAllowed,
        Failure::Wrong => ErrorKind::AuthenticationFailed,
        Failure::TooDear => ErrorKind::LimitExceeded,
        Failure::Missing => ErrorKind::Unavailable,
    };
    assert_eq!(error.kind(), expected, "{error}");
}

fn slot(kind: SlotKind, input: &mut Input<'_>) -> (Slot, Failure) {
    let shape = input.byte();
    let key_id = match kind {
        SlotKind::PASSPHRASE => Vec::new(),
        _ if shape & 1 == 1 => vec![9; 32],
        SlotKind::HPKE => x25519_key().public_key().key_id().to_vec(),
        _ => rsa_key().public_key().key_id().to_vec(),
    };
    let parameters = match (shape & 2 == 0, kind) {
        (true, SlotKind::PASSPHRASE) => cost(input),
        (true, SlotKind::HPKE) => vec![0, 0x20, 0, 1, 0, 2],
        (true, _) => Vec::new(),
        (false, _) => take(input, 40),
    };
    let understood = match kind {
        SlotKind::PASSPHRASE => true,
        SlotKind::HPKE => parameters == [0, 0x20, 0, 1, 0, 2],
        _ => parameters.is_empty(),
    };
    let dear = kind == SlotKind::PASSPHRASE && is_too_dear(&parameters);
    let mut slot = Slot::without_kms(kind, key_id, parameters);
    slot.version = KeyVersion::unknown();
    let len = match kind {
        _ if shape & 4 != 0 => 300,
        SlotKind::PASSPHRASE => 104,
        SlotKind::HPKE => 80,
        _ => 256,
    };
    slot.wrapped = if shape & 8 == 0 { take(input, len) } else { vec![shape; len] };
    let failure = match () {
        () if kind != SlotKind::PASSPHRASE && shape & 1 == 1 || !understood => Failure::NotMatched,
        () if slot.is_missing() => Failure::Missing,
        () if dear => Failure::TooDear,
        () => Failure::Wrong,
    };
    (slot, failure)
}

/// 25 bytes, as many as there are.
fn cost(input: &mut Input<'_>) -> Vec<u8> {
    let high = input.byte();
    let numbers = [u32::from(input.u16()), u32::from(input.byte())];
    let shift = u32::from(high & 0x0F);
    let mut out: Vec<u8> = numbers.map(|number| (number << shift).to_be_bytes()).concat();
    out.push(input.byte());
    out.extend([high; 16]);
    out
}

/// A second decoder of the limits.
fn is_too_dear(parameters: &[u8]) -> bool {
    let [m0, m1, m2, m3, t0, t1, t2, t3, lanes, salt @ ..] = parameters else { return false };
    let memory = u32::from_be_bytes([*m0, *m1, *m2, *m3]);
    let passes = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
    salt.len() == 16 && (memory > MEMORY_KIB || passes > PASSES || *lanes > LANES)
}

fn take(input: &mut Input<'_>, most: usize) -> Vec<u8> {
    let len = usize::from(input.byte()) * most / 255;
    let (taken, rest) = input.0.split_at(len.min(input.0.len()));
    input.0 = rest;
    taken.to_vec()
}

fn round_trip(input: &mut Input<'_>) {
    let people = || {
        [
            Recipient::passphrase(passphrase()),
            Recipient::public_key(x25519_key().public_key()),
            Recipient::public_key(rsa_key().public_key()),
        ]
    };
    let at = usize::from(input.u16());
    let flip = 1 << (input.byte() % 8);
    let who = input.byte();
    let reader = match who % 3 {
        0 => AllowedKeys::none().passphrase(passphrase()),
        1 => AllowedKeys::none().private_key(x25519_key()),
        _ => AllowedKeys::none().private_key(rsa_key()),
    };
    let recipients = if who & 0x80 == 0 {
        Recipients::all(people())
    } else {
        Recipients::threshold(1, people())
    };
    let envelope =
        EnvelopeEncryption::to(recipients).allow_only(reader).build().expect("constants");
    let plaintext = input.rest();
    let mut sealed = block_on(envelope.encrypt(plaintext, &context())).expect("short").into_bytes();
    assert!(block_on(envelope.decrypt(&sealed, &context())).expect("ours") == plaintext);
    let covered = parse(&sealed).expect("ours").covered.len();
    let at = at % sealed.len();
    sealed[at] ^= flip;
    match block_on(envelope.decrypt(&sealed, &context())) {
        // Of versions and wrapped bytes those of the other slots are nothing to this reader.
        Ok(opened) => assert!(opened == plaintext && at >= 12 + covered + 32),
        Err(error) => assert_ne!(error.kind(), ErrorKind::Internal, "{error}"),
    }
}
