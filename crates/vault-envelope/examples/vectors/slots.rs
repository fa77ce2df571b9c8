//! Key slots: each rule of docs/FORMAT.md sections 5.4, 5.5 and 6.1 kept at its limit, and broken
//! once with everything else right. Part of headers.json.

use super::headers::{bad, ok, patched};
use super::raw::{RawHeader, RawSlot};
use super::vector::{MALFORMED, Vector};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = good();
    all.extend(descriptors());
    all.extend(key_ids());
    all.extend(versions());
    all.extend(several());
    all.extend(shares());
    all
}

/// One more slot beside the usable one.
fn beside(header: &mut RawHeader, change: impl FnOnce(&mut RawSlot)) {
    let mut slot = RawSlot::of_kind(2, "arn:aws:kms:eu-central-1:111122223333:key/1");
    change(&mut slot);
    header.slots.push(slot);
}

fn good() -> Vec<Vector> {
    let mac_bound = |kind: u8, key_id: &[u8]| {
        let key_id = key_id.to_vec();
        RawSlot { binding: 2, key_id, version: Vec::new(), ..RawSlot::of_kind(kind, "") }
    };
    vec![
        ok("two KMS slots", "", |header| beside(header, |_| ())),
        ok("a slot of an unknown kind", "Skipped, covered, kept.", |header| {
            beside(header, |slot| {
                (slot.kind, slot.parameters) = (77, b"of a later writer".to_vec());
            });
        }),
        ok("a slot of a private kind before", "", |header| {
            header.slots.insert(0, RawSlot::of_kind(0xF3, "\u{10348}"));
        }),
        ok("unknown parameters of a known kind", "Skipped, covered, kept.", |header| {
            beside(header, |slot| slot.parameters = vec![1; 300]);
        }),
        ok("a missing slot before", "To be filled later.", |header| {
            header.slots.insert(0, RawSlot::of_kind(5, "projects/p/keys/k").missing());
        }),
        ok("15 missing slots", "16 slots are the most.", |header| {
            let missing = |n: u8| RawSlot::of_kind(4, &format!("key {n}")).missing();
            header.slots.extend((1..16).map(missing));
        }),
        ok("16 filled slots", "", |header| {
            header.slots.extend((1..16).map(|n| RawSlot::of_kind(5, &format!("key {n}"))));
        }),
        ok("one key id, two kinds", "Only both together must differ.", |header| {
            beside(header, |slot| slot.key_id = header_key_id());
        }),
        ok("a passphrase and public keys", "Kinds 7, 8 and 9.", |header| {
            let mut passphrase = mac_bound(7, b"");
            passphrase.parameters = [&[0, 1, 0, 0, 0, 0, 0, 3, 4][..], &[0x5A; 16]].concat();
            let mut hpke = mac_bound(8, &[0x88; 32]);
            hpke.parameters = vec![0, 0x20, 0, 1, 0, 2];
            header.slots.extend([passphrase, hpke, mac_bound(9, &[0x99; 32])]);
        }),
        ok("the longest key id and version", "2,048 and 128 bytes.", |header| {
            beside(header, |slot| {
                slot.key_id = "\u{e9}".repeat(1_024).into_bytes();
                slot.version = b"v".repeat(128);
            });
        }),
        ok("every character of a version", "", |header| {
            beside(header, |slot| slot.version = b"AZaz09._:/+=-".to_vec());
        }),
        ok("a filled slot without a version", "The service reports none.", |header| {
            header.slots[0].version.clear();
        }),
        ok("the longest wrapped bytes", "", |header| {
            header.slots[0].wrapped = vec![0x33; 60_000];
        }),
    ]
}

fn header_key_id() -> Vec<u8> {
    RawSlot::local().key_id
}

fn descriptors() -> Vec<Vector> {
    let slot = |name: &str, change: fn(&mut RawSlot)| {
        bad(&format!("slot: {name}"), MALFORMED, |header| beside(header, change))
    };
    vec![
        slot("kind 0", |slot| slot.kind = 0),
        slot("binding 0", |slot| slot.binding = 0),
        slot("binding 3", |slot| slot.binding = 3),
        slot("a share index without shares", |slot| slot.share_index = 1),
        slot("the zero byte set", |slot| slot.zero = 1),
        slot("a byte behind the parameters", |slot| slot.tail = vec![0]),
        slot("a share check without shares", |slot| slot.tail = vec![0; 16]),
    ]
}

fn key_ids() -> Vec<Vector> {
    let id = |kind: u8, name: &str, key_id: &[u8]| {
        bad(&format!("key id: {name}"), MALFORMED, |header| {
            header.slots.push(RawSlot { key_id: key_id.to_vec(), ..RawSlot::of_kind(kind, "") });
        })
    };
    vec![
        id(2, "empty", b""),
        id(2, "2,049 bytes", &[b'k'; 2_049]),
        id(3, "a control character", b"transit\n"),
        id(3, "the control character U+007F", b"transit\x7F"),
        id(3, "the control character U+0085", b"transit\xC2\x85"),
        id(4, "not UTF-8", b"vault\xFF"),
        id(4, "an overlong form", b"vault\xC0\xAF"),
        id(77, "empty, of an unknown kind", b""),
        id(0xFF, "a control character, of kind 255", b"\0"),
        id(7, "of a passphrase", b"p"),
        id(8, "an HPKE key of 31 bytes", &[8; 31]),
        id(8, "an HPKE key of 33 bytes", &[8; 33]),
        id(9, "an RSA key, empty", b""),
    ]
}

