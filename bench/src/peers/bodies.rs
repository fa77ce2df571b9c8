//! Peers that seal streams: cobblestone (the same chunked scheme as our suite 1) and age (X25519, ChaCha20-Poly1305).

use std::hint::black_box;
use std::io::{Read, Write};

use age::x25519::Identity;
use cobblestone::Key256;

use crate::bodies::Sink;
use crate::timing::Case;

const CONTEXT: [u8; 72] = [3; 72];

pub fn body_sealers<'a>(piece: &'a [u8], total: usize) -> Vec<Case<'a>> {
    let key = Key256::generate();
    let recipient = Identity::generate().to_public();
    vec![
        Case::new("cobblestone 0.2", move || {
            black_box(cobblestone_seal(&key, piece, total, Sink));
        }),
        Case::new("age 0.12 (crate)", move || {
            black_box(age_seal(&recipient, piece, total, Sink));
        }),
    ]
}

pub fn body_openers<'a>(piece: &'a [u8], total: usize) -> Vec<Case<'a>> {
    let key = Key256::generate();
    let body = cobblestone_seal(&key, piece, total, Vec::with_capacity(total + total / 512));
    let identity = Identity::generate();
    let recipient = identity.to_public();
    let message = age_seal(&recipient, piece, total, Vec::with_capacity(total + total / 512));
    vec![
        Case::new("cobblestone 0.2", move || {
            drain(cobblestone::DecryptReader::new(&key, &CONTEXT, body.as_slice()));
        }),
        Case::new("age 0.12 (crate)", move || {
            let decryptor = age::Decryptor::new_buffered(message.as_slice()).expect("its own");
            let identities = std::iter::once(&identity as &dyn age::Identity);
            drain(decryptor.decrypt(identities).expect("its own"));
        }),
    ]
}

fn cobblestone_seal<W: Write>(key: &Key256, piece: &[u8], total: usize, out: W) -> W {
    let mut writer = cobblestone::EncryptWriter::new(key, &CONTEXT, out);
    for _ in 0..total / piece.len() {
        writer.write_all(piece).expect("memory");
    }
    writer.finish().expect("memory")
}

fn age_seal<W: Write>(recipient: &age::x25519::Recipient, piece: &[u8], total: usize, out: W) -> W {
    let recipients = std::iter::once(recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).expect("one recipient");
    let mut writer = encryptor.wrap_output(out).expect("memory");
    for _ in 0..total / piece.len() {
        writer.write_all(piece).expect("memory");
    }
    writer.finish().expect("memory")
}

fn drain(mut reader: impl Read) {
    let mut piece = vec![0; 1 << 16];
    while reader.read(&mut piece).expect("its own message") > 0 {
        black_box(&piece);
    }
}
