//! Compact records: 24 bytes instead of a header.

use hmac::{Hmac, KeyInit as _, Mac as _};
use pollster::block_on;
use sha2::Sha512;
use vault_crypto_core::Scope;
use vault_crypto_core::header::{Shape, Suite};
use vault_envelope::Padding;

use super::vector::{
    AUTHENTICATION_FAILED, Draft, KEY_NOT_ALLOWED, MALFORMED, SUITES, UNSUPPORTED, Vector, draft,
    plaintext, secret_of,
};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = Vec::new();
    for suite in SUITES {
        for padding in [Padding::None, Padding::Padme] {
            all.extend([0, 11].map(|len| stored(suite, padding, len)));
        }
        all.push(derived(suite));
        all.extend(altered(suite));
    }
    all.push(stored(Suite::Cobblestone256, Padding::None, 16_384));
    all.extend(refused_by_prefix());
    all.extend(refused_by_key());
    all
}

fn seal(draft: &Draft, suite: Suite, padding: Padding, len: usize) -> Vec<u8> {
    let envelope = draft.envelope().record_suite(suite).padding(padding).build().unwrap();
    let key = block_on(envelope.create_stored_key()).unwrap();
    key.seal(&plaintext(len), &draft.context()).unwrap().into_bytes()
}

fn stored(suite: Suite, padding: Padding, len: usize) -> Vector {
    let padded = if padding == Padding::None { "" } else { ", padded" };
    let draft = draft(
        format!("suite {}{padded}, {len} bytes", suite.code()),
        "Under a stored data key; the id is the data key's.",
    );
    let message = seal(&draft, suite, padding, len);
    draft.opens(message, &plaintext(len))
}

/// `E(BK, Lbl("branch-data-key") || u32 version || id || pairs(scope), 32)`, section 3.
fn branch_data_key(branch: &[u8; 32], version: u32, id: &[u8; 16], scope: &Scope) -> [u8; 32] {
    let mut mac = Hmac::<Sha512>::new_from_slice(branch).unwrap();
    mac.update(b"vaultkit.v1/branch-data-key\0");
    mac.update(&version.to_be_bytes());
    mac.update(id);
    mac.update(scope.canonical_pairs());
    mac.update(&[1]);
    *mac.finalize().into_bytes().first_chunk().unwrap()
}

fn derived(suite: Suite) -> Vector {
    let draft = draft(
        format!("suite {}, under a branch key", suite.code()),
        "The data key is derived from branch key, version, id and scope.",
    );
    let message = of_branch(&draft, suite, 7);
    let branch = draft.bytes("branch key");
    draft.opens(message, &plaintext(11)).with_branch_key(branch)
}

fn of_branch(draft: &Draft, suite: Suite, version: u32) -> Vec<u8> {
    let id: [u8; 16] = draft.bytes("id");
    let data_key = branch_data_key(&draft.bytes("branch key"), version, &id, &draft.scope());
    let secret = secret_of(&data_key);
    let body = draft.body_under(&secret, suite, Shape::Record, 0, &plaintext(11));
    [&[0xF7, 1, suite.code(), 0], version.to_be_bytes().as_slice(), &id, &body].concat()
}

fn altered(suite: Suite) -> Vec<Vector> {
    let bad = |what: &str, result, change: fn(&mut Vec<u8>)| {
        let draft = draft(format!("suite {}, {what}", suite.code()), "One thing is wrong.");
        let mut message = seal(&draft, suite, Padding::None, 11);
        change(&mut message);
        draft.refused(message, result)
    };
    let failed = AUTHENTICATION_FAILED;
    vec![
        bad("the padded flag set", failed, |bytes| bytes[3] = 1),
        bad("a bit of the id flipped", KEY_NOT_ALLOWED, |bytes| bytes[23] ^= 1),
        bad("a bit of the salt flipped", failed, |bytes| bytes[24] ^= 1),
        bad("a bit of the commitment flipped", failed, |bytes| bytes[24 + 55] ^= 1),
        bad("a bit of the ciphertext flipped", failed, |bytes| bytes[24 + 56] ^= 1),
        bad("a bit of the tag flipped", failed, |bytes| *bytes.last_mut().unwrap() ^= 1),
        bad("cut inside the prefix", MALFORMED, |bytes| bytes.truncate(23)),
        bad("cut behind the prefix", failed, |bytes| bytes.truncate(24)),
        bad("cut inside the tag", failed, |bytes| bytes.truncate(bytes.len() - 1)),
        bad("a byte more", failed, |bytes| bytes.push(0)),
    ]
}

