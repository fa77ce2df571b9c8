//! The embedded KMS's key file: taking it apart never panics, and a body that is accepted encodes to
//! itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use vault_kms_local::fuzz::{decode_body, parse_key_file};

fuzz_target!(|data: &[u8]| {
    let _ = parse_key_file(data);
    // With its magic, version and checksum made right.
    let content = [b"\xF8vks\x01", data].concat();
    let _ = parse_key_file(&[content.as_slice(), Sha256::digest(&content).as_slice()].concat());
    assert_ne!(decode_body(data), Some(false), "another encoding of the same keys");
});
