//! Padded contents, with more zeros than any writer adds and with none; and contents that are not
//! plaintext, zeros and length. Sealed as they are, so header, MAC and tags are right.

use vault_crypto_core::header::{Shape, Suite};

use super::raw::RawHeader;
use super::vector::{AUTHENTICATION_FAILED, Draft, Vector, draft, plaintext};

const CHUNK: usize = 16_384;

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for shape in [Shape::Record, Shape::Stream] {
        all.extend(good(shape));
        all.extend(bad(shape));
    }
    all
}

fn content(plaintext: &[u8], zeros: usize, len: u64) -> Vec<u8> {
    [plaintext, &vec![0; zeros], &len.to_be_bytes()].concat()
}

fn good(shape: Shape) -> Vec<Vector> {
    let across = plaintext(CHUNK - 3);
    let cases: [(&str, &str, &[u8], usize); 7] = [
        ("nothing, no zeros", "8 bytes of content.", b"", 0),
        ("nothing, 5 zeros", "", b"", 5),
        ("no zeros", "", b"plaintext", 0),
        ("one zero", "PADME gives none here; a reader takes any number.", b"plaintext", 1),
        ("plaintext that ends with zeros", "They belong to the plaintext.", b"text\0\0\0", 9),
        ("plaintext of zeros alone", "", &[0; 20], 30),
        ("the length across two chunks", "In suite 3 there is one piece.", &across, 0),
    ];
    let vectors = cases.into_iter().map(|(name, comment, plaintext, zeros)| {
        let draft = draft_of(shape, name, comment);
        let content = content(plaintext, zeros, plaintext.len() as u64);
        let message = seal(&draft, shape, &content);
        draft.opens(message, plaintext)
    });
    vectors.collect()
}

fn bad(shape: Shape) -> Vec<Vector> {
    let mut dirty = content(b"plaintext", 4, 9);
    dirty[9] = 1;
    let mut dirty_end = content(b"plaintext", 4, 9);
    dirty_end[12] = 0x80;
    let cases: [(&str, Vec<u8>); 10] = [
        ("no content", Vec::new()),
        ("7 bytes of content", vec![0; 7]),
        ("a length one too large", content(b"", 0, 1)),
        ("a length of the whole content", content(b"plaintext", 0, 17)),
        ("a length of 2^64 - 1", content(b"plaintext", 0, u64::MAX)),
        ("a length of 2^63", content(b"plaintext", 0, 1 << 63)),
        ("the first padding byte not zero", dirty),
        ("the last padding byte not zero", dirty_end),
        ("a length one too small", content(b"plaintext", 0, 8)),
        ("a little-endian length", [b"plaintext".as_slice(), &9_u64.to_le_bytes()].concat()),
    ];
    let vectors = cases.into_iter().map(|(name, content)| {
        let draft = draft_of(shape, name, "Authentic, and wrong.");
        let message = seal(&draft, shape, &content);
        draft.refused(message, AUTHENTICATION_FAILED)
    });
    vectors.collect()
}

fn draft_of(shape: Shape, name: &str, comment: &str) -> Draft {
    let shape = if shape == Shape::Record { "record" } else { "stream" };
    draft(format!("{shape}: {name}"), comment)
}

fn seal(draft: &Draft, shape: Shape, content: &[u8]) -> Vec<u8> {
    let suite = if shape == Shape::Record { Suite::KcXaes256Gcm } else { Suite::Cobblestone256 };
    let header = RawHeader::exclusive(draft, suite.code(), shape.code());
    let header = RawHeader { body_flags: 1, ..header }.seal(&draft.secret(), &draft.scope());
    [header, draft.body(suite, shape, 1, content)].concat()
}
