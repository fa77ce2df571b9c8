//! What the header parser accepts, the encoder writes again byte for byte, but for zeros at the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::{MAX_HEADER_LEN, parse, parse_prefix};

fuzz_target!(|data: &[u8]| {
    let Ok(parsed) = parse(data) else { return };
    let prefix = parse_prefix(data).expect("the whole header parsed");
    assert_eq!(prefix.header_len, parsed.len());
    assert!(parsed.len() <= data.len() && parsed.len() <= MAX_HEADER_LEN);
    assert_eq!(parsed.header.covered().expect("it was parsed"), parsed.covered);

    let again = parsed.header.encode(parsed.mac, Some(0)).expect("it was parsed");
    let (same_length, padding) = parsed.bytes.split_at(again.len());
    assert!(padding.iter().all(|byte| *byte == 0));
    // Bytes 4 to 8 are the length, which padding changes.
    assert_eq!(same_length[..4], again[..4]);
    assert_eq!(same_length[8..], again[8..]);
    assert_eq!(parse(&again).expect("written by us").header, parsed.header);
});