fn versions() -> Vec<Vector> {
    let version = |name: &str, version: &[u8]| {
        bad(&format!("version: {name}"), MALFORMED, |header| {
            beside(header, |slot| slot.version = version.to_vec());
        })
    };
    vec![
        version("129 bytes", &[b'1'; 129]),
        version("a blank", b"1 2"),
        version("a line break", b"1\n"),
        version("a percent sign", b"1%2F2"),
        version("a letter beyond ASCII", "\u{e9}".as_bytes()),
        version("not UTF-8", b"\xFF"),
        bad("a missing slot with a version", MALFORMED, |header| {
            beside(header, |slot| slot.wrapped.clear());
        }),
        bad("no slot is filled", MALFORMED, |header| {
            header.slots = vec![RawSlot::local().missing()];
        }),
        patched("wrapped bytes longer than the header", MALFORMED, |bytes| {
            let at = behind_mac(bytes) + 3;
            bytes[at] = 0xFF;
        }),
        patched("a version longer than the header", MALFORMED, |bytes| {
            let at = behind_mac(bytes);
            bytes[at] = 0xFF;
        }),
        patched("wrapped bytes one too short", MALFORMED, |bytes| {
            // Their last byte then stands in the padding.
            let at = behind_mac(bytes) + 4;
            bytes[at] -= 1;
        }),
    ]
}

/// Where the first slot's version begins, behind its length the version "1" and the wrapped bytes.
fn behind_mac(message: &[u8]) -> usize {
    12 + u32::from_be_bytes(*message[8..].first_chunk().unwrap()) as usize + 32
}

fn several() -> Vec<Vector> {
    vec![
        bad("two slots of one key", MALFORMED, |header| {
            header.slots.push(RawSlot { version: b"2".to_vec(), ..RawSlot::local() });
        }),
        bad("two slots of one key, one missing", MALFORMED, |header| {
            header.slots.push(RawSlot::local().missing());
        }),
        bad("two slots of one key, bound in two ways", MALFORMED, |header| {
            header.slots.push(RawSlot { binding: 2, ..RawSlot::local() });
        }),
        bad("two slots of one unknown key", MALFORMED, |header| {
            header.slots.extend([RawSlot::of_kind(77, "x"), RawSlot::of_kind(77, "x")]);
        }),
        bad("two passphrases", MALFORMED, |header| {
            let slot = RawSlot { binding: 2, ..RawSlot::of_kind(7, "") };
            header.slots.extend([slot.clone(), slot]);
        }),
        bad("a passphrase on a shared data key", MALFORMED, |header| {
            (header.header_flags, header.message_id) = (0, [0; 24]);
            header.slots.push(RawSlot { binding: 2, ..RawSlot::of_kind(7, "") });
        }),
        bad("a public key on a shared data key", MALFORMED, |header| {
            (header.header_flags, header.message_id) = (0, [0; 24]);
            let key_id = vec![9; 32];
            header.slots.push(RawSlot { binding: 2, key_id, ..RawSlot::of_kind(9, "") });
        }),
    ]
}

/// Two of three shares.
fn split(header: &mut RawHeader) {
    header.threshold = 2;
    header.share_set = [0x5E; 16];
    header.slots = [(1, "a"), (1, "b"), (3, "c")]
        .iter()
        .zip(1..)
        .map(|((kind, key_id), index)| RawSlot {
            share_index: index,
            tail: vec![index; 16],
            wrapped: vec![index; 122],
            ..RawSlot::of_kind(*kind, key_id)
        })
        .collect();
}

fn shares() -> Vec<Vector> {
    let broken = |name: &str, change: fn(&mut RawHeader)| {
        bad(&format!("shares: {name}"), MALFORMED, |header| {
            split(header);
            change(header);
        })
    };
    vec![
        ok("shares: two of three", "The data key is given, as if they were combined.", split),
        ok("shares: indices in any order", "", |header| {
            split(header);
            header.slots.reverse();
        }),
        broken("no share set id", |header| header.share_set = [0; 16]),
        broken("on a shared data key", |header| {
            (header.header_flags, header.message_id) = (0, [0; 24]);
        }),
        broken("one missing", |header| header.slots[2] = header.slots[2].clone().missing()),
        broken("index 0", |header| header.slots[1].share_index = 0),
        broken("an index twice", |header| header.slots[1].share_index = 1),
        broken("an index above the number of slots", |header| header.slots[1].share_index = 4),
        broken("no share check", |header| header.slots[0].tail.clear()),
        broken("a share check of 15 bytes", |header| header.slots[0].tail.truncate(15)),
        broken("a share check of 17 bytes", |header| header.slots[0].tail.push(0)),
    ]
}
