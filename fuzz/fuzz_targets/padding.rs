//! Padding comes off the same way in memory and from a stream, however the stream is cut; what pads,
//! unpads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vault_envelope::Padding;
use vault_envelope::hazmat::{pad, strip_padding, strip_padding_of_pieces};
use vaultkit_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let piece = usize::from(input.byte()).max(1);
    let trailer = input.byte();
    let zeros = usize::from(input.byte());
    let plaintext = input.rest();
    // Contents that are likely to be nearly right: the length off by a little.
    let len = (plaintext.len() as u64).wrapping_add_signed(i64::from(trailer as i8) / 16);
    let near = [plaintext, &vec![0; zeros], &len.to_be_bytes()].concat();
    for content in [plaintext, near.as_slice()] {
        let whole = strip_padding(content);
        let pieces = strip_padding_of_pieces(content.chunks(piece));
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => assert!(whole == pieces),
            (Err(_), Err(_)) => {}
            _ => panic!("the two ways differ"),
        }
    }
    let padded = pad(Padding::Padme, plaintext).expect("short");
    assert!(strip_padding(&padded).expect("ours") == plaintext);
    assert!(strip_padding_of_pieces(padded.chunks(piece)).expect("ours") == plaintext);
});
