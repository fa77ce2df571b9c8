//! Prefix, fixed fields and extensions of the header: each rule of docs/FORMAT.md sections 4, 5.1,
//! 5.3 and 5.5 kept at its limit, and broken once with everything else right.

use vault_crypto_core::header::{Shape, Suite};

use super::raw::{RawHeader, RawSlot, raw_pairs};
use super::vector::{Draft, MALFORMED, UNSUPPORTED, Vector, draft};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = prefix();
    all.extend(fixed_fields());
    all.extend(extensions());
    all.extend(stored_scopes());
    all.extend(stored_contexts());
    all.extend(precedence());
    all
}

/// An EXCLUSIVE record in suite 3 with its header changed.
pub(super) fn record(draft: &Draft, change: impl FnOnce(&mut RawHeader)) -> Vec<u8> {
    let mut header = RawHeader::exclusive(draft, 3, 1);
    change(&mut header);
    let header = header.seal(&draft.secret(), &draft.scope());
    let body = draft.body(Suite::KcXaes256Gcm, Shape::Record, 0, b"headers");
    [header, body].concat()
}

pub(super) fn ok(name: &str, comment: &str, change: impl FnOnce(&mut RawHeader)) -> Vector {
    let draft = draft(name, comment);
    let message = record(&draft, change);
    draft.opens(message, b"headers")
}

pub(super) fn bad(name: &str, result: &'static str, change: impl FnOnce(&mut RawHeader)) -> Vector {
    let draft = draft(name, "");
    let message = record(&draft, change);
    draft.refused(message, result)
}

/// Bytes changed in the finished message.
pub(super) fn patched(name: &str, result: &'static str, patch: fn(&mut Vec<u8>)) -> Vector {
    let draft = draft(name, "");
    let mut message = record(&draft, |_| ());
    patch(&mut message);
    draft.refused(message, result)
}

