//! Records with a header: every suite, EXCLUSIVE and SHARED, padded or not; and records whose body,
//! MAC or reader is the wrong one.

use pollster::block_on;
use vault_crypto_core::header::{Shape, Suite, parse};
use vault_envelope::Padding;

use super::raw::RawHeader;
use super::vector::{
    AUTHENTICATION_FAILED, Draft, MALFORMED, SUITES, Vector, draft, pairs, plaintext,
};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Where to change a message, from where its header ends, where its MAC begins, and its length.
type Place = fn(usize, usize, usize) -> usize;

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for suite in SUITES {
        all.extend(good(suite));
    }
    all.extend([
        exclusive(Suite::Cobblestone256, Padding::None, 16_384),
        exclusive(Suite::Cobblestone256, Padding::Padme, 16_380),
        exclusive(Suite::ChunkedChaCha20Poly1305, Padding::None, 16_385),
        exclusive(Suite::KcXaes256Gcm, Padding::None, 16_385),
    ]);
    all.extend(with_other_pairs());
    for suite in SUITES {
        all.extend(altered(suite));
        all.extend(of_another(suite));
    }
    all
}

fn good(suite: Suite) -> Vec<Vector> {
    let mut all = Vec::new();
    for padding in [Padding::None, Padding::Padme] {
        all.extend([0, 11].map(|len| exclusive(suite, padding, len)));
        let name = format!("suite {}, shared{}", suite.code(), padded(padding));
        let draft = draft(name, "The header is the same for all records of its data key.");
        let envelope = draft.envelope().record_suite(suite).padding(padding).build().unwrap();
        let sealing = block_on(envelope.sealing_key()).unwrap();
        let sealed = sealing.seal(&plaintext(11), &draft.context()).unwrap();
        all.push(draft.opens(sealed.into_bytes(), &plaintext(11)));
    }
    all
}

fn exclusive(suite: Suite, padding: Padding, len: usize) -> Vector {
    let name = format!("suite {}, exclusive{}, {len} bytes", suite.code(), padded(padding));
    sealed_by_library(draft(name, "A data key of its own."), suite, padding, len)
}

fn padded(padding: Padding) -> &'static str {
    if padding == Padding::None { "" } else { ", padded" }
}

fn sealed_by_library(draft: Draft, suite: Suite, padding: Padding, len: usize) -> Vector {
    let envelope = draft.envelope().record_suite(suite).padding(padding).build().unwrap();
    let sealed = block_on(envelope.encrypt(&plaintext(len), &draft.context())).unwrap();
    draft.opens(sealed.into_bytes(), &plaintext(len))
}

/// Pairs that are easily encoded wrongly.
fn with_other_pairs() -> Vec<Vector> {
    let long_value = "v".repeat(256);
    let longest_scope: Vec<(&str, &str)> =
        vec![("a", &long_value), ("b", &long_value), ("c", &long_value), ("d", &long_value[..234])];
    let most: Vec<String> = (0..64).map(|index| format!("name-{index:02}")).collect();
    let most: Vec<(&str, &str)> = most.iter().map(|name| (name.as_str(), "")).collect();
    let long_text = "x".repeat(6_993);
    let eight = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, "\u{e9}"));
    let cases: [(&str, &str, Pairs<'_>, Pairs<'_>); 8] = [
        ("no scope, no context", "Both encode as 00 00.", &[], &[]),
        ("no scope", "Nothing is stored.", &[], &[("row", "42")]),
        ("no context", "", &[("tenant", "acme")], &[]),
        (
            "names beyond the basic plane",
            "Names are ordered by UTF-8 bytes: U+FF5E comes before U+10000, in UTF-16 after it.",
            &[("tenant", "\u{10000}\u{e9}")],
            &[("\u{ff5e}", "1"), ("\u{10000}", "2"), ("e\u{301}", "3"), ("\u{e9}", "4")],
        ),
        (
            "values of any content",
            "A context's values may be empty and hold control characters and '='.",
            &[],
            &[("empty", ""), ("control", "\0\n\u{85}"), ("sign", "a=b"), ("A \"name\"", "\\")],
        ),
        ("longest scope", "1,024 bytes.", &longest_scope, &[]),
        ("eight pairs, 64 pairs", "The most of each.", &eight, &most),
        ("longest context", "7,000 bytes.", &[], &[("a", &long_text)]),
    ];
    cases
        .into_iter()
        .map(|(name, comment, scope, context)| {
            let draft = draft(name, comment).in_pairs(scope, context);
            sealed_by_library(draft, Suite::KcXaes256Gcm, Padding::None, 11)
        })
        .collect()
}

