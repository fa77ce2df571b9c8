//! Opening any bytes as a stream never panics and never succeeds; a stream that is written in any
//! pieces opens in one thread, in two and by ranges to the same, and cut or altered does not.
#![no_main]

use std::io::Write as _;

use libfuzzer_sys::fuzz_target;
use vault_crypto_core::header::{Suite, parse};
use vault_envelope::Padding;
use vault_envelope::stream::Workers;
use vaultkit_fuzz::{Input, block_on, builder, context, envelope};

fuzz_target!(|data: &[u8]| {
    let context = context();
    let any = block_on(envelope().open_whole(data, &context, 1 << 20));
    assert!(any.is_err(), "nobody knows the data key");
    let _ = block_on(envelope().range_reader(data, &context)).expect_err("nor here");

    let mut input = Input(data);
    let choice = input.byte();
    let suite =
        if choice & 1 == 0 { Suite::Cobblestone256 } else { Suite::ChunkedChaCha20Poly1305 };
    let padding = if choice & 2 == 0 { Padding::None } else { Padding::Padme };
    // Up to four chunks, all of one byte and the input behind it.
    let filler = usize::from(input.u16());
    let (cut, bit) = (input.u16(), input.u16());
    let plaintext = [&vec![choice; filler], input.rest()].concat();

    let envelope = builder().stream_suite(suite).padding(padding).build().expect("constants");
    let mut writer = block_on(envelope.writer(Vec::new(), &context)).expect("memory");
    for piece in plaintext.chunks(usize::from(cut).max(1)) {
        writer.write_all(piece).expect("memory");
    }
    let mut sealed = writer.finish().expect("memory");

    let whole = block_on(envelope.open_whole(&sealed[..], &context, 1 << 20)).expect("ours");
    assert_eq!(whole.as_slice(), plaintext);
    let mut rest = sealed.as_slice();
    let opener = block_on(envelope.open_stream(&mut rest, &context)).expect("ours");
    let parallel = opener.open_all(rest, Vec::new(), Workers::new(2), &|_| ()).expect("ours");
    assert_eq!(parallel, plaintext);
    if padding == Padding::None {
        let ranges = block_on(envelope.range_reader(&sealed[..], &context)).expect("ours");
        let start = plaintext.len().min(usize::from(bit));
        let end = plaintext.len().min(start + usize::from(cut));
        let range = ranges.range(start as u64..end as u64).expect("ours");
        assert_eq!(range.as_slice(), &plaintext[start..end]);
    }

    let header = parse(&sealed).expect("ours").len();
    let shorter = header + usize::from(cut) % (sealed.len() - header);
    assert!(block_on(envelope.open_whole(&sealed[..shorter], &context, 1 << 20)).is_err());
    let at = header + usize::from(bit) % (sealed.len() - header);
    sealed[at] ^= 1 << (bit % 8);
    assert!(block_on(envelope.open_whole(&sealed[..], &context, 1 << 20)).is_err());
});
