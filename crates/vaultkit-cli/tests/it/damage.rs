//! Every cut and every flipped bit of a small message: by the library against the table of exit codes,
//! and a sample by the program.

use std::sync::Arc;

use vaultkit::core::header::parse;
use vaultkit::core::{EncryptionContext, Result};
use vaultkit::envelope::{AllowedKeys, EnvelopeEncryption};
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};
use vaultkit_cli::exit::Exit;

use super::support::Desk;

const PLAIN: &[u8] = b"a small message";

struct Small {
    desk: Desk,
    envelope: EnvelopeEncryption,
    sealed: Vec<u8>,
    header_len: usize,
    covered: std::ops::Range<usize>,
}

/// A message of the program, and an envelope that opens as the program does.
fn small() -> Small {
    let desk = Desk::with_store();
    desk.write("a", PLAIN);
    desk.done(["seal", "a"]);
    let sealed = desk.read("a.vk");
    let parsed = parse(&sealed).unwrap();
    let covered = 12..12 + parsed.covered.len();
    let header_len = parsed.len();
    let kms = Arc::new(LocalKms::open(LocalKmsConfig::new(desk.store())).unwrap());
    let prefix = format!("local:{}#", kms.store_id());
    let every_key = AllowedKeys::none()
        .any_key_matching(kms.clone(), move |key| key.as_str().starts_with(&prefix));
    let builder = EnvelopeEncryption::builder(kms, "default").allow_only(every_key);
    Small { desk, envelope: builder.build().unwrap(), sealed, header_len, covered }
}

impl Small {
    fn open(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let context = EncryptionContext::new();
        let opening = self.envelope.open_whole(bytes, &context, 1 << 20);
        Ok(pollster::block_on(opening)?.into_plaintext().into_vec())
    }

    fn code(&self, bytes: &[u8]) -> u8 {
        match self.open(bytes) {
            Ok(_) => 0,
            Err(error) => Exit::of(&error).code(),
        }
    }

    fn program(&self, bytes: &[u8]) -> i32 {
        self.desk.write("b.vk", bytes);
        let ended = self.desk.run(["open", "b.vk", "-o", "out"]);
        assert!(ended.err.contains("error: ") && ended.out.is_empty(), "{}", ended.err);
        assert_eq!(self.desk.names(), ["a", "a.vk", "b.vk"]);
        ended.code
    }
}

#[test]
fn a_message_cut_at_any_byte_is_malformed_in_its_header_and_not_authentic_behind_it() {
    let small = small();
    assert_eq!(small.open(&small.sealed).unwrap(), PLAIN);
    for len in 0..small.sealed.len() {
        let expected = if len < small.header_len { 6 } else { 3 };
        let cut = &small.sealed[..len];
        assert_eq!(small.code(cut), expected, "{len}");
        if len % 37 == 0 || len.abs_diff(small.header_len) < 2 {
            assert_eq!(small.program(cut), i32::from(expected), "{len}");
        }
    }
    assert_eq!(small.program(&[&small.sealed[..], b"x"].concat()), 3);
}

#[test]
fn no_flipped_bit_goes_unnoticed_and_each_has_its_code() {
    let small = small();
    let mac = small.covered.end..small.covered.end + 32;
    for index in 0..small.sealed.len() * 8 {
        let mut flipped = small.sealed.clone();
        let at = index / 8;
        flipped[at] ^= 1 << (index % 8);
        let code = small.code(&flipped);
        let expected: &[u8] = if at >= small.header_len || mac.contains(&at) {
            &[3]
        } else if at < small.covered.start {
            &[6]
        } else {
            // What it names may be a key that there is not, or nothing at all.
            &[3, 4, 6]
        };
        assert!(expected.contains(&code), "bit {index}: {code}");
        if index % 83 == 0 {
            assert_eq!(small.program(&flipped), i32::from(code), "bit {index}");
        }
    }
}

#[test]
fn swapped_chunks_leave_no_output() {
    let small = small();
    small.desk.write("c", super::support::noise(3 * 16_384));
    small.desk.done(["seal", "c"]);
    let mut sealed = small.desk.read("c.vk");
    let body = parse(&sealed).unwrap().len() + 56;
    let (one, two) = sealed[body..].split_at_mut(16_400);
    one.swap_with_slice(&mut two[..16_400]);
    small.desk.write("c.vk", sealed);
    small.desk.fails(3, "not authentic", ["open", "c.vk", "-o", "x"]);
}