fn refused_by_prefix() -> Vec<Vector> {
    let bad = |what: &str, result, change: fn(&mut Vec<u8>)| {
        let draft = draft(what, "The prefix is refused.");
        let mut message = seal(&draft, Suite::KcXaes256Gcm, Padding::None, 11);
        change(&mut message);
        draft.refused(message, result)
    };
    vec![
        bad("format version 2", UNSUPPORTED, |bytes| bytes[1] = 2),
        bad("format version 2, two bytes", UNSUPPORTED, |bytes| {
            bytes.truncate(2);
            bytes[1] = 2;
        }),
        bad("one byte", MALFORMED, |bytes| bytes.truncate(1)),
        bad("two bytes", MALFORMED, |bytes| bytes.truncate(2)),
        bad("another magic", MALFORMED, |bytes| bytes[0] = 0xF5),
        bad("suite 0", UNSUPPORTED, |bytes| bytes[2] = 0),
        bad("suite 4", UNSUPPORTED, |bytes| bytes[2] = 4),
        bad("suite 240", UNSUPPORTED, |bytes| bytes[2] = 0xF0),
        bad("a reserved body flag", MALFORMED, |bytes| bytes[3] = 2),
        bad("an unknown suite and a reserved body flag", UNSUPPORTED, |bytes| {
            bytes[2] = 5;
            bytes[3] = 0x80;
        }),
    ]
}

fn refused_by_key() -> Vec<Vector> {
    let suite = Suite::KcXaes256Gcm;
    let own = draft("a branch record and a stored key", "The reader was given no branch key.");
    let stored_for_branch = own.clone().refused(of_branch(&own, suite, 1), KEY_NOT_ALLOWED);

    let own = draft("a stored record and a branch key", "The reader was given no stored key.");
    let message = seal(&own, suite, Padding::None, 11);
    let branch = own.bytes("branch key");
    let branch_for_stored = own.refused(message, KEY_NOT_ALLOWED).with_branch_key(branch);

    let own = draft("another branch version", "The version enters the derivation.");
    let mut message = of_branch(&own, suite, 1);
    message[7] = 2;
    let branch = own.bytes("branch key");
    let version = own.refused(message, AUTHENTICATION_FAILED).with_branch_key(branch);

    let own = draft("another branch id", "The id enters the derivation.");
    let mut message = of_branch(&own, suite, 1);
    message[8] ^= 1;
    let branch = own.bytes("branch key");
    let id = own.refused(message, AUTHENTICATION_FAILED).with_branch_key(branch);

    let own = draft("another scope under a branch key", "The scope enters derivation and body.");
    let message = of_branch(&own, suite, 1);
    let branch = own.bytes("branch key");
    let scope = own
        .refused(message, AUTHENTICATION_FAILED)
        .with_branch_key(branch)
        .for_reader(|draft, _| draft.scope.clear());

    let own = draft("another stored key", "The id in the record is not this key's.");
    let message = seal(&own, suite, Padding::None, 11);
    let key = own.refused(message, KEY_NOT_ALLOWED).for_reader(|_, key| key[0] ^= 1);

    let own = draft("another scope", "");
    let message = seal(&own, suite, Padding::None, 11);
    let other_scope =
        own.refused(message, AUTHENTICATION_FAILED).for_reader(|draft, _| draft.scope.clear());
    vec![stored_for_branch, branch_for_stored, version, id, scope, key, other_scope]
}
