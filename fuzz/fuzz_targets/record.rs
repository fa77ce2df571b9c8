//! Opening any bytes as a record never panics and never succeeds; any header that parses, with its
//! MAC made right, opens, and with any bit changed does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::ErrorKind;
use vault_crypto_core::header::{Shape, SlotKind, parse};
use vaultkit_fuzz::{Input, block_on, context, envelope, message};

fuzz_target!(|data: &[u8]| {
    let envelope = envelope();
    assert!(block_on(envelope.decrypt(data, &context())).is_err(), "nobody knows the data key");
    assert!(block_on(envelope.open_stored_key(data)).is_err(), "nobody knows the data key");
    assert!(block_on(envelope.rewrap(data)).is_err(), "nobody knows the data key");

    let Ok(parsed) = parse(data) else { return };
    let header = parsed.header;
    if header.shape != Shape::Record || header.padded {
        return;
    }
    let rest = &data[parsed.bytes.len()..];
    let mut sealed = message(&header, rest);
    let usable = header.slots.iter().any(|slot| slot.kind == SlotKind::LOCAL && !slot.is_missing());
    match block_on(envelope.decrypt(&sealed, &context())) {
        Ok(plaintext) => assert!(plaintext == rest && usable && header.threshold == 1),
        // No slot is the fake's: of another kind, binding, missing; or more than one is needed.
        Err(error) => {
            let kind = error.kind();
            assert_ne!(kind, ErrorKind::AuthenticationFailed);
            assert_ne!(kind, ErrorKind::Malformed);
            return;
        }
    }
    let mut choice = Input(rest);
    let body = parse(&sealed).expect("written by us").len();
    let bit = usize::from(choice.u16()) % (8 * (sealed.len() - body));
    sealed[body + bit / 8] ^= 1 << (bit % 8);
    let altered = block_on(envelope.decrypt(&sealed, &context()));
    assert_eq!(altered.expect_err("altered").kind(), ErrorKind::AuthenticationFailed);
});