/// Every region with one bit flipped, every region cut.
fn altered(suite: Suite) -> Vec<Vector> {
    let seal = |what: &str| {
        let name = format!("suite {}, {what}", suite.code());
        let draft = draft(name, "One thing is wrong.");
        let envelope = draft.envelope().record_suite(suite).build().unwrap();
        let sealed = block_on(envelope.encrypt(&plaintext(11), &draft.context())).unwrap();
        let header = parse(sealed.as_bytes()).unwrap();
        let (end, mac) = (header.len(), 12 + header.covered.len());
        (draft, sealed.into_bytes(), end, mac)
    };
    let flips: [(&str, Place); 9] = [
        ("a bit of the epoch flipped", |_, _, _| 12 + 11),
        ("a bit of the key id flipped", |_, _, _| 12 + 12),
        ("a bit of the message id flipped", |_, _, _| 12 + 28),
        ("a bit of the MAC flipped", |_, mac, _| mac + 31),
        ("a bit of the salt flipped", |end, _, _| end + 23),
        ("the commitment's first bit flipped", |end, _, _| end + 24),
        ("the commitment's last bit flipped", |end, _, _| end + 55),
        ("a bit of the ciphertext flipped", |end, _, _| end + 56),
        ("a bit of the tag flipped", |_, _, len| len - 1),
    ];
    let mut all: Vec<Vector> = flips
        .into_iter()
        .map(|(what, place)| {
            let (draft, mut bytes, end, mac) = seal(what);
            let at = place(end, mac, bytes.len());
            bytes[at] ^= if what.contains("first") { 0x80 } else { 1 };
            draft.refused(bytes, AUTHENTICATION_FAILED)
        })
        .collect();
    let cuts: [(&str, Place); 7] = [
        ("cut inside the magic", |_, _, _| 3),
        ("cut inside the lengths", |_, _, _| 11),
        ("cut inside the header", |end, _, _| end - 1),
        ("cut behind the header", |end, _, _| end),
        ("cut inside the commitment", |end, _, _| end + 55),
        ("cut inside the tag", |end, _, _| end + 56 + 15),
        ("cut by its last byte", |_, _, len| len - 1),
    ];
    all.extend(cuts.into_iter().map(|(what, place)| {
        let (draft, mut bytes, end, mac) = seal(what);
        bytes.truncate(place(end, mac, bytes.len()));
        let result = if bytes.len() < end { MALFORMED } else { AUTHENTICATION_FAILED };
        draft.refused(bytes, result)
    }));
    let (draft, mut bytes, _, _) = seal("a byte more");
    bytes.push(0);
    all.push(draft.refused(bytes, AUTHENTICATION_FAILED));
    all
}

/// The right bytes for somebody else, or of something else.
fn of_another(suite: Suite) -> Vec<Vector> {
    let name = |what: &str| format!("suite {}, {what}", suite.code());
    let sealed = |what: &str| {
        let draft = draft(name(what), "The message is good; its reader is not.");
        sealed_by_library(draft, suite, Padding::None, 11).refused_to_reader()
    };
    let mut all = vec![
        sealed("another key").for_reader(|_, key| key[31] ^= 1),
        sealed("another value in the scope")
            .for_reader(|draft, _| draft.scope = pairs(&[("tenant", "acma")])),
        sealed("no scope given").for_reader(|draft, _| draft.scope = pairs(&[])),
        sealed("another value in the context").for_reader(|draft, _| {
            draft.context = pairs(&[("table", "cards"), ("row", "43")]);
        }),
        sealed("names and values swapped").for_reader(|draft, _| {
            draft.context = pairs(&[("cards", "table"), ("42", "row")]);
        }),
        sealed("one pair too few")
            .for_reader(|draft, _| draft.context = pairs(&[("table", "cards")])),
        sealed("the scope's pair in the context").for_reader(|draft, _| {
            draft.context.append(&mut draft.scope);
        }),
    ];
    let draft_of = |what: &str| draft(name(what), "Header and MAC are right; the body is another.");
    let code = suite.code();

    let draft = draft_of("the body of another shape");
    let header = RawHeader::exclusive(&draft, code, 1).seal(&draft.secret(), &draft.scope());
    // Suite 3 has no streams, but a body can be bound to that shape all the same.
    let body = draft.body(suite, Shape::Stream, 0, b"a stream's body");
    all.push(draft.refused([header, body].concat(), AUTHENTICATION_FAILED));

    let draft = draft_of("the body without the padded flag");
    let header = RawHeader { body_flags: 1, ..RawHeader::exclusive(&draft, code, 1) };
    let body = draft.body(suite, Shape::Record, 0, b"text\0\0\0\0\0\0\0\0\0\0\0\x04");
    let header = header.seal(&draft.secret(), &draft.scope());
    all.push(draft.refused([header, body].concat(), AUTHENTICATION_FAILED));

    let draft = draft_of("the body of another suite");
    let other = if code == 1 { Suite::KcXaes256Gcm } else { Suite::Cobblestone256 };
    let header = RawHeader::exclusive(&draft, code, 1).seal(&draft.secret(), &draft.scope());
    let body = draft.body(other, Shape::Record, 0, b"text");
    all.push(draft.refused([header, body].concat(), AUTHENTICATION_FAILED));

    let draft = draft_of("the MAC of another scope");
    let header = RawHeader::exclusive(&draft, code, 1);
    let header = header.seal(&draft.secret(), &vault_crypto_core::Scope::empty());
    let body = draft.body(suite, Shape::Record, 0, b"text");
    all.push(draft.refused([header, body].concat(), AUTHENTICATION_FAILED));
    all
}
