//! Key entries: headers without a body.

use pollster::block_on;
use vault_crypto_core::derive::branch_name;

use super::raw::{RawHeader, RawSlot};
use super::vector::{AUTHENTICATION_FAILED, Draft, MALFORMED, SUITES, Vector, draft, pairs};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for suite in SUITES {
        let draft = draft(format!("suite {}", suite.code()), "A stored data key.");
        let envelope = draft.envelope().record_suite(suite).build().unwrap();
        let entry = block_on(envelope.create_stored_key()).unwrap().entry().to_vec();
        all.push(draft.opens(entry, b""));
    }
    all.extend(good());
    all.extend(bad());
    all.extend(for_another_reader());
    all
}

fn entry(draft: &Draft, change: impl FnOnce(&mut RawHeader)) -> Vec<u8> {
    let mut header = RawHeader::shared(draft, 3, 3);
    change(&mut header);
    header.seal(&draft.secret(), &draft.scope())
}

fn good() -> Vec<Vector> {
    let ok = |name: &str, comment: &str, change: fn(&Draft, &mut RawHeader)| {
        let draft = draft(name, comment);
        let bytes = entry(&draft, |header| change(&draft, header));
        draft.opens(bytes, b"")
    };
    vec![
        ok("exclusive", "The key is wrapped in this entry alone.", |_, header| {
            header.header_flags = 1;
        }),
        ok("scope not stored", "The MAC is under it all the same.", |_, header| {
            header.extensions.clear();
        }),
        ok("epoch 2^32 - 1", "", |_, header| header.epoch = u32::MAX),
        ok("padding behind the last slot", "", |_, header| header.padding = vec![0; 100]),
        ok("longest header", "65,536 bytes, padding included.", |draft, header| {
            let len = header.seal(&draft.secret(), &draft.scope()).len();
            header.slots[0].wrapped = vec![0xA5; 30_000];
            header.padding = vec![0; 65_536 - len - 30_000 + 104];
        }),
        ok("a branch key", "Extension 3: branch name and version 7.", |draft, header| {
            let name = branch_name(&draft.scope());
            let branch = [name.as_slice(), &7_u32.to_be_bytes()].concat();
            header.extensions.push((3, branch));
        }),
        ok("a passphrase beside", "Needs EXCLUSIVE.", |_, header| {
            header.header_flags = 1;
            let mut slot = RawSlot::of_kind(7, "");
            slot.binding = 2;
            slot.parameters = vec![0; 25];
            slot.version.clear();
            header.slots.push(slot);
        }),
    ]
}

fn bad() -> Vec<Vector> {
    let bad = |name: &str, result, change: fn(&mut RawHeader)| {
        let draft = draft(name, "");
        let bytes = entry(&draft, change);
        draft.refused(bytes, result)
    };
    let mut all = vec![
        bad("a message id", MALFORMED, |header| header.message_id[23] = 1),
        bad("exclusive with a message id", MALFORMED, |header| {
            header.header_flags = 1;
            header.message_id[0] = 1;
        }),
        bad("the padded flag", MALFORMED, |header| header.body_flags = 1),
        bad("a passphrase on a shared key", MALFORMED, |header| {
            let slot = RawSlot { binding: 2, ..RawSlot::of_kind(7, "") };
            header.slots.push(slot);
        }),
        bad("one byte longer than the longest", MALFORMED, |header| {
            header.padding = vec![0; 65_536];
        }),
    ];
    let own = draft("a byte behind the entry", "");
    let mut bytes = entry(&own, |_| ());
    bytes.push(0);
    all.push(own.refused(bytes, MALFORMED));
    let own = draft("a body behind the entry", "");
    let mut bytes = entry(&own, |_| ());
    bytes.extend_from_slice(&[7; 72]);
    all.push(own.refused(bytes, MALFORMED));
    let own = draft("cut off", "");
    let mut bytes = entry(&own, |_| ());
    bytes.pop();
    all.push(own.refused(bytes, MALFORMED));
    all
}

fn for_another_reader() -> Vec<Vector> {
    let sealed = |name: &str| {
        let own = draft(name, "The entry is good; its reader is not.");
        let bytes = entry(&own, |_| ());
        own.refused(bytes, AUTHENTICATION_FAILED)
    };
    vec![
        sealed("another key").for_reader(|_, key| key[0] ^= 0x80),
        sealed("another scope").for_reader(|draft, _| draft.scope = pairs(&[("tenant", "x")])),
        sealed("no scope").for_reader(|draft, _| draft.scope.clear()),
    ]
}
