//! Streams, inline and detached: lengths around a chunk, padded headers, chunks that were moved,
//! dropped or cut.

use std::io::Write as _;

use pollster::block_on;
use vault_crypto_core::header::{Shape, Suite, parse};
use vault_envelope::Padding;

use super::raw::RawHeader;
use super::vector::{AUTHENTICATION_FAILED, Draft, MALFORMED, Vector, draft, plaintext};

const CHUNK: usize = 16_384;
const SEALED: usize = CHUNK + 16;
const PROLOGUE: usize = 56;
const SUITES: [Suite; 2] = [Suite::Cobblestone256, Suite::ChunkedChaCha20Poly1305];

pub(super) fn vectors() -> Vec<Vector> {
    let [first, second] = SUITES;
    let mut all = Vec::new();
    for suite in SUITES {
        all.extend([0, 11].map(|len| inline(suite, Padding::None, len)));
        all.push(inline(suite, Padding::Padme, 0));
        all.push(detached(suite));
        all.push(shared(suite));
    }
    all.extend([
        inline(first, Padding::None, CHUNK - 1),
        inline(first, Padding::None, CHUNK),
        inline(second, Padding::None, CHUNK),
        inline(second, Padding::None, CHUNK + 1),
        inline(first, Padding::None, 2 * CHUNK + 5),
        inline(first, Padding::Padme, CHUNK - 8),
    ]);
    all.push(of_unknown_length());
    all.extend(behind_more_padding());
    all.extend(chunks_moved(first));
    all.extend(cut_or_joined(second));
    all
}

fn seal(draft: &Draft, suite: Suite, padding: Padding, len: usize) -> (Vec<u8>, Vec<u8>) {
    let envelope = draft.envelope().stream_suite(suite).padding(padding).build().unwrap();
    let mut sealer = block_on(envelope.seal_stream(&draft.context(), Some(len as u64))).unwrap();
    let header = sealer.detach_header();
    let mut writer = sealer.into_writer(Vec::new()).unwrap();
    writer.write_all(&plaintext(len)).unwrap();
    (header, writer.finish().unwrap())
}

fn inline(suite: Suite, padding: Padding, len: usize) -> Vector {
    let padded = if padding == Padding::None { "" } else { ", padded" };
    let name = format!("suite {}, inline{padded}, {len} bytes", suite.code());
    let draft = draft(name, format!("{} chunks.", chunks(padding, len)));
    let (header, body) = seal(&draft, suite, padding, len);
    draft.opens([header, body].concat(), &plaintext(len))
}

fn chunks(padding: Padding, len: usize) -> usize {
    vault_envelope::hazmat::pad(padding, &plaintext(len)).unwrap().len() / CHUNK + 1
}

fn detached(suite: Suite) -> Vector {
    let name = format!("suite {}, detached", suite.code());
    let draft = draft(name, "Header and body are two objects; joined they are an inline stream.");
    let (header, body) = seal(&draft, suite, Padding::None, 300);
    draft.opens(Vec::new(), &plaintext(300)).detached(header, body)
}

fn shared(suite: Suite) -> Vector {
    let name = format!("suite {}, shared", suite.code());
    let draft = draft(name, "A stream names its salt even if its data key is SHARED.");
    let message_id = draft.salt();
    let header = RawHeader { message_id, ..RawHeader::shared(&draft, suite.code(), 2) };
    let header = header.seal(&draft.secret(), &draft.scope());
    let body = draft.body(suite, Shape::Stream, 0, &plaintext(20));
    draft.opens([header, body].concat(), &plaintext(20))
}

fn of_unknown_length() -> Vector {
    let draft = draft("length not known when sealed", "The body begins at a multiple of 4,096.");
    let envelope = draft.envelope().build().unwrap();
    let mut writer = block_on(envelope.writer(Vec::new(), &draft.context())).unwrap();
    writer.write_all(&plaintext(20)).unwrap();
    let message = writer.finish().unwrap();
    assert_eq!(parse(&message).unwrap().len(), 4_096);
    draft.opens(message, &plaintext(20))
}