fn put(message: &mut [u8], at: usize, value: u32) {
    message[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn prefix() -> Vec<Vector> {
    vec![
        patched("no bytes", MALFORMED, Vec::clear),
        patched("three bytes of magic", MALFORMED, |bytes| bytes.truncate(3)),
        patched("the magic alone", MALFORMED, |bytes| bytes.truncate(4)),
        patched("another first byte", MALFORMED, |bytes| bytes[0] = 0xF5),
        patched("another second byte", MALFORMED, |bytes| bytes[1] = b'V'),
        patched("another third byte", MALFORMED, |bytes| bytes[2] = 0),
        patched("format version 0", UNSUPPORTED, |bytes| bytes[3] = 0),
        patched("format version 2", UNSUPPORTED, |bytes| bytes[3] = 2),
        patched("format version 2, four bytes", UNSUPPORTED, |bytes| {
            bytes[3] = 2;
            bytes.truncate(4);
        }),
        patched("H of 65,537", MALFORMED, |bytes| put(bytes, 4, 65_537)),
        patched("H of 65,536 in a short message", MALFORMED, |bytes| put(bytes, 4, 65_536)),
        patched("H of 2^32 - 1", MALFORMED, |bytes| put(bytes, 4, u32::MAX)),
        patched("H of 0", MALFORMED, |bytes| put(bytes, 4, 0)),
        patched("H of 47", MALFORMED, |bytes| put(bytes, 4, 47)),
        patched("H of 128", MALFORMED, |bytes| put(bytes, 4, 128)),
        patched("C of 0", MALFORMED, |bytes| put(bytes, 8, 0)),
        patched("C of 80", MALFORMED, |bytes| put(bytes, 8, 80)),
        patched("C of 2^32 - 1", MALFORMED, |bytes| put(bytes, 8, u32::MAX)),
        patched("C of 2^31", MALFORMED, |bytes| put(bytes, 8, 1 << 31)),
        patched("C one too large", MALFORMED, |bytes| bytes[11] += 1),
        patched("C one too small", MALFORMED, |bytes| bytes[11] -= 1),
        patched("C up to H", MALFORMED, |bytes| {
            let len = u32::from_be_bytes(*bytes[4..].first_chunk().unwrap());
            put(bytes, 8, len - 47);
        }),
        patched("the text of another format", MALFORMED, |bytes| {
            *bytes = b"age-encryption.org/v1\n".to_vec();
        }),
    ]
}

fn fixed_fields() -> Vec<Vector> {
    let mut all: Vec<Vector> = [0, 4, 5, 6, 7, 8, 0xF0, 0xFF]
        .into_iter()
        .map(|suite| bad(&format!("suite {suite}"), UNSUPPORTED, |header| header.suite = suite))
        .collect();
    all.extend(
        [0, 4, 0xFF].map(|shape| {
            bad(&format!("shape {shape}"), UNSUPPORTED, |header| header.shape = shape)
        }),
    );
    all.extend((1..8).map(|bit| {
        bad(&format!("body flag {bit}"), MALFORMED, |header| header.body_flags = 1 << bit)
    }));
    all.extend((1..8).map(|bit| {
        bad(&format!("header flag {bit}"), MALFORMED, |header| header.header_flags |= 1 << bit)
    }));
    all.extend([
        ok("epoch 2^32 - 1", "", |header| header.epoch = u32::MAX),
        bad("the first zero byte set", MALFORMED, |header| header.zero[0] = 0x80),
        bad("the second zero byte set", MALFORMED, |header| header.zero[1] = 1),
        bad("threshold 0", MALFORMED, |header| header.threshold = 0),
        bad("threshold 2 of one slot", MALFORMED, |header| header.threshold = 2),
        bad("no slot", MALFORMED, |header| {
            header.slots.clear();
            header.padding = vec![0; 200];
        }),
        bad("one slot called none", MALFORMED, |header| header.count = Some(0)),
        bad("one slot called two", MALFORMED, |header| header.count = Some(2)),
        bad("one slot called 255", MALFORMED, |header| header.count = Some(255)),
        bad("two slots called one", MALFORMED, |header| {
            header.slots.push(RawSlot::of_kind(2, "b"));
            header.count = Some(1);
        }),
        bad("17 slots", MALFORMED, |header| {
            header.slots.extend((1..17).map(|n| RawSlot::of_kind(2, &format!("key {n}"))));
        }),
        bad("a byte behind the last descriptor", MALFORMED, |header| header.tail = vec![0]),
        bad("a share set id without shares", MALFORMED, |header| header.share_set[15] = 1),
        bad("a stream in suite 3", MALFORMED, |header| header.shape = 2),
        bad("an exclusive record without message id", MALFORMED, |header| {
            header.message_id = [0; 24];
        }),
        bad("a shared record with a message id", MALFORMED, |header| header.header_flags = 0),
        bad("a stream without message id", MALFORMED, |header| {
            (header.suite, header.shape, header.message_id) = (1, 2, [0; 24]);
        }),
    ]);
    all
}

fn extensions() -> Vec<Vector> {
    vec![
        ok("unknown extensions", "Ignored, covered, kept.", |header| {
            header.extensions.push((4, Vec::new()));
            header.extensions.push((0x7FFF, b"of a later writer".to_vec()));
        }),
        ok("no extension", "The scope is not stored; the reader has it.", |header| {
            header.extensions.clear();
        }),
        ok("32 extensions", "The most.", |header| {
            header.extensions = (100..132).map(|kind| (kind, vec![kind as u8])).collect();
        }),
        ok("a stored scope that is not the reader's", "The reader's own one counts.", |header| {
            header.extensions = vec![(1, raw_pairs(&[("tenant", "globex")]))];
        }),
        ok("a branch in a record", "It has no meaning there.", |header| {
            header.extensions.push((3, vec![7; 20]));
        }),
        bad("33 extensions", MALFORMED, |header| {
            header.extensions = (100..133).map(|kind| (kind, Vec::new())).collect();
        }),
        bad("critical extension 0x8000", UNSUPPORTED, |header| {
            header.extensions.push((0x8000, Vec::new()));
        }),
        bad("critical extension 0xFFFF", UNSUPPORTED, |header| {
            header.extensions.push((0xFFFF, b"must know".to_vec()));
        }),
        bad("extension type 0", MALFORMED, |header| header.extensions.insert(0, (0, vec![1]))),
        bad("extensions descending", MALFORMED, |header| {
            header.extensions = vec![(5, Vec::new()), (4, Vec::new())];
        }),
        bad("an extension twice", MALFORMED, |header| {
            header.extensions = vec![(4, Vec::new()), (4, Vec::new())];
        }),
        bad("a branch of 19 bytes", MALFORMED, |header| {
            header.extensions.push((3, vec![7; 19]));
        }),
        bad("a branch of 21 bytes", MALFORMED, |header| {
            header.extensions.push((3, vec![7; 21]));
        }),
    ]
}

fn stored_scopes() -> Vec<Vector> {
    let long = "v".repeat(256);
    let too_long = "v".repeat(257);
    let scope = |name: &str, bytes: Vec<u8>| {
        bad(&format!("stored scope: {name}"), MALFORMED, |header| {
            header.extensions = vec![(1, bytes)];
        })
    };
    let of = |pairs: &[(&str, &str)]| raw_pairs(pairs);
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    vec![
        ok("stored scope: eight pairs of the longest name", "", |header| {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|first| first.repeat(64));
            let pairs: Vec<(&String, &str)> = names.iter().map(|name| (name, "v")).collect();
            header.extensions = vec![(1, raw_pairs(&pairs))];
        }),
        ok("stored scope: empty", "", |header| header.extensions = vec![(1, vec![0, 0])]),
        scope("no bytes", Vec::new()),
        scope("a byte behind", [of(&[("a", "v")]), vec![0]].concat()),
        scope("cut off", of(&[("a", "v")])[..7].to_vec()),
        scope("a count of one and no pair", vec![0, 1]),
        scope("a count of 65535", vec![0xFF; 2]),
        scope("descending names", of(&[("b", "v"), ("a", "v")])),
        scope("a name twice", of(&[("a", "v"), ("a", "w")])),
        scope("nine pairs", of(&letters.map(|name| (name, "v")))),
        scope("an empty name", of(&[("", "v")])),
        scope("an upper-case name", of(&[("Tenant", "v")])),
        scope("a name that begins with a digit", of(&[("1a", "v")])),
        scope("a name with a letter beyond ASCII", of(&[("\u{e9}", "v")])),
        scope("a name of 65 bytes", of(&[(&"a".repeat(65), "v")])),
        scope("an empty value", of(&[("a", "")])),
        scope("a value of 257 bytes", of(&[("a", &too_long)])),
        scope("a value with a control character", of(&[("a", "v\n")])),
        scope("a value with a C1 control character", of(&[("a", "v\u{9f}")])),
        scope("a value that is not UTF-8", raw_pairs(&[("a", &b"\xC0\x80"[..])])),
        scope("a value with a surrogate", raw_pairs(&[("a", &b"\xED\xA0\x80"[..])])),
        scope("1,025 bytes", {
            let last = "v".repeat(235);
            of(&[("a", &long), ("b", &long), ("c", &long), ("d", &last)])
        }),
    ]
}

fn stored_contexts() -> Vec<Vector> {
    let names: Vec<String> = (0..65).map(|index| format!("n{index:02}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let long = "v".repeat(6_994);
    let context = |name: &str, bytes: Vec<u8>| {
        bad(&format!("stored context: {name}"), MALFORMED, |header| {
            header.extensions.push((2, bytes));
        })
    };
    let of = |pairs: &[(&str, &str)]| raw_pairs(pairs);
    vec![
        ok("stored context", "Never written unless asked for.", |header| {
            header.extensions.push((2, raw_pairs(&[("row", "42"), ("table", "cards")])));
        }),
        ok("stored context: the longest", "7,000 bytes.", |header| {
            header.extensions.push((2, raw_pairs(&[("a", &long[1..])])));
        }),
        ok("stored context: 64 pairs", "", |header| {
            header.extensions.push((2, raw_pairs(&all[..64])));
        }),
        ok("stored context: a name of 255 bytes and values of any content", "", |header| {
            let name = "n".repeat(255);
            header.extensions.push((2, raw_pairs(&[("a", "\0="), (name.as_str(), "")])));
        }),
        context("no bytes", Vec::new()),
        context("a byte behind", [of(&[("a", "v")]), vec![0]].concat()),
        context("descending names", of(&[("b", "v"), ("a", "v")])),
        context("a name twice", of(&[("a", "v"), ("a", "v")])),
        context("an empty name", of(&[("", "v")])),
        context("a name with '='", of(&[("a=b", "v")])),
        context("a name with a control character", of(&[("a\u{7f}", "v")])),
        context("a name of 256 bytes", of(&[(&"n".repeat(256), "v")])),
        context("a value that is not UTF-8", raw_pairs(&[("a", &b"\xFF"[..])])),
        context("65 pairs", of(&all)),
        context("7,001 bytes", of(&[("a", &long)])),
    ]
}

/// Headers that break two rules: the first in the order of the specification gives the class.
fn precedence() -> Vec<Vector> {
    let later = |header: &mut RawHeader| header.extensions.push((0x8000, Vec::new()));
    vec![
        bad("an unknown suite before a reserved flag", UNSUPPORTED, |header| {
            (header.suite, header.header_flags) = (4, 3);
        }),
        bad("a reserved flag before a critical extension", MALFORMED, |header| {
            header.header_flags = 3;
            later(header);
        }),
        bad("the number of slots before a critical extension", MALFORMED, |header| {
            header.count = Some(17);
            later(header);
        }),
        bad("a critical extension before a bad descriptor", UNSUPPORTED, |header| {
            header.slots[0].kind = 0;
            later(header);
        }),
        bad("a critical extension before bad padding", UNSUPPORTED, |header| {
            header.padding = vec![1];
            later(header);
        }),
        bad("a critical extension before the message id", UNSUPPORTED, |header| {
            header.message_id = [0; 24];
            later(header);
        }),
        bad("a bad scope before a critical extension", MALFORMED, |header| {
            header.extensions[0].1.push(0);
            later(header);
        }),
        bad("a bad extension order before a critical one", MALFORMED, |header| {
            header.extensions = vec![(0x8001, Vec::new()), (0x8000, Vec::new())];
            header.extensions.rotate_left(1);
            header.extensions.insert(0, (0x8002, Vec::new()));
            header.extensions.insert(0, (0, Vec::new()));
        }),
    ]
}
