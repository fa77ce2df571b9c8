//! Peers that seal short values: asherah (session and keys cached) and envelopers (key in the process).

use std::hint::black_box;
use std::sync::Arc;

use asherah::aead::AES256GCM;
use asherah::api::{FactoryOption, new_session_factory_with_options};
use asherah::config::Config;
use asherah::kms::StaticKMS;
use asherah::metastore::InMemoryMetastore;
use envelopers::{Aes256Gcm, EnvelopeCipher, SimpleKeyProvider};
use pollster::block_on;

use crate::timing::Case;

/// A session whose type asherah does not let us name.
macro_rules! asherah {
    () => {{
        let crypto = Arc::new(AES256GCM::new());
        let kms = StaticKMS::new(crypto.clone(), vec![0x22; 32]).expect("32 bytes");
        let factory = new_session_factory_with_options(
            Config::new("service", "product"),
            Arc::new(InMemoryMetastore::new()),
            Arc::new(kms),
            crypto,
            &[FactoryOption::Metrics(false)],
        );
        factory.get_session("partition")
    }};
}

pub fn record_sealers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let session = asherah!();
    let ready = envelopers();
    vec![
        Case::new("asherah 1.0, cached session", move || {
            black_box(session.encrypt(black_box(plaintext)).expect("asherah seals"));
        }),
        Case::new("envelopers 0.8, local key", move || {
            black_box(block_on(ready.encrypt(black_box(plaintext))).expect("envelopers seals"));
        }),
    ]
}

pub fn record_openers(plaintext: &[u8]) -> Vec<Case<'_>> {
    let session = asherah!();
    let sealed = session.encrypt(plaintext).expect("asherah seals");
    let ready = envelopers();
    let record = block_on(ready.encrypt(plaintext)).expect("envelopers seals");
    vec![
        Case::new("asherah 1.0, cached session (takes its input by value: a copy)", move || {
            black_box(session.decrypt(black_box(sealed.clone())).expect("asherah opens"));
        }),
        Case::new("envelopers 0.8, local key", move || {
            black_box(block_on(ready.decrypt(black_box(&record))).expect("envelopers opens"));
        }),
    ]
}

fn envelopers() -> EnvelopeCipher<SimpleKeyProvider<Aes256Gcm>> {
    EnvelopeCipher::init(SimpleKeyProvider::init([3; 16]))
}
