//! Opening any bytes as a compact record never panics and never succeeds; what a stored key seals, it
//! opens, and with any bit changed or cut it does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::Suite;
use vault_envelope::Padding;
use vaultkit_fuzz::{Input, block_on, builder, context};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let choice = input.byte();
    let suite = Suite::from_code(1 + choice % 3).expect("1 to 3");
    let padding = if choice & 0x80 == 0 { Padding::None } else { Padding::Padme };
    let envelope = builder().record_suite(suite).padding(padding).build().expect("constants");
    let key = block_on(envelope.create_stored_key()).expect("the fake gives a data key");
    assert!(key.open(data, &context()).is_err(), "nobody knows the data key");

    let at = usize::from(input.u16());
    let plaintext = input.rest();
    let sealed = key.seal(plaintext, &context()).expect("short").into_bytes();
    assert!(key.open(&sealed, &context()).expect("ours") == plaintext);
    assert!(key.open(&sealed[..at % sealed.len()], &context()).is_err());
    let mut altered = sealed;
    let bit = at % (8 * altered.len());
    altered[bit / 8] ^= 1 << (bit % 8);
    assert!(key.open(&altered, &context()).is_err());
});