/// Header padding of any length that the limit allows, if it is zero.
fn behind_more_padding() -> Vec<Vector> {
    let with_padding = |draft: &Draft, padding: Vec<u8>| {
        let header = RawHeader { padding, ..RawHeader::exclusive(draft, 1, 2) };
        let header = header.seal(&draft.secret(), &draft.scope());
        let body = draft.body(Suite::Cobblestone256, Shape::Stream, 0, &plaintext(20));
        [header, body].concat()
    };
    let one = draft("one byte of header padding", "Readers take any amount.");
    let one = one.clone().opens(with_padding(&one, vec![0]), &plaintext(20));

    let dirty = draft("header padding that is not zero", "");
    let mut padding = vec![0; 40];
    padding[39] = 1;
    let dirty = dirty.clone().refused(with_padding(&dirty, padding), MALFORMED);

    let moved = draft("H one less, into the padding", "The body then begins with a padding byte.");
    let mut message = with_padding(&moved, vec![0; 40]);
    let len = u32::from_be_bytes(*message[4..].first_chunk().unwrap()) - 1;
    message[4..8].copy_from_slice(&len.to_be_bytes());
    let moved = moved.refused(message, AUTHENTICATION_FAILED);

    let longer =
        draft("H one more, into the body", "A byte of the salt then stands in the padding.");
    let mut message = with_padding(&longer, Vec::new());
    let len = u32::from_be_bytes(*message[4..].first_chunk().unwrap()) + 1;
    message[4..8].copy_from_slice(&len.to_be_bytes());
    let longer = longer.refused(message, MALFORMED);
    vec![one, dirty, moved, longer]
}

fn chunks_moved(suite: Suite) -> Vec<Vector> {
    let bad = |what: &str, change: fn(&mut Vec<u8>)| {
        let name = format!("suite {}, {what}", suite.code());
        let draft = draft(name, "Two full chunks and one of 5 bytes, before the change.");
        let (header, mut body) = seal(&draft, suite, Padding::None, 2 * CHUNK + 5);
        change(&mut body);
        draft.refused(Vec::new(), AUTHENTICATION_FAILED).detached(header, body)
    };
    vec![
        bad("chunks 0 and 1 swapped", |body| {
            let (first, second) = body[PROLOGUE..PROLOGUE + 2 * SEALED].split_at_mut(SEALED);
            first.swap_with_slice(second);
        }),
        bad("chunk 0 dropped", |body| drop(body.drain(PROLOGUE..PROLOGUE + SEALED))),
        bad("the last chunk dropped", |body| body.truncate(PROLOGUE + 2 * SEALED)),
        bad("the last two chunks dropped", |body| body.truncate(PROLOGUE + SEALED)),
    ]
}

fn cut_or_joined(suite: Suite) -> Vec<Vector> {
    let bad = |what: &str, result, change: fn(&mut Vec<u8>, &mut Vec<u8>)| {
        let name = format!("suite {}, {what}", suite.code());
        let draft = draft(name, "A detached stream of 11 bytes, before the change.");
        let (mut header, mut body) = seal(&draft, suite, Padding::None, 11);
        change(&mut header, &mut body);
        draft.refused(Vec::new(), result).detached(header, body)
    };
    let failed = AUTHENTICATION_FAILED;
    vec![
        bad("an empty body", failed, |_, body| body.clear()),
        bad("a body of salt and commitment alone", failed, |_, body| body.truncate(PROLOGUE)),
        bad("a last chunk shorter than its tag", failed, |_, body| body.truncate(PROLOGUE + 15)),
        bad("a last chunk that is a tag alone", failed, |_, body| drop(body.drain(56..67))),
        bad("a second last chunk", failed, |_, body| body.extend_from_within(PROLOGUE..)),
        bad("a bit of the salt flipped", failed, |_, body| body[0] ^= 0x80),
        bad("a bit of the commitment flipped", failed, |_, body| body[24] ^= 1),
        bad("a bit of the tag flipped", failed, |_, body| *body.last_mut().unwrap() ^= 0x80),
        bad("a byte behind the detached header", MALFORMED, |header, _| header.push(0)),
        bad("the body behind the detached header", MALFORMED, |header, body| {
            header.extend_from_slice(body);
        }),
        bad("a detached header cut off", MALFORMED, |header, _| header.truncate(header.len() - 1)),
        bad("an empty detached header", MALFORMED, |header, _| header.clear()),
    ]
}
