//! PHC strings: parameters that are accepted print as they were read; no string makes the parser
//! panic, and none that is refused is taken for a good one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::kdf::{Argon2Params, KdfParams};
use vault_crypto_core::password::{needs_rehash, verify_password};

/// Strings dearer than this are parsed, not computed.
const CHEAP_KIB: u32 = 64;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(params) = text.parse::<KdfParams>() {
        assert_eq!(params.to_string(), text);
        assert!(params.check().is_ok());
    }
    let wanted = Argon2Params::new(8, 1, 1);
    let rehash = needs_rehash(text, &wanted);
    let cheap = text.rsplitn(3, '$').last().and_then(|params| params.parse::<KdfParams>().ok());
    match cheap {
        Some(KdfParams::Argon2id(params)) if params.memory_kib <= CHEAP_KIB => {
            // Whatever the parameters, a guess is not the password.
            assert_ne!(verify_password("a guess", text).ok(), Some(true));
        }
        Some(_) => {}
        None => assert!(rehash, "no PHC string, and yet good enough"),
    }
});
